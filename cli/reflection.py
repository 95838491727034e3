"""The services of a gRPC server, as its reflection tells them: any method can be called without its stubs."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from cli.arguments import meant

# As protobuf's own JSON reader says it.
_UNKNOWN_FIELD: Final = re.compile(r'Message type "(?P<message>[\w.]+)" has no field named "(?P<field>[^"]*)"')
_OWN: Final = "polystream.v1."  # comes first where a short name means several


class UncallableError(Exception):
    """A call can't be made as it was asked for; says why in a sentence."""


class ReflectedServer:
    """A server, and what it tells of itself. Raises grpc.RpcError where it does not answer."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self._database = ProtoReflectionDescriptorDatabase(channel)
        self._pool = DescriptorPool(self._database)

    def services(self) -> tuple[str, ...]:
        """Return the full names of the services."""
        return tuple(sorted(self._database.get_services()))

    def methods(self) -> Iterator[MethodDescriptor]:
        """Yield every method of every service."""
        for service in self.services():
            yield from self._pool.FindServiceByName(service).methods

    def method(self, name: str) -> MethodDescriptor:
        """Return the method that `Service/Method` names; the package may be left out. Raises UncallableError."""
        service, slash, method = name.strip("/").rpartition("/")
        if not slash:
            raise UncallableError(
                f"{name!r} is no method: say Service/Method, such as UserService/CreateUser; `call --list` shows all"
            )
        full = _full_name(service, self.services())
        methods = {each.name: each for each in self._pool.FindServiceByName(full).methods}
        if method not in methods:
            near = meant(method, methods) or f"; it has {', '.join(sorted(methods))}"
            raise UncallableError(f"{full} has no method {method!r}{near}")
        return methods[method]

    def call(
        self, method: MethodDescriptor, request: Mapping[str, Any], headers: Sequence[tuple[str, str]], timeout_s: float
    ) -> Iterator[Message]:
        """Send one request, and yield what is answered: one message, or those of a stream.

        Names of fields may be those of the proto or JSON's own. Raises UncallableError where the request does not fit.
        """
        if method.client_streaming:
            raise UncallableError(f"{method.full_name} takes a stream of requests, and one can be sent here")
        try:
            message = json_format.ParseDict(
                dict(request), GetMessageClass(method.input_type)(), descriptor_pool=self._pool
            )
        except json_format.ParseError as error:
            raise UncallableError(f"the request is no {method.input_type.full_name}: {self._misfit(error)}") from error
        path = f"/{method.containing_service.full_name}/{method.name}"
        kind: Any = self._channel.unary_stream if method.server_streaming else self._channel.unary_unary
        send = kind(
            path,
            request_serializer=lambda sent: sent.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        answer = send(message, metadata=tuple(headers), timeout=timeout_s)
        yield from answer if method.server_streaming else (answer,)

    def _misfit(self, error: json_format.ParseError) -> str:
        """Return why JSON is no such message; of a name that is no field's, with the names that are."""
        found = _UNKNOWN_FIELD.search(str(error))
        if found is None:
            return str(error)
        fields = self._pool.FindMessageTypeByName(found["message"]).fields
        names = ", ".join(field.name for field in fields) or "none"
        return f"{found['message']} has no field {found['field']!r}; its fields: {names}"

    def to_json(self, message: Message) -> str:
        """Return an answer as JSON, with the proto's names of fields."""
        return json_format.MessageToJson(
            message, preserving_proto_field_name=True, ensure_ascii=False, descriptor_pool=self._pool
        )


def _full_name(service: str, services: Sequence[str]) -> str:
    """Return the service that a name means, whole or its end. Raises UncallableError."""
    if service in services:
        return service
    found = [each for each in services if each.endswith(f".{service}")]
    own = [each for each in found if each == f"{_OWN}{service}"]
    if len(own or found) == 1:
        return (own or found)[0]
    if found:
        raise UncallableError(f"{service!r} may be {' or '.join(found)}: say which")
    near = meant(service, [each.rpartition(".")[2] for each in services])
    listed = ", ".join(services)
    raise UncallableError(f"there is no service {service!r}{near or f'; there are {listed}'}")
