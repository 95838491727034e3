"""Messages of every shape, which the platform's own protos do not have: in REST's JSON and in protobuf's runtime."""

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import grpc_tools.protoc  # type: ignore[import-untyped] # it carries no types
from google.api import annotations_pb2
from google.protobuf import descriptor, descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message
from protobuf._codegen import file_desc
from protobuf.wkt.google.protobuf import any_pb, duration_pb, field_mask_pb, struct_pb, timestamp_pb, wrappers_pb

from gateway.admission import Admissions
from gateway.calls import Caller, Rpc, RpcKind
from gateway.rest.json_types import json_registry
from mesh.errors import PolystreamError
from tests.support.scripted_calls import MAX_REQUEST_BYTES, ScriptedCalls

_PROTO = "json_trial.proto"
SHAPES = "polystream_trial.Shapes"
PLAIN = "polystream_trial.Plain"


@cache
def trial_pool() -> descriptor_pool.DescriptorPool:
    """Make the messages known to REST's JSON, and return a pool that has them for protobuf's runtime."""
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder, "trial.binpb")
        here = Path(__file__).parent
        wkt = Path(grpc_tools.protoc.__file__).parent / "_proto"
        arguments = ["protoc", f"-I{here}", f"-I{wkt}", "--include_imports", f"--descriptor_set_out={built}", _PROTO]
        assert grpc_tools.protoc.main(arguments) == 0
        files = descriptor_pb2.FileDescriptorSet.FromString(built.read_bytes()).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        pool.Add(file)
    imported = [file.desc() for file in (any_pb, duration_pb, field_mask_pb, struct_pb, timestamp_pb, wrappers_pb)]
    json_registry().add(file_desc(files[-1].SerializeToString(), imported, {}))
    return pool


def trial_message(full_name: str, text: str) -> Message:
    """Return a message of protobuf's runtime, from protobuf's text format."""
    pool = trial_pool()
    message = message_factory.GetMessageClass(pool.FindMessageTypeByName(full_name))()
    text_format.Parse(text, message, descriptor_pool=pool)
    return message


@cache
def trial_service() -> descriptor.ServiceDescriptor:
    """Return a service with one RPC, `Take` at `POST /shapes`, which takes and gives the message of every shape."""
    pool = trial_pool()
    file = descriptor_pb2.FileDescriptorProto(
        name="json_trial_service.proto", package=SHAPES.partition(".")[0], syntax="proto3", dependency=[_PROTO]
    )
    service = file.service.add(name="Trials")
    method = service.method.add(name="Take", input_type=f".{SHAPES}", output_type=f".{SHAPES}")
    rule = method.options.Extensions[annotations_pb2.http]
    rule.post, rule.body = "/shapes", "*"
    pool.Add(file)
    return pool.FindServiceByName(f"{file.package}.{service.name}")


class EchoCalls(ScriptedCalls):
    """Answers a query with its request, or with what it is told to."""

    answers: Sequence[Message] = ()

    def __post_init__(self) -> None:
        service = trial_service()
        admissions = Admissions(max_request_bytes=MAX_REQUEST_BYTES, demo_data=False)
        for method in service.methods:
            shape = message_factory.GetMessageClass(method.input_type)
            name = f"{service.full_name}/{method.name}"
            self.rpcs[name] = Rpc(name, RpcKind.QUERY, admissions.of_query(shape))

    async def query(self, rpc: Rpc, decoded: Any, caller: Caller) -> tuple[str, Message]:
        """Answer."""
        self.messages = self.answers or (() if isinstance(decoded, PolystreamError) else (decoded,))
        return await super().query(rpc, decoded, caller)
