"""Queries over gRPC, on both servers: what a client gets is what the handlers give, errors in full."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import pytest
from google.longrunning import operations_pb2_grpc, operations_proto_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from polystream.v1.contents_pb2 import GetContentRequest, ListContentsRequest
from polystream.v1.contents_pb2_grpc import ContentServiceStub
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import GetOperationRequest, Operation, WatchOperationRequest
from polystream.v1.operations_pb2_grpc import OperationServiceStub
from polystream.v1.system_pb2 import GetHealthRequest, Health
from polystream.v1.system_pb2_grpc import SystemServiceStub
from polystream.v1.users_pb2 import GetUserRequest
from polystream.v1.users_pb2_grpc import UserServiceStub

from gateway.admission import Admissions
from gateway.bootstrap import LONG_RUNNING
from gateway.calls import Calls
from gateway.doors.grpc_server import GrpcServer
from gateway.operations.event_log import EventLogClient
from gateway.operations.marks import StoreMarks
from gateway.operations.tracker import OperationTracker
from gateway.queries import build_queries
from gateway.queries.health import HealthQueries, PlatformProbes
from gateway.queries.stores import Stores
from mesh.catalog import load_catalog
from mesh.health.part import PartHealth
from mesh.ids import new_correlation_id
from mesh.schemas import RegistryClient
from mesh.settings import (
    GatewaySettings,
    KafkaSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.telemetry.tracing import Tracing
from mesh.threads import CriticalThreads
from tests.support.closing import close_stores
from tests.support.engine_pool import Lease
from tests.support.gateways import SERVERS
from tests.support.platform import EngineSet
from tests.support.waiting import eventually_async


class NoCommands:
    """Stands where the command path is: no test here sends a command."""

    def submit(self, *_: Any) -> NoReturn:
        """Fail the test."""
        raise AssertionError("a command was sent")


@dataclass
class Served:
    """A gateway and a channel to it."""

    channel: grpc.aio.Channel
    tracker: OperationTracker


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run Redis and the registry: every other part is away."""
    return lease("redis", "schema_registry")


@pytest.fixture(params=SERVERS)
async def served(
    running: EngineSet, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    """Serve the queries."""
    absent = {
        "POSTGRES_PORT": "1",
        "MONGODB_URL": "mongodb://127.0.0.1:1/streaming_db",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "OTEL_SDK_DISABLED": "true",
    }
    for name, value in (absent | running.settings).items():
        monkeypatch.setenv(name, value)
    settings = GatewaySettings(port=0, server=request.param, monitor_address="127.0.0.1:1")
    tracing, catalog = Tracing("gateway", "test", TelemetrySettings()), load_catalog()
    stores = Stores(PostgresSettings(), MongoSettings(), RedisSettings())
    event_log, registry = EventLogClient(settings.monitor_address), RegistryClient(RegistrySettings())
    tracker = OperationTracker(
        settings=settings,
        catalog=catalog,
        kafka=KafkaSettings(),
        redis_settings=RedisSettings(),
        redis_client=stores.redis_client,
        marks=StoreMarks(stores),
        marks_ttl_s=7 * 24 * 3600,
        schemas=registry,
        event_log=event_log,
        tracing=tracing,
        threads=CriticalThreads(),
    )
    probes = PlatformProbes(stores, KafkaSettings(), RegistrySettings())
    health = PartHealth("gateway-0", "gateway")
    health.ready()
    platform = HealthQueries(probes.by_name(), event_log.parts, health)
    queries = build_queries(stores, tracker, event_log, platform)
    calls = Calls(
        catalog,
        (*catalog.services, LONG_RUNNING),
        NoCommands(),  # type: ignore[arg-type]
        queries,
        admissions=Admissions(max_request_bytes=settings.max_request_bytes, demo_data=False),
        tracing=tracing,
        max_streams=settings.max_streams,
    )
    server = GrpcServer(calls, settings, platform)
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield Served(channel, tracker)
    await server.stop(0)
    await probes.close()
    await event_log.close()
    await close_stores(stores)
    registry.close()


async def refusal(call: Any) -> tuple[str, str, list[str], dict[str, str]]:
    """Return a refused call's code, reason, fields at fault and metadata."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
    assert status is not None
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    for detail in status.details[1:]:
        detail.Unpack(bad_request)
    fields = [violation.field for violation in bad_request.field_violations]
    return caught.value.code().name, info.reason, fields, dict(info.metadata)


async def test_errors_reach_the_client_in_full(served: Served) -> None:
    """What is not there, a foreign page token, an invalid field, a store that is away: code, reason and fields."""
    contents, users = ContentServiceStub(served.channel), UserServiceStub(served.channel)
    assert await refusal(contents.GetContent(GetContentRequest(content_id=1))) == (
        "NOT_FOUND",
        "CONTENT_NOT_FOUND",
        ["content_id"],
        {},
    )
    assert await refusal(contents.ListContents(ListContentsRequest(page_token="foreign"))) == (
        "INVALID_ARGUMENT",
        "INVALID_PAGE_TOKEN",
        ["page_token"],
        {},
    )
    assert (await refusal(contents.ListContents(ListContentsRequest(page_size=-1))))[:3] == (
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        ["page_size"],
    )
    assert await refusal(users.GetUser(GetUserRequest(user_id=1))) == (
        "UNAVAILABLE",
        "STORE_UNAVAILABLE",
        [],
        {"store": "POSTGRESQL", "error": "the store does not answer in time"},
    )
    unknown = GetOperationRequest(correlation_id="00000000-0000-4000-8000-000000000000")
    assert (await refusal(OperationServiceStub(served.channel).GetOperation(unknown)))[:2] == (
        "UNAVAILABLE",
        "EVENT_LOG_UNAVAILABLE",
    )


async def test_an_operation_is_watched_as_a_stream(served: Served) -> None:
    """A message for each change, then the end; the standard interface then has the same operation."""
    correlation_id = new_correlation_id()
    accepted = Operation(
        name=f"operations/{correlation_id}",
        correlation_id=correlation_id,
        command="CreateUser",
        state=Operation.ACCEPTED,
    )
    served.tracker.accepted(accepted)
    states = []
    operations = OperationServiceStub(served.channel)
    async for operation in operations.WatchOperation(WatchOperationRequest(correlation_id=correlation_id)):
        states.append(operation.state)
        served.tracker._memory.add(
            CommandReceipt(
                correlation_id=correlation_id, command="CreateUser", store="POSTGRESQL", state=Operation.SUCCEEDED
            )
        )
    assert states == [Operation.ACCEPTED, Operation.SUCCEEDED]
    standard = operations_pb2_grpc.OperationsStub(served.channel)
    found = await standard.GetOperation(operations_proto_pb2.GetOperationRequest(name=accepted.name))
    assert found.done
    cancel = standard.CancelOperation(operations_proto_pb2.CancelOperationRequest(name=accepted.name))
    assert (await refusal(cancel))[:2] == ("UNIMPLEMENTED", "UNIMPLEMENTED")


async def test_a_client_that_leaves_a_stream_leaves_nothing_behind(served: Served) -> None:
    """A canceled watch is no watcher any more."""
    correlation_id = new_correlation_id()
    served.tracker.accepted(Operation(correlation_id=correlation_id, command="CreateUser", state=Operation.ACCEPTED))
    stub: Any = OperationServiceStub(served.channel)  # for what it reads: a message, or the end
    call = stub.WatchOperation(WatchOperationRequest(correlation_id=correlation_id))
    assert (await call.read()).state == Operation.ACCEPTED
    assert len(served.tracker._memory._watchers) == 1
    call.cancel()

    async def nobody_watches() -> bool:
        return not served.tracker._memory._watchers

    await eventually_async(nobody_watches, 30)


async def test_health_tells_of_each_part_in_bounded_time(served: Served) -> None:
    """Parts that are away are named, those that work too; many who ask at once get one answer."""
    system = SystemServiceStub(served.channel)
    began_s = time.monotonic()
    first, *others = await asyncio.gather(*(system.GetHealth(GetHealthRequest()) for _ in range(20)))
    assert time.monotonic() - began_s < 3
    assert all(other == first for other in others)
    assert first.status == Health.DEGRADED
    healthy = {component.name for component in first.components if component.status == Health.HEALTHY}
    assert healthy == {"redis", "schema_registry", "gateway"}
    away = [component for component in first.components if component.status == Health.UNHEALTHY]
    lanes = {"lane-postgresql", "lane-mongodb", "lane-redis"}
    assert {component.name for component in away} == {"kafka", "postgresql", "mongodb", "monitor", *lanes}
    assert all(component.detail for component in away)
