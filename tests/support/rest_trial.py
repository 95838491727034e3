"""Services with shapes that the API does not have, compiled at run time, to hold REST to all of its rules."""

import tempfile
from functools import cache
from itertools import count
from pathlib import Path

import google.api
import grpc_tools  # type: ignore[import-untyped]
import pytest
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_tools import protoc
from protobuf import DescFile
from protobuf._file_registry import create_file_registry
from protobuf.wkt.google.protobuf import (
    descriptor_pb,
    duration_pb,
    empty_pb,
    field_mask_pb,
    struct_pb,
    timestamp_pb,
    wrappers_pb,
)

from gateway.rest.bindings import Reading
from gateway.rest.json_types import json_registry
from gateway.rest.routes import Routes
from mesh.errors import PolystreamError, Reason

ROOT = Path(__file__).parents[2]
_KNOWN = (duration_pb, empty_pb, field_mask_pb, struct_pb, timestamp_pb, wrappers_pb)
_HEAD = """
syntax = "proto3";
package {package};
import "google/api/annotations.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "polystream/options/v1/options.proto";
"""
MESSAGES = """
enum Colour { COLOUR_UNSPECIFIED = 0; RED = 1; BLUE = 2; }
message Part {
  string name = 1;
  int64 size = 2;
  Part part = 3;
  repeated string tags = 4;
  oneof shape { string circle = 5; int32 corners = 6; }
  google.protobuf.Timestamp made_time = 7;
}
message Thing {
  string name = 1;
  int64 number = 2;
  int32 small = 3;
  uint32 natural = 4;
  uint64 large = 5;
  bool is_on = 6;
  double ratio = 7;
  float share = 8;
  bytes data = 9;
  Colour colour = 10;
  optional string note = 11;
  Part part = 12;
  repeated Part parts = 13;
  repeated string tags = 14;
  repeated int32 counts = 15;
  repeated Colour colours = 16;
  map<string, string> labels = 17;
  google.protobuf.Timestamp made_time = 18;
  google.protobuf.Duration span = 19;
  google.protobuf.FieldMask mask = 20;
  google.protobuf.Int64Value perhaps = 21;
  google.protobuf.Struct free = 22;
  google.protobuf.Empty empty = 23;
  oneof choice { string left = 24; int32 right = 25; Part middle = 26; }
  string request_id = 27;
  string other = 28 [json_name = "somethingElse"];
  repeated google.protobuf.Timestamp times = 29;
  string lang = 30;
}
message Keyless { string user_id = 1; }
"""
_numbers = count(1)


class Trial:
    """The routes of one service, in which every RPC is a binding under trial."""

    def __init__(self, rpcs: str, messages: str = MESSAGES) -> None:
        """`rpcs` is the inside of the service. Raises ValueError where the routes do."""
        self.package = f"trial.v{next(_numbers)}"
        self._file = _compile(_HEAD.format(package=self.package) + messages + f"service Trials {{ {rpcs} }}")
        self._pool = DescriptorPool()
        for file in self._file.file:
            self._pool.Add(file)
        _add_json_types(self._file.file[-1])
        service: ServiceDescriptor = self._pool.FindServiceByName(f"{self.package}.Trials")
        self.service = service
        self.routes = Routes([service])

    def message(self, name: str = "Thing") -> type[Message]:
        """Return the class of a message under trial."""
        found: type[Message] = GetMessageClass(self._pool.FindMessageTypeByName(f"{self.package}.{name}"))
        return found

    def read(
        self, method: str, url: str, body: bytes = b"", request_id: str | None = None
    ) -> tuple[str, Message, frozenset[str]]:
        """Return the RPC that a request reaches, the request that it makes, and its named fields."""
        path, _, query = url.partition("?")
        match = self.routes.find(method, path)
        read: Reading = match.binding.read(match.variables, query, body, request_id)
        name = match.binding.rpc.rpartition("/")[2]
        return name, self.message(self.service.methods_by_name[name].input_type.name).FromString(read.data), read.named

    def refusal(
        self, method: str, url: str, body: bytes = b"", request_id: str | None = None
    ) -> tuple[Reason, dict[str, str]]:
        """Return the reason for which a request is refused, and what is wrong with each field at fault."""
        with pytest.raises(PolystreamError) as refused:
            self.read(method, url, body, request_id)
        assert all(fault.description for fault in refused.value.faults)
        return refused.value.reason, {fault.field: fault.description for fault in refused.value.faults}

    def thing(self, **fields: object) -> Message:
        """Return a request, from what its JSON would be."""
        return json_format.ParseDict(fields, self.message()())


def one(rule: str, request: str = "Thing", response: str = "Thing") -> str:
    """Return an RPC with one rule, in the words of `google.api.http`."""
    return f"rpc Try({request}) returns ({response}) {{ option (google.api.http) = {{ {rule} }}; }}"


def _compile(text: str) -> descriptor_pb2.FileDescriptorSet:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "trial.proto").write_text(text, encoding="utf-8")
        paths = (folder, *_includes(), ROOT / "proto", Path(grpc_tools.__file__).parent / "_proto")
        out = Path(folder) / "trial.binpb"
        arguments = ["protoc", *(f"-I{path}" for path in paths), f"--descriptor_set_out={out}", "--include_imports"]
        assert protoc.main([*arguments, "trial.proto"]) == 0, "the trial's proto does not compile"
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


def _includes() -> list[str]:
    return [str(Path(path).parents[1]) for path in google.api.__path__]


@cache
def _known_files() -> dict[str, DescFile]:
    return {file.desc().proto.name: file.desc() for file in _KNOWN}


def _add_json_types(file: descriptor_pb2.FileDescriptorProto) -> None:
    """Make the messages known to those who read and write JSON."""
    bare = descriptor_pb2.FileDescriptorProto()
    bare.CopyFrom(file)
    del bare.service[:]
    bare.dependency[:] = [name for name in file.dependency if name in _known_files()]
    bare.name = f"{file.package}.proto"
    proto = descriptor_pb.FileDescriptorProto.from_binary(bare.SerializeToString())
    json_registry().add(create_file_registry(proto, lambda path: _known_files().get(path)))
