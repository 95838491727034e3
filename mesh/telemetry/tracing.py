"""Spans. Whether a command is traced is decided once, where it enters; the rest follow."""

from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, _get_from_env_or_default
from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue

from mesh.direct import GRPC_OPTIONS
from mesh.settings import TelemetrySettings
from mesh.telemetry import names
from mesh.telemetry.context import TraceContext, otel_context, trace_context, unsampled
from mesh.telemetry.sampling import RATE_LIMITED, HeadSampler, RateLimit

_SCHEDULE_DELAY_MS = 250  # a finished command's spans are to be found at once
_MAX_QUEUED_SPANS = 8192
_MAX_EXPORT_SPANS = 512
_EXPORT_TIMEOUT_S = 10  # with its pauses of 1, 2 and 4 s: a monitor that starts again within 7 s misses nothing
QUEUE_FULL: Final = "queue_full"  # why a span was dropped
NOT_TAKEN: Final = "not_taken"


class Tracing:
    """Makes a service's spans and sends them by OTLP.

    `service_name` and `instance` become OpenTelemetry's resource attributes `service.name` and `service.instance.id`.
    Raises nothing later on: a span that cannot be sent within 10 s is dropped, and the loss is logged.
    """

    def __init__(self, service_name: str, instance: str, settings: TelemetrySettings) -> None:
        self._provider: TracerProvider | None = None
        self._losses = SpanLosses()
        self._head_sampler = HeadSampler(None, None)
        if settings.sdk_disabled:
            return
        if settings.sampler == RATE_LIMITED:
            self._head_sampler = HeadSampler(RateLimit(settings.sampler_arg), None)
        else:
            # A standard value of OTEL_TRACES_SAMPLER: the SDK's own reading of it.
            self._head_sampler = HeadSampler(None, _get_from_env_or_default())
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # only what was admitted reaches the SDK
            resource=Resource.create({SERVICE_NAME: service_name, SERVICE_INSTANCE_ID: instance}),
        )
        exporter = OTLPSpanExporter(
            endpoint=settings.otlp_endpoint,
            insecure=not settings.otlp_endpoint.startswith("https"),
            timeout=_EXPORT_TIMEOUT_S,
            channel_options=GRPC_OPTIONS,  # type: ignore[arg-type] # gRPC takes numbers, too
        )
        self._provider.add_span_processor(_BoundedProcessor(_CountedExporter(exporter, self._losses), self._losses))
        self._tracer = self._provider.get_tracer("polystream")

    @property
    def losses(self) -> "SpanLosses":
        """The spans that were dropped so far, counted."""
        return self._losses

    def enter(self, parent: TraceContext | None) -> TraceContext | None:
        """Decide on a command that enters here.

        Returns None when it is to be traced with `parent` as its parent, else the unsampled context to pass on.
        """
        passed_on = unsampled(parent)
        if self._provider is not None and self._head_sampler.admit(parent, passed_on.trace_id):
            return None
        return passed_on

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: TraceContext | None,
        attributes: Mapping[str, AttributeValue],
        start_time_ns: int | None = None,
    ) -> Span | None:
        """Start a span of a command that is traced; None where the parent is not sampled or tracing is off.

        `start_time_ns` is in nanoseconds since the epoch; without it, the span starts now. The caller ends the span.
        """
        if self._provider is None or (parent is not None and not parent.sampled):
            return None
        return self._tracer.start_span(
            name, otel_context(parent), kind=kind, attributes=attributes, start_time=start_time_ns
        )

    def shutdown(self) -> None:
        """Send what is queued, within the exporter's timeout of 10 s, and stop."""
        if self._provider is not None:
            self._provider.shutdown()


class SpanLosses:
    """Spans that were dropped. Any thread may read it."""

    def __init__(self) -> None:
        self.queue_full = 0
        self.not_taken = 0
        self.ended = 0  # spans that were given to the queue
        self.handed = 0  # of them, those that have left it

    def read(self) -> list[tuple[int, Mapping[str, str]]]:
        """Return how many were dropped, by cause."""
        return [(self.queue_full, {names.CAUSE: QUEUE_FULL}), (self.not_taken, {names.CAUSE: NOT_TAKEN})]


class _BoundedProcessor(BatchSpanProcessor):
    """The SDK's queue, with a bound of its own that counts: the SDK's drops the oldest and tells a log."""

    def __init__(self, exporter: SpanExporter, losses: SpanLosses) -> None:
        super().__init__(
            exporter,
            max_queue_size=_MAX_QUEUED_SPANS,
            schedule_delay_millis=_SCHEDULE_DELAY_MS,
            max_export_batch_size=_MAX_EXPORT_SPANS,
        )
        self._losses = losses

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span, or drop it where the queue is full."""
        losses = self._losses
        if losses.ended - losses.handed >= _MAX_QUEUED_SPANS:
            losses.queue_full += 1
            return
        losses.ended += 1
        super().on_end(span)


class _CountedExporter(SpanExporter):
    """An exporter whose failures are counted."""

    def __init__(self, inner: OTLPSpanExporter, losses: SpanLosses) -> None:
        self._inner = inner
        self._losses = losses

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans. Those that nobody takes in time are dropped."""
        self._losses.handed += len(spans)
        result = self._inner.export(spans)
        if result is not SpanExportResult.SUCCESS:
            self._losses.not_taken += len(spans)
        return result

    def shutdown(self, timeout_millis: float = 30_000) -> None:
        """Close the connection."""
        self._inner.shutdown(timeout_millis)


def context_of(span: Span) -> TraceContext:
    """Return the context that a span's children get."""
    own = span.get_span_context()
    return trace_context(
        f"{own.trace_id:032x}",
        f"{own.span_id:016x}",
        sampled=own.trace_flags.sampled,
        tracestate=own.trace_state.to_header(),
    )
