"""A whole gateway inside a test's own event loop, and what a test reads of its answers and of Kafka."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from confluent_kafka import Consumer, TopicPartition
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.bootstrap import Gateway, build
from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Decoder
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import GatewaySettings, KafkaSettings, RegistrySettings, TelemetrySettings
from mesh.telemetry.metric_list import Service
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.tracing import Tracing
from tests.support.headers import header_texts
from tests.support.waiting import eventually

SERVERS = ("native", "native-tasks", "grpcio")
_READ_TIMEOUT_S = 30.0


@dataclass
class Served:
    """A gateway that runs, and a channel to it."""

    gateway: Gateway
    channel: grpc.aio.Channel
    spans: InMemorySpanExporter

    def named_spans(self) -> Mapping[str, ReadableSpan]:
        """Return the finished spans by name."""
        return {span.name: span for span in self.spans.get_finished_spans()}


@asynccontextmanager
async def serving(server: str, *, start: bool = True, **settings: Any) -> AsyncIterator[Served]:
    """Run a gateway on a port of its own, its other settings from the environment; stop it in the end."""
    tracing, spans = Tracing("gateway", "test", TelemetrySettings()), InMemorySpanExporter()
    if tracing._provider is not None:
        tracing._provider.add_span_processor(SimpleSpanProcessor(spans))
    chosen: dict[str, Any] = {"port": 0, "http_port": 0, "server": server} | settings
    metrics = Metrics(Service.GATEWAY, "test", TelemetrySettings(OTEL_METRICS_EXPORTER="none"))
    gateway = build(GatewaySettings(**chosen), tracing, metrics)
    if start:
        await gateway.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{gateway.server.port}") as channel:
        yield Served(gateway, channel, spans)
    await gateway.stop()
    tracing.shutdown()


@dataclass(frozen=True)
class Refusal:
    """An error as a client gets it."""

    code: grpc.StatusCode
    message: str
    status: status_pb2.Status | None
    trailing: Mapping[str, Any]

    @property
    def info(self) -> error_details_pb2.ErrorInfo:
        """The ErrorInfo."""
        return self._detail(error_details_pb2.ErrorInfo())

    @property
    def reason(self) -> str:
        """ErrorInfo's reason."""
        return str(self.info.reason)

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields at fault, each with its description."""
        return {v.field: v.description for v in self._detail(error_details_pb2.BadRequest()).field_violations}

    @property
    def retry_delay_s(self) -> float:
        """RetryInfo's delay; 0 where there is none."""
        return float(self._detail(error_details_pb2.RetryInfo()).retry_delay.ToTimedelta().total_seconds())

    def _detail(self, into: Any) -> Any:
        for detail in self.status.details if self.status is not None else ():
            if detail.Unpack(into):
                break
        return into


async def refused(call: Any) -> Refusal:
    """Await a call that must fail, and return how it did."""
    try:
        answer = await call
    except grpc.aio.AioRpcError as error:
        trailing = dict(error.trailing_metadata() or ())
        return Refusal(error.code(), error.details() or "", rpc_status.from_call(error), trailing)  # type: ignore[arg-type]
    raise AssertionError(f"the call was answered: {answer}")


@dataclass(frozen=True)
class Command:
    """One record of `user_events`."""

    name: str
    key: str
    request: Message
    headers: Mapping[str, str]


class CommandLog:
    """Reads `user_events` from its beginning."""

    def __init__(self) -> None:
        self._registry = RegistryClient(RegistrySettings())
        self._decoders: dict[str, Decoder] = {}
        self._commands = load_catalog().commands
        self._consumer = Consumer(
            {
                **KafkaSettings().client_config("test"),
                "group.id": "test",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
            }
        )
        self._consumer.assign([TopicPartition(topics.COMMANDS, p, 0) for p in range(topics.PARTITIONS)])
        self._read: dict[str, list[Command]] = {}

    def of(self, correlation_id: str) -> list[Command]:
        """Return the records with the correlation ID that have been read, waiting for the first."""
        read = self._read.get(correlation_id)
        return read or eventually(lambda: self._drain().get(correlation_id), _READ_TIMEOUT_S, interval_s=0.0)

    def has(self, correlation_ids: Sequence[str]) -> bool:
        """Whether a record with each of the correlation IDs is there, waiting for them."""
        return eventually(lambda: set(correlation_ids) <= self._drain().keys(), _READ_TIMEOUT_S, interval_s=0.0)

    def close(self) -> None:
        """Close the clients."""
        self._consumer.close()
        self._registry.close()

    def _drain(self) -> Mapping[str, list[Command]]:
        for message in self._consumer.consume(1000, timeout=0.2):
            if message.error():
                continue
            headers = header_texts(message.headers())
            name = headers[topics.COMMAND]
            record = Command(name, (message.key() or b"").decode(), self._decoded(name, message.value()), headers)
            self._read.setdefault(headers[topics.CORRELATION_ID], []).append(record)
        return self._read

    def _decoded(self, name: str, value: bytes | None) -> Message:
        command = self._commands[name]
        if name not in self._decoders:
            self._decoders[name] = Decoder(command.request_class, load_schema(command.request_type), self._registry)
        return self._decoders[name].decode(value)
