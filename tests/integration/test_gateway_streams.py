"""Streams over gRPC: a deadline ends them in full form, and however many there are, calls are answered."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from polystream.v1 import operations_pb2_grpc, users_pb2_grpc
from polystream.v1.operations_pb2 import Operation, WaitOperationRequest, WatchOperationRequest
from polystream.v1.users_pb2 import DeleteUserRequest

from tests.support.gateways import Served, refused, serving
from tests.support.operations import provision
from tests.support.platform import EngineSet
from tests.support.waiting import eventually_async

STREAMS = 300
CONNECTIONS = 6
REQUEST = DeleteUserRequest(user_id=5)


@pytest.fixture
async def served(command_path: EngineSet, server_kind: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """Serve with fewer places for streams than the test opens."""
    for name, value in command_path.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provision()
    async with serving(server_kind, max_streams=STREAMS - 1) as started:
        yield started


@pytest.mark.every_server
@pytest.mark.parametrize("timeout_s", [0.3, 1.0])
async def test_a_deadline_ends_a_watch_in_full_form(served: Served, timeout_s: float) -> None:
    """Of an operation that nobody completes, and of the gateway's health; who waits gets the operation as it stands."""
    operation = await users_pb2_grpc.UserServiceStub(served.channel).DeleteUser(REQUEST)
    stub = operations_pb2_grpc.OperationServiceStub(served.channel)
    watching: Any = stub.WatchOperation(
        WatchOperationRequest(correlation_id=operation.correlation_id), timeout=timeout_s
    )
    assert (await watching.read()).state == Operation.ACCEPTED
    ended = await refused(watching.read())
    assert (ended.code, ended.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")

    async def waited() -> bool:
        # It fails where this machine stands still for longer than the gateway keeps of the deadline for the way back.
        request = WaitOperationRequest(correlation_id=operation.correlation_id)
        call: Any = stub.WaitOperation(request, timeout=timeout_s)
        return bool((await call).state == Operation.ACCEPTED)

    await eventually_async(waited, 5 * timeout_s)

    health: Any = health_pb2_grpc.HealthStub(served.channel)  # typed without its methods
    watched = health.Watch(health_pb2.HealthCheckRequest(), timeout=timeout_s)
    assert (await watched.read()).status == health_pb2.HealthCheckResponse.SERVING
    assert (await refused(watched.read())).code is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.every_server
async def test_idle_streams_keep_no_call_out(served: Served) -> None:
    """Commands are answered beside as many as there may be; one more is told so, until one ends."""
    address, options = f"127.0.0.1:{served.gateway.server.port}", [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(CONNECTIONS)]
    try:
        stubs: list[Any] = [health_pb2_grpc.HealthStub(channel) for channel in channels]
        watches = [stubs[at % CONNECTIONS].Watch(health_pb2.HealthCheckRequest()) for at in range(STREAMS - 1)]
        answers = await asyncio.gather(*(watch.read() for watch in watches))
        assert {answer.status for answer in answers} == {health_pb2.HealthCheckResponse.SERVING}
        over = await refused(stubs[0].Watch(health_pb2.HealthCheckRequest()).read())
        assert (over.code, over.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
        for channel in (*channels, served.channel):
            assert (await users_pb2_grpc.UserServiceStub(channel).DeleteUser(REQUEST)).state == Operation.ACCEPTED
        watches[0].cancel()

        async def has_a_place() -> None:
            while (await stubs[0].Watch(health_pb2.HealthCheckRequest(), timeout=5).read()) is grpc.aio.EOF:
                pass

        async with asyncio.timeout(10):
            while True:
                try:
                    await has_a_place()
                    break
                except grpc.aio.AioRpcError as error:
                    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED  # noqa: PT017 - it is tried again
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))
