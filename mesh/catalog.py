"""The commands and queries of the platform, read from the descriptors of the generated code."""

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import polystream.v1
from google.protobuf.descriptor import FileDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from polystream.options.v1 import options_pb2

# The lane that dead-letters what no lane would apply, so that it happens once.
LANE_OF_UNKNOWN_COMMANDS: Final = "POSTGRESQL"
STORES: Final = tuple(name for name, number in options_pb2.Store.items() if number)  # all that there are
_USER_KEY: Final = "user_id"
_STORE_OF_USERS: Final = "POSTGRESQL"


@dataclass(frozen=True, slots=True)
class Command:
    """One command: an RPC with the `(polystream.options.v1.command)` option."""

    name: str  # the RPC's name, unique in the platform
    service: str  # full name of its service
    request_class: type[Message]
    key_field: str  # the request field that is the Kafka key
    stores: tuple[str, ...]  # names of options.v1.Store, the first one gives the result
    result_type: str  # full name of the result's message
    creates: bool  # whether it adds a resource
    checks_user: bool  # whether its lanes find out that its user exists, which their stores do not know
    erases_user: bool  # whether it erases its user

    @property
    def request_type(self) -> str:
        """Full name of the request message, which is its Avro record's name too."""
        return str(self.request_class.DESCRIPTOR.full_name)

    @property
    def about_user(self) -> bool:
        """Whether the Kafka key is a user's ID."""
        return self.key_field == _USER_KEY

    def key_of(self, request: Message) -> str:
        """Return the Kafka key of a request."""
        return str(getattr(request, self.key_field))


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything that the protos of `polystream.v1` declare."""

    services: tuple[ServiceDescriptor, ...]
    commands: Mapping[str, Command]  # by name

    def for_store(self, store: str) -> Mapping[str, Command]:
        """Return the commands that a store applies, by name."""
        return {name: command for name, command in self.commands.items() if store in command.stores}


def load_catalog() -> Catalog:
    """Read the catalog from the generated package.

    Raises ValueError where two commands share a name, or where a command's options do not fit its request.
    """
    services: list[ServiceDescriptor] = []
    commands: dict[str, Command] = {}
    for module_name in sorted(m.name for m in pkgutil.iter_modules(polystream.v1.__path__) if m.name.endswith("_pb2")):
        file: FileDescriptor = importlib.import_module(f"polystream.v1.{module_name}").DESCRIPTOR
        for service in file.services_by_name.values():
            services.append(service)
            for method in service.methods:
                command = read_command(service, method)
                if command is None:
                    continue
                if command.name in commands:
                    raise ValueError(f"two services declare the command {command.name}: rename one")
                commands[command.name] = command
    return Catalog(tuple(services), MappingProxyType(commands))


def read_command(service: ServiceDescriptor, method: MethodDescriptor) -> Command | None:
    """Return the command that an RPC is; None for a query. Raises ValueError where its options do not fit it."""
    options = method.GetOptions()
    if not options.HasExtension(options_pb2.command):  # type: ignore[arg-type] # the generated stub says FieldDescriptor
        return None
    declared: options_pb2.CommandOptions = options.Extensions[options_pb2.command]  # type: ignore[index] # likewise
    command = Command(
        name=method.name,
        service=service.full_name,
        request_class=GetMessageClass(method.input_type),
        key_field=declared.key,
        stores=tuple(options_pb2.Store.Name(store) for store in declared.stores),
        result_type=declared.result,
        creates=declared.creates,
        checks_user=declared.checks_user,
        erases_user=declared.erases_user,
    )
    if command.key_field not in method.input_type.fields_by_name:
        raise ValueError(f"{method.full_name}: its key {command.key_field!r} is not a field of its request")
    if (command.checks_user or command.erases_user) and not command.about_user:
        raise ValueError(f"{method.full_name}: it checks or erases a user, so its key must be {_USER_KEY!r}")
    if command.checks_user and _STORE_OF_USERS in command.stores:
        raise ValueError(f"{method.full_name}: {_STORE_OF_USERS} holds the users, so its handler is what checks them")
    return command
