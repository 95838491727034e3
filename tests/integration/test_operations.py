"""Operations followed over a real broker, a real registry and a real Redis."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import psutil
import pytest
import redis
from confluent_kafka import Producer
from google.longrunning import operations_proto_pb2 as longrunning
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2
from grpc_status import rpc_status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from polystream.monitor.v1.event_log_pb2_grpc import EventLogServiceServicer, add_EventLogServiceServicer_to_server
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import (
    ExplainOperationRequest,
    GetOperationRequest,
    ListOperationsRequest,
    ListOperationsResponse,
    Operation,
    OperationStory,
    WaitOperationRequest,
    WatchOperationRequest,
)
from polystream.v1.users_pb2 import User

from gateway.operations.event_log import EventLog
from gateway.operations.longrunning import LongRunningOperations
from gateway.operations.shelf import Claim
from gateway.operations.tracker import OperationTracker
from gateway.queries.operations import OperationQueries
from gateway.queries.stores import Stores
from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.ids import new_correlation_id, request_correlation_id
from mesh.provision import register_schemas
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import (
    GatewaySettings,
    KafkaSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
    TelemetrySettings,
)
from mesh.telemetry.context import TraceContext
from mesh.telemetry.tracing import Tracing
from tests.support.platform import EngineSet, engines, free_ports
from tests.support.waiting import eventually_async

STORES = ("POSTGRESQL", "MONGODB", "REDIS")
RESULT = CommandReceipt.Result(
    type_url=f"type.googleapis.com/{User.DESCRIPTOR.full_name}", value=User(user_id=7).SerializeToString()
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineSet]:
    """Run the broker, the registry and Redis."""
    with engines({"kafka", "schema_registry", "redis"}, tmp_path_factory.mktemp("operations")) as started:
        yield started


@pytest.fixture(autouse=True)
def provisioned(running: EngineSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the settings to the engines, and see that topics and schemas are there."""
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    topics.create_topics(KafkaSettings().client_config("test"))
    registry = RegistryClient(RegistrySettings())
    register_schemas(registry)
    registry.close()


class Lane:
    """Answers commands as lanes do."""

    def __init__(self) -> None:
        registry = RegistryClient(RegistrySettings())
        record = CommandReceipt.DESCRIPTOR.full_name
        schema = load_schema(record)
        self._encoder = Encoder(CommandReceipt.DESCRIPTOR, schema, registry.register(topics.RECEIPTS, record, schema))
        registry.close()
        self._producer = Producer(KafkaSettings().client_config("lane") | {"linger.ms": 0})

    def answer(
        self,
        correlation_id: str,
        *stores: str,
        command: str = "DeleteUser",
        trace: TraceContext | None = None,
        **fields: Any,
    ) -> None:
        """Send one receipt a store, and wait until the broker has them."""
        for store in stores:
            fields = {"state": Operation.SUCCEEDED, "result": RESULT, "user_id": 7} | fields
            receipt = CommandReceipt(correlation_id=correlation_id, command=command, store=store, **fields)
            receipt.accept_time.FromMilliseconds(1_700_000_000_000)
            receipt.complete_time.GetCurrentTime()
            headers = [] if trace is None else [(topics.TRACEPARENT, trace.traceparent)]
            self.send(self._encoder.encode(receipt), headers)

    def send(self, value: bytes, headers: list[tuple[str, str]] | None = None) -> None:
        """Send any bytes."""
        self._producer.produce(topics.RECEIPTS, value=value, key=b"7", headers=headers or [])
        assert self._producer.flush(10) == 0


class MonitorDouble(EventLogServiceServicer):
    """An event log with the operations that it is given."""

    def __init__(self) -> None:
        self.operations: dict[str, Operation] = {}
        self.asked = 0

    async def GetOperation(self, request: GetOperationRequest, context: Any) -> Operation:  # noqa: N802
        """Return an operation that was given."""
        self.asked += 1
        return await self._found(request.correlation_id, context)

    async def ExplainOperation(self, request: ExplainOperationRequest, context: Any) -> OperationStory:  # noqa: N802
        """Return a story with the operation alone."""
        return OperationStory(operation=await self._found(request.correlation_id, context))

    async def ListOperations(self, request: ListOperationsRequest, context: Any) -> ListOperationsResponse:  # noqa: N802
        """Return every operation of the command asked for."""
        if request.page_token:
            fault = FieldFault("page_token", "is not one of this list")
            error = PolystreamError(Reason.INVALID_PAGE_TOKEN, faults=[fault])
            await context.abort_with_status(rpc_status.to_status(error.to_status()))
        found = [o for o in self.operations.values() if request.command in {"", o.command}]
        return ListOperationsResponse(operations=found, next_page_token="next")

    async def _found(self, correlation_id: str, context: Any) -> Operation:
        if correlation_id not in self.operations:
            status = PolystreamError(Reason.OPERATION_NOT_FOUND).to_status()
            await context.abort_with_status(rpc_status.to_status(status))
        return self.operations[correlation_id]


@pytest.fixture
async def monitor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[MonitorDouble]:
    """Serve an event log."""
    double, server = MonitorDouble(), grpc.aio.server()
    add_EventLogServiceServicer_to_server(double, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    monkeypatch.setenv("MONITOR_ADDRESS", f"127.0.0.1:{port}")
    yield double
    await server.stop(0)


@dataclass
class Gateway:
    """What of a gateway has to do with operations."""

    tracker: OperationTracker
    queries: OperationQueries
    standard: LongRunningOperations
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def finished(self) -> list[ReadableSpan]:
        """Return the spans that have ended."""
        return list(self.spans.get_finished_spans())


@asynccontextmanager
async def gateway(name: str, **settings: Any) -> AsyncIterator[Gateway]:
    """Run a gateway's tracker."""
    own = GatewaySettings(name=name, **settings)
    stores = Stores(PostgresSettings(), MongoSettings(), RedisSettings())
    event_log, registry = EventLog(own.monitor_address), RegistryClient(RegistrySettings())
    tracing = Tracing("gateway", name, TelemetrySettings(OTEL_SDK_DISABLED=False))
    spans = InMemorySpanExporter()
    assert tracing._provider is not None
    for processor in tracing._provider._active_span_processor._span_processors:
        processor.shutdown()
    tracing._provider._active_span_processor._span_processors = (SimpleSpanProcessor(spans),)
    tracker = OperationTracker(
        settings=own,
        catalog=load_catalog(),
        kafka=KafkaSettings(),
        redis_settings=RedisSettings(),
        redis_client=stores.redis_client,
        schemas=registry,
        event_log=event_log,
        tracing=tracing,
    )
    await tracker.start()
    try:
        yield Gateway(tracker, OperationQueries(tracker, event_log), LongRunningOperations(tracker, event_log), spans)
    finally:
        await tracker.close()
        await event_log.close()
        await stores.close()
        registry.close()
        tracing.shutdown()


def accepted(correlation_id: str, command: str = "DeleteUser") -> Operation:
    """Return an operation as the command path makes it."""
    operation = Operation(
        name=f"operations/{correlation_id}",
        correlation_id=correlation_id,
        command=command,
        state=Operation.ACCEPTED,
        user_id=7,
    )
    operation.accept_time.FromMilliseconds(1_700_000_000_000)
    return operation


class Context:
    """A call's context."""

    def __init__(self, remaining_s: float | None = None) -> None:
        self._remaining_s = remaining_s

    def time_remaining(self) -> float | None:
        """Return what is left of the call's deadline."""
        return self._remaining_s


async def done(find: Callable[[str], Awaitable[Operation | None]], correlation_id: str) -> Operation:
    """Wait until an operation is done."""

    async def check() -> Operation | None:
        operation = await find(correlation_id)
        return operation if operation is not None and operation.state != Operation.ACCEPTED else None

    operation = await eventually_async(check, 10)
    assert operation is not None
    return operation


async def saved(running: EngineSet, correlation_ids: list[str]) -> None:
    """Wait until Redis has the operations' three receipts each."""
    with redis.Redis.from_url(running.endpoints["redis"]) as client:

        async def all_there() -> bool:
            return all(client.hlen(f"operation:{correlation_id}") == 3 for correlation_id in correlation_ids)

        await eventually_async(all_there, 10)


async def test_an_operation_succeeds_with_its_last_store(running: EngineSet) -> None:
    """The gateway that accepted a command sees each receipt; the last one completes it."""
    correlation_id = new_correlation_id()
    async with gateway("g-success") as here:
        lane = Lane()
        here.tracker.accepted(accepted(correlation_id))
        lane.answer(correlation_id, "POSTGRESQL", "REDIS")

        async def two_receipts() -> bool:
            operation = await here.tracker.find(correlation_id)
            return operation is not None and len(operation.receipts) == 2

        await eventually_async(two_receipts, 10)
        found = await here.tracker.find(correlation_id.upper())
        assert found is not None
        assert found.state == Operation.ACCEPTED
        lane.answer(correlation_id, "MONGODB")
        operation = await here.tracker.wait(correlation_id, 10)
        assert operation is not None
        assert operation.state == Operation.SUCCEEDED
        assert [receipt.store for receipt in operation.receipts] == [1, 2, 3]
        result = User()
        assert operation.result.Unpack(result)
        assert result.user_id == 7
    with redis.Redis.from_url(running.endpoints["redis"]) as client:
        assert set(client.hkeys(f"operation:{correlation_id}")) == {b"POSTGRESQL", b"MONGODB", b"REDIS"}
        assert 0 < client.ttl(f"operation:{correlation_id}") <= 24 * 3600


async def test_receipts_may_be_quicker_than_the_acknowledgement() -> None:
    """A receipt that comes first is kept for the operation that it belongs to."""
    correlation_id = new_correlation_id()
    async with gateway("g-early") as here:
        Lane().answer(correlation_id, "POSTGRESQL", command="CreateUser")
        await done(here.tracker.find, correlation_id)
        here.tracker.accepted(accepted(correlation_id, "CreateUser"))
        operation = await here.tracker.find(correlation_id)
        assert operation is not None
        assert operation.state == Operation.SUCCEEDED


async def test_another_gateway_tells_the_same_operation() -> None:
    """What one gateway has put into Redis, another that began later reads there, and a waiter there is woken too."""
    first, second = new_correlation_id(), new_correlation_id()
    async with gateway("g-one") as one:
        lane = Lane()
        one.tracker.accepted(accepted(first))
        lane.answer(first, *STORES)
        known = await done(one.tracker.find, first)
        async with gateway("g-two", operation_memory_max=1) as two:
            assert await done(two.tracker.find, first) == known
            lane.answer(second, "POSTGRESQL")
            await eventually_async(lambda: two.tracker.find(second), 10)
            waiting = asyncio.create_task(two.tracker.wait(second, 10))
            lane.answer(second, "MONGODB", "REDIS")
            operation = await waiting
            assert operation is not None
            assert operation.state == Operation.SUCCEEDED


async def test_a_gateway_goes_on_where_its_former_self_stopped() -> None:
    """What was answered while it was away is read at its return, and read without a group's delays."""
    before, during = new_correlation_id(), new_correlation_id()
    async with gateway("g-return") as here:
        Lane().answer(before, *STORES)
        await done(here.tracker.find, before)
    Lane().answer(during, *STORES)
    async with gateway("g-return") as here:
        began_s = time.monotonic()
        await done(here.tracker.find, during)
        assert time.monotonic() - began_s < 3
        assert here.tracker._memory.get(before) is None, "what was done with is not read again"


async def test_redis_away_does_not_keep_waiters_waiting(running: EngineSet) -> None:
    """Receipts reach those who wait at the gateway; Redis gets them when it is back, also those of meanwhile."""
    lost = [new_correlation_id() for _ in range(3)]
    async with gateway("g-no-redis") as here:
        lane = Lane()
        warm = new_correlation_id()
        lane.answer(warm, *STORES)
        await done(here.tracker.find, warm)
        running.kill("redis")
        try:
            for correlation_id in lost:
                here.tracker.accepted(accepted(correlation_id))
                lane.answer(correlation_id, *STORES)
                operation = await here.tracker.wait(correlation_id, 5)
                assert operation is not None
                assert operation.state == Operation.SUCCEEDED
            assert await here.tracker.claim_request(new_correlation_id(), b"a") is Claim.UNKNOWN
        finally:
            running.start("redis")
        await saved(running, lost)


async def test_redis_hanging_delays_nobody_for_long(running: EngineSet) -> None:
    """A Redis that accepts and never answers costs a second at a time, and gets all receipts when it goes on."""
    correlation_ids = [new_correlation_id() for _ in range(2)]
    async with gateway("g-hanging-redis") as here:
        lane = Lane()
        warm = new_correlation_id()
        lane.answer(warm, *STORES)
        await done(here.tracker.find, warm)
        server = psutil.Process(running.pid("redis"))
        server.suspend()
        try:
            for correlation_id in correlation_ids:
                here.tracker.accepted(accepted(correlation_id))
                lane.answer(correlation_id, *STORES)
                began_s = time.monotonic()
                operation = await here.tracker.wait(correlation_id, 10)
                assert operation is not None
                assert operation.state == Operation.SUCCEEDED
                assert time.monotonic() - began_s < 5
            began_s = time.monotonic()
            assert await here.tracker.claim_request(new_correlation_id(), b"a") is Claim.UNKNOWN
            assert time.monotonic() - began_s < 2
        finally:
            server.resume()
        await saved(running, correlation_ids)


async def test_a_broker_that_forgot_its_topics_is_followed_again(running: EngineSet) -> None:
    """The broker in memory comes back empty: positions in the topic before do not hide what is in the new one."""
    old, new = new_correlation_id(), new_correlation_id()
    async with gateway("g-new-topic") as here:
        lane = Lane()
        for _ in range(20):
            lane.answer(new_correlation_id(), "POSTGRESQL")
        lane.answer(old, *STORES)
        await done(here.tracker.find, old)
        running.kill("kafka")
        running.start("kafka")
        topics.create_topics(KafkaSettings().client_config("test"))
        Lane().answer(new, *STORES)
        assert (await done(here.tracker.find, new)).state == Operation.SUCCEEDED


async def test_a_record_that_is_no_receipt_is_passed_over() -> None:
    """Garbage on the topic stops nobody."""
    correlation_id = new_correlation_id()
    async with gateway("g-garbage") as here:
        lane = Lane()
        lane.send(b"")
        lane.send(b"\x00\x00\x00\x00\x01garbage")
        lane.send(b"\x00\x7f\xff\xff\xffgarbage")
        lane.answer(correlation_id, *STORES)
        assert (await done(here.tracker.find, correlation_id)).state == Operation.SUCCEEDED


async def test_one_request_id_is_claimed_once_by_all_gateways() -> None:
    """Of many claims at once by two gateways one is NEW; the same request is told from another."""
    correlation_id = request_correlation_id("test", new_correlation_id())
    async with gateway("g-claim-1") as one, gateway("g-claim-2") as two:
        claims = await asyncio.gather(
            *(g.tracker.claim_request(correlation_id, b"same") for g in (one, two) for _ in range(20))
        )
        assert sorted(claim.name for claim in claims) == ["NEW"] + ["SAME"] * 39
        assert await two.tracker.claim_request(correlation_id, b"other") is Claim.OTHER


async def test_unknown_is_said_only_by_those_who_know(monitor: MonitorDouble) -> None:
    """The event log settles it: an ID that it does not know is unknown; when it is away, nothing is said."""
    unknown = request_correlation_id("test", new_correlation_id())
    async with gateway("g-unknown") as here:
        assert await here.tracker.find(unknown) is None
        assert monitor.asked == 1
        with pytest.raises(PolystreamError) as caught:
            await here.queries.get_operation(GetOperationRequest(correlation_id=unknown), Context())
        assert caught.value.reason is Reason.OPERATION_NOT_FOUND
        monitor.operations[unknown] = accepted(unknown)
        assert await here.tracker.find(unknown) == accepted(unknown)
    async with gateway("g-alone", monitor_address="127.0.0.1:1") as alone:
        with pytest.raises(PolystreamError) as caught:
            await alone.tracker.find(unknown)
        assert caught.value.reason is Reason.EVENT_LOG_UNAVAILABLE


async def test_a_fresh_id_gets_a_second(monitor: MonitorDouble) -> None:
    """An ID made a moment ago may be known in a moment; one that stays unknown is given up after a second."""
    fresh, never = new_correlation_id(), new_correlation_id()
    async with gateway("g-fresh") as here:
        finding = asyncio.create_task(here.tracker.find(fresh))

        async def asked_twice() -> bool:
            return monitor.asked >= 2

        await eventually_async(asked_twice, 5)
        monitor.operations[fresh] = accepted(fresh)
        assert await finding == accepted(fresh)
        began_s = time.monotonic()
        assert await here.tracker.find(never) is None
        assert 0.5 < time.monotonic() - began_s < 2


async def test_waiting_ends_with_the_timeout_or_the_calls_deadline(monitor: MonitorDouble) -> None:
    """The operation is then given as it stands, before the deadline has passed."""
    del monitor
    correlation_id = new_correlation_id()
    async with gateway("g-wait") as here:
        here.tracker.accepted(accepted(correlation_id))
        for request, context, most_s in (
            (WaitOperationRequest(correlation_id=correlation_id, timeout=Duration()), Context(), 0.3),
            (WaitOperationRequest(correlation_id=correlation_id, timeout=Duration(nanos=300_000_000)), Context(), 1.0),
            (WaitOperationRequest(correlation_id=correlation_id), Context(0.5), 0.5),
        ):
            began_s = time.monotonic()
            operation = await here.queries.wait_operation(request, context)
            assert operation.state == Operation.ACCEPTED
            assert time.monotonic() - began_s < most_s
        waiting = asyncio.create_task(
            here.queries.wait_operation(WaitOperationRequest(correlation_id=correlation_id), Context())
        )
        Lane().answer(correlation_id, *STORES)
        assert (await waiting).state == Operation.SUCCEEDED


async def test_watching_shows_every_change_and_ends() -> None:
    """The operation as it stands, then after each receipt, and no more once it is done."""
    correlation_id = new_correlation_id()
    async with gateway("g-watch") as here:
        here.tracker.accepted(accepted(correlation_id))
        lane, seen = Lane(), []
        rest = list(STORES)
        async for operation in here.queries.watch_operation(
            WatchOperationRequest(correlation_id=correlation_id), Context()
        ):
            seen.append((len(operation.receipts), operation.state))
            if rest:
                lane.answer(correlation_id, rest.pop(0))
        assert seen == [(0, 1), (1, 1), (2, 1), (3, 2)]


async def test_a_refusal_is_told_to_who_watches() -> None:
    """The stream ends with the failed operation and its status."""
    correlation_id = new_correlation_id()
    error = CommandReceipt.Error(code=code_pb2.NOT_FOUND, reason="USER_NOT_FOUND", message="there is no such user")
    async with gateway("g-refusal") as here:
        here.tracker.accepted(accepted(correlation_id))
        Lane().answer(correlation_id, "MONGODB", state=Operation.FAILED, result=None, error=error)
        seen = [operation async for operation in here.tracker.watch(correlation_id)]
        assert seen[-1].state == Operation.FAILED
        assert seen[-1].error.message == "there is no such user"


async def test_the_standard_interface_tells_the_same(monitor: MonitorDouble) -> None:
    """google.longrunning.Operations: done with the response or the error, the rest as metadata."""
    correlation_id = new_correlation_id()
    name = f"operations/{correlation_id}"
    async with gateway("g-standard") as here:
        here.tracker.accepted(accepted(correlation_id))
        pending = await here.standard.get_operation(longrunning.GetOperationRequest(name=name), Context())
        assert not pending.done
        Lane().answer(correlation_id, *STORES)
        finished = await here.standard.wait_operation(longrunning.WaitOperationRequest(name=name), Context())
        metadata, response = Operation(), User()
        assert (finished.name, finished.done) == (name, True)
        assert finished.metadata.Unpack(metadata)
        assert finished.response.Unpack(response)
        assert (metadata.state, metadata.HasField("result"), response.user_id) == (Operation.SUCCEEDED, False, 7)

        failed = accepted(new_correlation_id())
        failed.state = Operation.FAILED
        failed.error.code = code_pb2.NOT_FOUND
        monitor.operations[failed.correlation_id] = failed
        shown = await here.standard.get_operation(longrunning.GetOperationRequest(name=failed.name), Context())
        assert (shown.done, shown.error.code) == (True, code_pb2.NOT_FOUND)
        listed = await here.standard.list_operations(longrunning.ListOperationsRequest(name="operations"), Context())
        assert [o.name for o in listed.operations] == [failed.name]
        assert listed.next_page_token == "next"


@pytest.mark.parametrize(
    ("method", "request_", "reason", "fields"),
    [
        ("get_operation", longrunning.GetOperationRequest(name="x"), Reason.INVALID_FIELD, ["name"]),
        ("get_operation", longrunning.GetOperationRequest(name="operations/x"), Reason.INVALID_FIELD, ["name"]),
        ("list_operations", longrunning.ListOperationsRequest(name="users"), Reason.INVALID_FIELD, ["name"]),
        ("list_operations", longrunning.ListOperationsRequest(filter="a=b"), Reason.INVALID_FIELD, ["filter"]),
        ("list_operations", longrunning.ListOperationsRequest(page_size=-1), Reason.INVALID_FIELD, ["page_size"]),
        (
            "list_operations",
            longrunning.ListOperationsRequest(page_token="x"),
            Reason.INVALID_PAGE_TOKEN,
            ["page_token"],
        ),
        ("delete_operation", longrunning.DeleteOperationRequest(name="x"), Reason.UNIMPLEMENTED, []),
        ("cancel_operation", longrunning.CancelOperationRequest(name="x"), Reason.UNIMPLEMENTED, []),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_the_standard_interface_refuses_what_it_cannot_do(
    monitor: MonitorDouble, method: str, request_: Any, reason: Reason, fields: list[str]
) -> None:
    """Each refusal has its reason, and the field at fault where there is one."""
    del monitor
    async with gateway("g-refuse") as here:
        with pytest.raises(PolystreamError) as caught:
            await getattr(here.standard, method)(request_, Context())
    assert caught.value.reason is reason
    assert [fault.field for fault in caught.value.faults] == fields


async def test_lists_and_stories_come_from_the_event_log(monitor: MonitorDouble) -> None:
    """Filters go there, and its errors come back as they are."""
    one, two = accepted(new_correlation_id()), accepted(new_correlation_id(), "CreateUser")
    monitor.operations = {one.correlation_id: one, two.correlation_id: two}
    async with gateway("g-list") as here:
        listed = await here.queries.list_operations(ListOperationsRequest(command="CreateUser"), Context())
        assert list(listed.operations) == [two]
        story = await here.queries.explain_operation(
            ExplainOperationRequest(correlation_id=one.correlation_id), Context()
        )
        assert story.operation == one
        with pytest.raises(PolystreamError) as caught:
            await here.queries.list_operations(ListOperationsRequest(page_token="foreign"), Context())
        assert caught.value.reason is Reason.INVALID_PAGE_TOKEN
        assert [fault.field for fault in caught.value.faults] == ["page_token"]
        unknown = request_correlation_id("test", new_correlation_id())
        with pytest.raises(PolystreamError) as caught:
            await here.queries.explain_operation(ExplainOperationRequest(correlation_id=unknown), Context())
        assert caught.value.reason is Reason.OPERATION_NOT_FOUND


async def test_the_last_hop_is_in_the_trace_of_a_traced_command_alone() -> None:
    """One CONSUMER span a receipt, below the span that sent it, at the gateway that accepted the command."""
    traced, untraced, foreign = (new_correlation_id() for _ in range(3))
    parent = TraceContext("1" * 32, "2" * 16, sampled=True)
    async with gateway("g-trace") as here:
        lane = Lane()
        here.tracker.accepted(accepted(traced))
        here.tracker.accepted(accepted(untraced))
        lane.answer(foreign, *STORES, trace=parent)
        lane.answer(untraced, *STORES, trace=TraceContext("3" * 32, "4" * 16, sampled=False))
        lane.answer(traced, *STORES, trace=parent)
        lane.answer(traced, *STORES, trace=parent, duplicate=True)
        for correlation_id in (foreign, untraced, traced):
            await done(here.tracker.find, correlation_id)
        last = new_correlation_id()
        lane.answer(last, *STORES)
        await done(here.tracker.find, last)
        spans = here.finished()
    assert [span.name for span in spans] == ["process response_events"] * 3
    for span in spans:
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (parent.trace_id, parent.span_id)
        assert span.attributes is not None
        assert span.attributes["messaging.message.conversation_id"] == traced
    assert {span.attributes["polystream.store"] for span in spans if span.attributes} == set(STORES)


async def test_a_gateway_starts_and_stops_without_any_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for at the start, and stopping is bounded."""
    ports = free_ports()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{ports.kafka}")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{ports.redis}/0")
    correlation_id = new_correlation_id()
    began_s = time.monotonic()
    async with gateway("g-nothing") as here:
        assert time.monotonic() - began_s < 1
        here.tracker.accepted(accepted(correlation_id))
        operation = await here.tracker.wait(correlation_id, 0.2)
        assert operation is not None
        assert operation.state == Operation.ACCEPTED
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 6
