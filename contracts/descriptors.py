"""What a plugin's request declares: linked descriptors, custom options and comments."""

from collections.abc import Iterator
from typing import Any, Protocol

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

COMMAND_OPTION = "polystream.options.v1.command"
DEMO_OPTION = "polystream.options.v1.demo"
EVENT_OPTION = "polystream.options.v1.event"
INHERITED_OPTION = "polystream.options.v1.inherited"

# Field numbers in descriptor.proto, of which the paths of source locations are made.
_FILE_MESSAGES, _FILE_ENUMS, _FILE_SERVICES, _FILE_EXTENSIONS = 4, 5, 6, 7
_MESSAGE_FIELDS, _MESSAGE_NESTED, _MESSAGE_ENUMS = 2, 3, 4
_ENUM_VALUES, _SERVICE_METHODS = 2, 2


class _HasOptions(Protocol):
    def GetOptions(self) -> Message: ...  # noqa: N802 # protobuf's own name


class Descriptors:
    """The files of one request, linked in a pool of their own.

    Options are read through that pool too: no generated module is needed, so a plugin works on protos whose
    own options have just been declared.
    """

    def __init__(self, request: CodeGeneratorRequest) -> None:
        self._pool = DescriptorPool()
        self._comments: dict[str, str] = {}
        for file in request.proto_file:
            self._pool.AddSerializedFile(file.SerializeToString())
            self._comments.update(_comments(file))
        self.files = [self._pool.FindFileByName(name) for name in request.file_to_generate]

    def methods(self) -> Iterator[MethodDescriptor]:
        """Yield every method of the files to generate from, in the order of declaration."""
        for file in self.files:
            for service in file.services_by_name.values():
                yield from service.methods

    def messages(self) -> Iterator[Descriptor]:
        """Yield every message of the files to generate from, nested ones after their parents."""
        for file in self.files:
            for message in file.message_types_by_name.values():
                yield from _with_nested(message)

    def message(self, full_name: str) -> Descriptor:
        """Return a message of any file of the request. Raises KeyError."""
        found: Descriptor = self._pool.FindMessageTypeByName(full_name)
        return found

    def option(self, descriptor: _HasOptions, extension: str) -> Any | None:
        """Return the value of a custom option by its full name; None where it is not set or not declared.

        That of a repeated one is a list, empty where it is not set.
        """
        raw = descriptor.GetOptions()
        try:
            field: FieldDescriptor = self._pool.FindExtensionByName(extension)
        except KeyError:
            return None
        options = GetMessageClass(self._pool.FindMessageTypeByName(raw.DESCRIPTOR.full_name))()
        options.ParseFromString(raw.SerializeToString())
        if field.is_repeated:
            return list(options.Extensions[field])  # type: ignore[index] # stub
        return options.Extensions[field] if options.HasExtension(field) else None  # type: ignore[index, arg-type] # stub

    def comment(self, key: str) -> str:
        """Return the comment before a declaration as one text, paragraphs apart; empty where there is none.

        `key` is the full name; an enum's value is its enum's full name, a dot, and its own name.
        """
        return self._comments.get(key, "")


def _with_nested(message: Descriptor) -> Iterator[Descriptor]:
    yield message
    for nested in message.nested_types:
        yield from _with_nested(nested)


def _comments(file: FileDescriptorProto) -> dict[str, str]:
    texts = {tuple(location.path): _tidy(location.leading_comments) for location in file.source_code_info.location}
    return {name: texts[path] for name, path in _paths(file) if texts.get(path)}


def _tidy(comment: str) -> str:
    paragraphs = "\n".join(line.strip() for line in comment.strip().splitlines()).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split("\n")) for paragraph in paragraphs)


def _paths(file: FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    prefix = f"{file.package}." if file.package else ""
    for i, message in enumerate(file.message_type):
        yield from _message_paths(message, prefix, (_FILE_MESSAGES, i))
    for i, enum in enumerate(file.enum_type):
        yield from _enum_paths(enum, prefix, (_FILE_ENUMS, i))
    for i, extension in enumerate(file.extension):
        yield prefix + extension.name, (_FILE_EXTENSIONS, i)
    for i, service in enumerate(file.service):
        yield prefix + service.name, (_FILE_SERVICES, i)
        for j, method in enumerate(service.method):
            yield f"{prefix}{service.name}.{method.name}", (_FILE_SERVICES, i, _SERVICE_METHODS, j)


def _message_paths(
    message: DescriptorProto, prefix: str, path: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...]]]:
    name = prefix + message.name
    yield name, path
    for i, field in enumerate(message.field):
        yield f"{name}.{field.name}", (*path, _MESSAGE_FIELDS, i)
    for i, nested in enumerate(message.nested_type):
        yield from _message_paths(nested, f"{name}.", (*path, _MESSAGE_NESTED, i))
    for i, enum in enumerate(message.enum_type):
        yield from _enum_paths(enum, f"{name}.", (*path, _MESSAGE_ENUMS, i))


def _enum_paths(enum: EnumDescriptorProto, prefix: str, path: tuple[int, ...]) -> Iterator[tuple[str, tuple[int, ...]]]:
    name = prefix + enum.name
    yield name, path
    for i, value in enumerate(enum.value):
        yield f"{name}.{value.name}", (*path, _ENUM_VALUES, i)
