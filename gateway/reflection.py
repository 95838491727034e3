"""Server reflection in both versions: grpcio-reflection has v1alpha, and current tools ask for v1 first.

Version 1 has the same messages under another package, so one servicer answers both.
"""

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool
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
    servicer = reflection_aio.ReflectionServicer((*service_names, *_SERVICES), pool)
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
