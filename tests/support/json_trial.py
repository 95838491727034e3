"""Messages of every shape, which the platform's own protos do not have: in REST's JSON and in protobuf's runtime."""

import tempfile
from functools import cache
from pathlib import Path

import grpc_tools.protoc  # type: ignore[import-untyped] # it carries no types
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message
from protobuf._codegen import file_desc
from protobuf.wkt.google.protobuf import any_pb, duration_pb, field_mask_pb, struct_pb, timestamp_pb, wrappers_pb

from gateway.rest.json_types import json_registry

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
