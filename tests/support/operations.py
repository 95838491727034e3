"""Operations without the platform around them: a lane's answers, an event log, a gateway's tracker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from confluent_kafka import Producer
from grpc_status import rpc_status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from polystream.monitor.v1.event_log_pb2_grpc import EventLogServiceServicer
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import (
    ExplainOperationRequest,
    GetOperationRequest,
    ListOperationsRequest,
    ListOperationsResponse,
    Operation,
    OperationStory,
)
from polystream.v1.users_pb2 import User

from gateway.operations.event_log import EventLogClient
from gateway.operations.longrunning import LongRunningOperations
from gateway.operations.marks import StoreMarks
from gateway.operations.tracker import OperationTracker
from gateway.queries.operations import OperationQueries
from gateway.queries.stores import Stores
from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.envelope import receipt_headers
from mesh.errors import FieldFault, PolystreamError, Reason
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
from mesh.threads import CriticalThreads
from stack.provision import register_schemas
from tests.support.platform import EngineSet
from tests.support.waiting import eventually_async

STORES = ("POSTGRESQL", "MONGODB", "REDIS")
RESULT = CommandReceipt.Result(
    type_url=f"type.googleapis.com/{User.DESCRIPTOR.full_name}", value=User(user_id=7).SerializeToString()
)


def provision() -> None:
    """See that topics and schemas are there, in the engines that the settings lead to."""
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
        schema_id = registry.register(topics.RECEIPTS, record, schema)
        self._encoder = Encoder(CommandReceipt.DESCRIPTOR, schema, schema_id)  # type: ignore[arg-type] # upb's own class
        registry.close()
        self._producer = Producer(KafkaSettings().client_config("lane") | {"linger.ms": 0})

    def answer(
        self,
        correlation_id: str,
        *stores: str,
        command: str = "DeleteUser",
        trace: TraceContext | None = None,
        flush: bool = True,
        **fields: Any,
    ) -> None:
        """Send one receipt a store, and wait until the broker has them, unless `flush` is to do so."""
        for store in stores:
            given: dict[str, Any] = {"state": Operation.SUCCEEDED, "result": RESULT, "user_id": 7} | fields
            receipt = CommandReceipt(correlation_id=correlation_id, command=command, store=store, **given)
            receipt.accept_time.FromMilliseconds(1_700_000_000_000)
            receipt.complete_time.GetCurrentTime()
            self.send(
                self._encoder.encode(receipt), receipt_headers(correlation_id, command, trace, store=store), flush
            )

    def send(
        self, value: bytes, headers: list[tuple[str, str | bytes | None]] | None = None, flush: bool = True
    ) -> None:
        """Send any bytes."""
        self._producer.produce(topics.RECEIPTS, value=value, key=b"7", headers=headers or [])
        if flush:
            self.flush()

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(30) == 0


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
    event_log, registry = EventLogClient(own.monitor_address), RegistryClient(RegistrySettings())
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
        marks=StoreMarks(stores),
        marks_ttl_s=7 * 24 * 3600,
        schemas=registry,
        event_log=event_log,
        tracing=tracing,
        threads=CriticalThreads(),
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

    operation = await eventually_async(check, 30)
    assert operation is not None
    return operation


async def saved(running: EngineSet, correlation_ids: list[str]) -> None:
    """Wait until Redis has the operations' three receipts each."""
    with redis.Redis.from_url(running.endpoints["redis"]) as client:

        async def all_there() -> bool:
            return all(client.hlen(f"operation:{correlation_id}") == 3 for correlation_id in correlation_ids)

        await eventually_async(all_there, 30)
