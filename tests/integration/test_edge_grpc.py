"""gRPC through the edge: untouched on the way, and the edge's own errors in gRPC's form."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from polystream.v1 import operations_pb2, operations_pb2_grpc, users_pb2, users_pb2_grpc

from tests.support.echo_gateway import CORRELATION_ID
from tests.support.edge import Edge, error_info, running_edge
from tests.support.waiting import eventually

_TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One edge for the module."""
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
async def channel(edge: Edge) -> AsyncIterator[grpc.aio.Channel]:
    """A gRPC client's connection."""
    async with grpc.aio.insecure_channel(edge.target) as connected:
        yield connected


async def test_unary_call(edge: Edge, channel: grpc.aio.Channel) -> None:
    """A request and its answer pass unchanged, with the metadata of both."""
    request = users_pb2.CreateUserRequest(name="Ana", user_id=7)
    call = users_pb2_grpc.UserServiceStub(channel).CreateUser(request, timeout=_TIMEOUT_S)
    answer = await call
    assert answer.command == "CreateUser"
    assert edge.gateways.last_call.request == request
    assert ("x-correlation-id", CORRELATION_ID) in tuple(await call.initial_metadata())


async def test_stream(channel: grpc.aio.Channel) -> None:
    """A server's stream passes message by message."""
    stub = operations_pb2_grpc.OperationServiceStub(channel)
    request = operations_pb2.WatchOperationRequest(correlation_id=CORRELATION_ID)
    answers = [answer.command async for answer in stub.WatchOperation(request, timeout=_TIMEOUT_S)]
    assert answers == ["WatchOperation", "WatchOperation"]


async def test_errors_keep_their_details(channel: grpc.aio.Channel) -> None:
    """A gateway's error reaches the client with its code, its message and its details."""
    metadata = (("x-echo-error", "ALREADY_EXISTS"),)
    stub = users_pb2_grpc.UserServiceStub(channel)
    call = stub.CreateUser(users_pb2.CreateUserRequest(), metadata=metadata, timeout=_TIMEOUT_S)
    assert await call.code() is grpc.StatusCode.ALREADY_EXISTS
    status = await rpc_status.aio.from_call(call)
    assert status is not None
    assert error_info(status).reason == "ECHO_REFUSAL"
    assert len(status.details) == 3


async def test_deadline_reaches_the_gateway(edge: Edge, channel: grpc.aio.Channel) -> None:
    """The caller's deadline is the gateway's; without one the gateway has its own."""
    stub = users_pb2_grpc.UserServiceStub(channel)
    await stub.CreateUser(users_pb2.CreateUserRequest(), timeout=5)
    told = edge.gateways.last_call.time_remaining_s
    assert told is not None
    assert 4 < told < 5.1  # gRPC rounds a timeout up
    await stub.CreateUser(users_pb2.CreateUserRequest())
    assert edge.gateways.last_call.time_remaining_s is None


async def test_reflection_and_health(channel: grpc.aio.Channel) -> None:
    """The gateway's reflection and health services answer on the edge's port."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type] # typed for no asyncio
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    answers = [answer async for answer in stub.ServerReflectionInfo(asked, timeout=_TIMEOUT_S)]
    services = {service.name for answer in answers for service in answer.list_services_response.service}
    assert {"polystream.v1.UserService", "polystream.v1.OperationService", "grpc.health.v1.Health"} <= services
    health: Any = health_pb2_grpc.HealthStub(channel)  # typed without its methods
    answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_unknown_method(channel: grpc.aio.Channel) -> None:
    """An RPC that does not exist is UNIMPLEMENTED, as the gateway says it."""
    call: Any = channel.unary_unary("/polystream.v1.UserService/Nothing", response_deserializer=bytes)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"", timeout=_TIMEOUT_S)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_no_gateway(edge: Edge, channel: grpc.aio.Channel) -> None:
    """The edge's own error has words as its message and the platform's details beside them."""
    edge.gateways.set_serving(0, serving=False)
    edge.await_health(0, healthy=False)
    try:
        stub = users_pb2_grpc.UserServiceStub(channel)
        call = stub.CreateUser(users_pb2.CreateUserRequest(), timeout=_TIMEOUT_S)
        code, message = await call.code(), await call.details()
    finally:
        edge.gateways.set_serving(0, serving=True)
        edge.await_health(0, healthy=True)
    assert code is grpc.StatusCode.UNAVAILABLE
    assert message == "no gateway answers; nothing was done, send the request again"
    status = await rpc_status.aio.from_call(call)
    assert status is not None
    assert status.code == code_pb2.UNAVAILABLE
    assert error_info(status).reason == "GATEWAY_UNAVAILABLE"


def test_calls_beyond_the_bound_wait(edge: Edge) -> None:
    """A connection has a hundred calls at once; the next one goes when one of them has ended."""
    echo = edge.gateways.echoes[0]
    with grpc.insecure_channel(edge.target) as channel:
        stub = users_pb2_grpc.UserServiceStub(channel)
        request, hang = users_pb2.CreateUserRequest(), (("x-echo-hang", "1"),)
        calls = [stub.CreateUser.future(request, metadata=hang, timeout=30) for _ in range(100)]
        eventually(lambda: echo.hanging == 100, _TIMEOUT_S)
        beyond = stub.CreateUser.future(request, timeout=30)
        with pytest.raises(grpc.FutureTimeoutError):
            beyond.result(0.3)
        calls[0].cancel()
        assert beyond.result(_TIMEOUT_S).command == "CreateUser"
        for call in calls:
            call.cancel()
    eventually(lambda: echo.hanging == 0, _TIMEOUT_S)
