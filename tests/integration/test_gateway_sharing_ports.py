"""Several gateways on the same ports: whichever accepts a command, each tells of it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
import httpx
import pytest
from polystream.v1 import operations_pb2_grpc, users_pb2_grpc
from polystream.v1.operations_pb2 import GetOperationRequest, Operation
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest

from tests.support.gateways import SERVERS, Served, serving
from tests.support.operations import STORES, Lane, provision
from tests.support.platform import EngineSet
from tests.support.ports import free_ports
from tests.support.waiting import eventually_async

CLIENTS = 24  # connections: that one of two gateways gets all of them happens once in eight million runs


@pytest.fixture(params=SERVERS)
async def gateways(
    command_path: EngineSet, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Served, Served]]:
    """Run two gateways on the same two ports."""
    for name, value in command_path.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provision()
    ports = free_ports()
    shared: dict[str, Any] = {"port": ports.gateway, "http_port": ports.edge, "shares_ports": True}
    async with (
        serving(request.param, name=f"g-shared-a-{request.param}", **shared) as first,
        serving(request.param, name=f"g-shared-b-{request.param}", **shared) as second,
    ):
        assert first.gateway.server.port == second.gateway.server.port
        assert first.gateway.http.port == second.gateway.http.port
        yield first, second


def accepted_here(served: Served, correlation_ids: list[str]) -> int:
    """Return how many of these commands a gateway has accepted itself."""
    return sum(served.gateway.tracker._memory.accepted_here(correlation_id) for correlation_id in correlation_ids)


async def test_both_take_commands_and_each_tells_of_all(gateways: tuple[Served, Served]) -> None:
    """Over gRPC and REST: connections are dealt out, and every gateway finds an operation, done or about to be."""
    first, second = gateways
    lane = Lane()
    ids: list[str] = []
    request = DeleteUserRequest(user_id=5)
    for _ in range(CLIENTS):
        options = [("grpc.use_local_subchannel_pool", 1)]
        address = f"127.0.0.1:{first.gateway.server.port}"
        async with grpc.aio.insecure_channel(address, options=options) as channel:
            ids.append((await users_pb2_grpc.UserServiceStub(channel).DeleteUser(request)).correlation_id)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{first.gateway.http.port}") as http:
            ids.append((await http.delete("/v1/users/5")).raise_for_status().json()["correlation_id"])
    taken = [accepted_here(served, ids) for served in gateways]
    assert sum(taken) == len(ids)
    assert all(taken)

    # The last one: of an older ID that nobody knows, a gateway asks the event log, which is not there.
    by_first = next(cid for cid in reversed(ids) if first.gateway.tracker._memory.accepted_here(cid))
    asked = asyncio.create_task(second.gateway.tracker.wait(by_first, 30))
    lane.answer(by_first, *STORES)
    told = await asked
    assert told is not None
    assert told.correlation_id == by_first

    async def both_tell() -> bool:
        found = [await served.gateway.tracker.find(by_first) for served in gateways]
        return all(operation is not None and operation.state == Operation.SUCCEEDED for operation in found)

    await eventually_async(both_tell, 30)


async def test_a_request_id_is_known_to_the_other_gateway_at_once(gateways: tuple[Served, Served]) -> None:
    """Its correlation ID tells no time, but Redis has the claim: who asks right away waits for the receipts."""
    first, second = gateways
    lane = Lane()
    operation = await users_pb2_grpc.UserServiceStub(first.channel).CreateUser(
        CreateUserRequest(
            request_id=f"shared-{id(first)}", name="Maria da Silva", email="maria@example.com", cpf="52998224725"
        )
    )
    here, there = gateways
    if not here.gateway.tracker._memory.accepted_here(operation.correlation_id):
        here, there = there, here
    asked = asyncio.create_task(there.gateway.tracker.find(operation.correlation_id))
    lane.answer(operation.correlation_id, "POSTGRESQL", command="CreateUser")
    told = await asked
    assert told is not None
    assert told.command == "CreateUser"
    assert second is not None


async def test_one_that_stops_leaves_the_ports_to_the_other(gateways: tuple[Served, Served]) -> None:
    """New connections reach the one that stays."""
    first, second = gateways
    await first.gateway.stop()
    for _ in range(8):
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{second.gateway.http.port}") as http:
            assert (await http.delete("/v1/users/5")).status_code == 200
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{second.gateway.server.port}", options=options) as channel:
            operation = await users_pb2_grpc.UserServiceStub(channel).DeleteUser(DeleteUserRequest(user_id=5))
            asked = GetOperationRequest(correlation_id=operation.correlation_id)
            stub = operations_pb2_grpc.OperationServiceStub(channel)
            assert (await stub.GetOperation(asked)).correlation_id == operation.correlation_id


async def test_one_that_stops_refuses_nobody(gateways: tuple[Served, Served]) -> None:
    """What comes on a connection that is open is answered by it, and tells the client to open another."""
    first, second = gateways
    bases = [httpx.AsyncClient(base_url=f"http://127.0.0.1:{first.gateway.http.port}") for _ in range(CLIENTS)]
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(base) for base in bases]
        await asyncio.gather(*(client.get("/healthz") for client in clients))
        leaving = set(first.gateway.http.connections)
        assert leaving
        stopping = asyncio.create_task(first.gateway.stop())
        await eventually_async(lambda: _is_leaving(first), 5)
        answers = await asyncio.gather(*(client.delete("/v1/users/5") for client in clients))
        assert {answer.status_code for answer in answers} == {200}
        assert sum(answer.headers.get("connection") == "close" for answer in answers) == len(leaving)
        await stopping
        answers = await asyncio.gather(*(client.delete("/v1/users/5") for client in clients))
        assert {answer.status_code for answer in answers} == {200}
        ids = [answer.json()["correlation_id"] for answer in answers]
        assert accepted_here(second, ids) == len(ids)


async def test_one_that_does_not_serve_yet_gets_nothing(
    gateways: tuple[Served, Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the registry has yet to answer the third, the two that serve get every connection, by both doors."""
    first, _ = gateways
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://127.0.0.1:1")
    grpc_port, http_port = first.gateway.server.port, first.gateway.http.port
    shared: dict[str, Any] = {"port": grpc_port, "http_port": http_port, "shares_ports": True}
    async with serving(first.gateway.settings.server, start=False, name="g-shared-c", **shared) as third:
        starting = asyncio.create_task(third.gateway.start())
        await eventually_async(lambda: _is_followed(third), 5)
        for _ in range(CLIENTS):
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{http_port}") as http:
                assert (await http.delete("/v1/users/5")).status_code == 200
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(f"127.0.0.1:{grpc_port}", options=options) as channel:
                await users_pb2_grpc.UserServiceStub(channel).DeleteUser(DeleteUserRequest(user_id=5))
        assert not starting.done()
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _is_leaving(served: Served) -> bool:
    return served.gateway.http.leaving


async def _is_followed(served: Served) -> bool:
    """Whether the start has come so far that it asks the registry."""
    return served.gateway.tracker._loop is not None
