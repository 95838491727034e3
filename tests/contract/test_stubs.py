"""The generated Python: typed gRPC stubs, and the SDK, which speaks the same bytes."""

import ast
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import polystream_api
import pytest
from google.protobuf import json_format
from grpclib.client import Channel
from polystream.v1 import operations_pb2, users_pb2, users_pb2_grpc

from tests.contract.compiling import compile_protos

_STREAMS = """\
syntax = "proto3";
package trial.v1;
message Outer { message Inner { int64 id = 1; } }
service Trial {
  rpc One(Outer.Inner) returns (Outer);
  rpc Down(Outer) returns (stream Outer.Inner);
  rpc Up(stream Outer) returns (Outer);
  rpc Both(stream Outer) returns (stream Outer);
}
"""


class _Users(users_pb2_grpc.UserServiceServicer):
    def CreateUser(self, request: users_pb2.CreateUserRequest, _: Any) -> operations_pb2.Operation:  # noqa: N802
        operation = operations_pb2.Operation(state=operations_pb2.Operation.SUCCEEDED, user_id=request.user_id)
        operation.accept_time.FromJsonString("2026-01-31T22:15:00.123456Z")
        operation.result.Pack(users_pb2.User(user_id=request.user_id, name=request.name))
        return operation

    def UpdateUser(self, request: users_pb2.UpdateUserRequest, _: Any) -> operations_pb2.Operation:  # noqa: N802
        return operations_pb2.Operation(command="name" if request.HasField("name") else "no name")


@pytest.fixture
async def stub() -> AsyncIterator[polystream_api.UserServiceStub]:
    """Return the SDK's stub of a server of the users service."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    users_pb2_grpc.add_UserServiceServicer_to_server(_Users(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    async with Channel("127.0.0.1", port) as opened:
        yield polystream_api.UserServiceStub(opened)
    server.stop(None).wait()


def test_plugin_writes_a_module_and_its_types(tmp_path: Path) -> None:
    """Each file with a service gets a gRPC module and types that say which calls stream."""
    done = compile_protos(tmp_path, "grpc_plugin", {"trial.proto": _STREAMS})
    assert done.exit_status == 0, done.messages
    assert set(done.files) == {"trial_pb2_grpc.py", "trial_pb2_grpc.pyi"}
    for text in done.files.values():
        ast.parse(text)
    types = done.files["trial_pb2_grpc.pyi"]
    assert "One: grpc.UnaryUnaryMultiCallable[trial_pb2.Outer.Inner, trial_pb2.Outer]" in types
    assert "Down: grpc.aio.UnaryStreamMultiCallable[trial_pb2.Outer, trial_pb2.Outer.Inner]" in types
    assert "Up: grpc.StreamUnaryMultiCallable[trial_pb2.Outer, trial_pb2.Outer]" in types
    assert "Both: grpc.aio.StreamStreamMultiCallable[trial_pb2.Outer, trial_pb2.Outer]" in types


def test_plugin_writes_nothing_without_a_service(tmp_path: Path) -> None:
    """A file without a service gets no gRPC module."""
    source = 'syntax = "proto3"; package trial.v1; message M {}'
    assert compile_protos(tmp_path, "grpc_plugin", {"trial.proto": source}).files == {}


async def test_sdk_calls_a_server(stub: polystream_api.UserServiceStub) -> None:
    """The SDK's stubs send and receive what the servers' own code does."""
    operation = await stub.create_user(polystream_api.CreateUserRequest(user_id=1234, name="Ana"))
    assert operation.state == polystream_api.OperationState.SUCCEEDED
    assert operation.user_id == 1234
    assert operation.accept_time is not None
    assert operation.result is not None
    assert operation.accept_time.isoformat() == "2026-01-31T22:15:00.123456+00:00"
    assert polystream_api.User.parse(operation.result.value).name == "Ana"


async def test_sdk_keeps_presence(stub: polystream_api.UserServiceStub) -> None:
    """An optional field that is set to its zero value is sent; one that is not set is not."""
    named, unnamed = (polystream_api.UpdateUserRequest(user_id=1, name=name) for name in ("", None))
    assert (await stub.update_user(named)).command == "name"
    assert (await stub.update_user(unnamed)).command == "no name"


def test_sdk_json_is_protobufs() -> None:
    """The SDK's JSON is the one that protobuf reads."""
    request = polystream_api.CreateUserRequest(
        user_id=2**53 - 1, name="Ana", email="ana@example.com", cpf="52998224725"
    )
    read = json_format.Parse(request.to_json(), users_pb2.CreateUserRequest())
    assert read.SerializeToString() == bytes(request)
