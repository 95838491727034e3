"""Server reflection in both versions: grpcio-reflection has v1alpha, and current tools ask for v1 first.

Version 1 has the same messages under another package, so one servicer answers both. It knows every symbol that
grpc/reflection/v1/reflection.proto names: "<package>.<service>[.<method>] or <package>.<type>".
"""

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection, reflection_pb2
from grpc_reflection.v1alpha.reflection import aio as reflection_aio

_OLD: Final = "grpc.reflection.v1alpha"
_NEW: Final = "grpc.reflection.v1"
_SERVICES: Final = (f"{_NEW}.ServerReflection", reflection.SERVICE_NAME)


def add_reflection(service_names: Sequence[str], server: Any) -> None:
    """Let clients ask an asyncio server for its services, `service_names` and reflection itself, and their types."""
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(_newer_file().SerializeToString())
    names = (*service_names, *_SERVICES)
    servicer = reflection_aio.ReflectionServicer(names, _Symbols(pool, names))
    methods = {
        "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
            servicer.ServerReflectionInfo,
            request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
            response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
        )
    }
    server.add_generic_rpc_handlers(
        tuple(grpc.method_handlers_generic_handler(service, methods) for service in _SERVICES)
    )


class _Symbols:
    """A pool in which the files of methods, fields, oneofs and enum values are found too, as those of their owners are.

    Python's own pools know messages, enums, services and extensions.
    """

    def __init__(self, pool: descriptor_pool.DescriptorPool, service_names: Sequence[str]) -> None:
        self._pool = pool
        self._service_names = service_names
        self.FindFileByName = pool.FindFileByName
        self.FindMessageTypeByName = pool.FindMessageTypeByName
        self.FindExtensionByNumber = pool.FindExtensionByNumber
        self.FindAllExtensions = pool.FindAllExtensions

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - the pool's name
        """Return the file that declares a symbol. Raises KeyError where none does."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._members[symbol]

    @functools.cached_property
    def _members(self) -> Mapping[str, FileDescriptor]:
        """Files by the members that they declare; looked through when somebody asks for the first."""
        files: dict[str, FileDescriptor] = {}
        for name in self._service_names:
            _collect_files(self._pool.FindServiceByName(name).file, files)
        return {symbol: file for file in files.values() for symbol in _members_of(file)}


def _collect_files(file: FileDescriptor, files: dict[str, FileDescriptor]) -> None:
    if file.name not in files:
        files[file.name] = file
        for dependency in file.dependencies:
            _collect_files(dependency, files)


def _members_of(file: FileDescriptor) -> Iterator[str]:
    for service in file.services_by_name.values():
        yield from (method.full_name for method in service.methods)
    yield from (extension.full_name for extension in file.extensions_by_name.values())
    yield from _values_of(file.enum_types_by_name.values())
    for message in file.message_types_by_name.values():
        yield from _members_of_message(message)


def _members_of_message(message: Descriptor) -> Iterator[str]:
    yield message.full_name
    yield from (field.full_name for field in (*message.fields, *message.extensions))
    yield from (oneof.full_name for oneof in message.oneofs)
    yield from _values_of(message.enum_types)
    for nested in message.nested_types:
        yield from _members_of_message(nested)


def _values_of(enums: Iterable[EnumDescriptor]) -> Iterator[str]:
    """Yield the values' names: protobuf's own, in which they are the enum's siblings, and those below the enum."""
    for enum in enums:
        scope = enum.full_name.rpartition(".")[0]
        for value in enum.values:
            yield f"{scope}.{value.name}" if scope else value.name
            yield f"{enum.full_name}.{value.name}"


def _newer_file() -> FileDescriptorProto:
    """Return version 1's own proto, which the pool has to have for tools that describe every service."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name = "grpc/reflection/v1/reflection.proto"
    file.package = _NEW
    for field in (field for message in file.message_type for field in message.field if field.type_name):
        field.type_name = field.type_name.replace(_OLD, _NEW)
    for method in (method for service in file.service for method in service.method):
        method.input_type = method.input_type.replace(_OLD, _NEW)
        method.output_type = method.output_type.replace(_OLD, _NEW)
    return file
