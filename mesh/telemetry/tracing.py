"""Spans. Whether a command is traced is decided once, where it enters; the rest follow."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
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
_EXPORT_TIMEOUT_S = 10  # of one try, with the exporter's own pauses of 1, 2 and 4 s
_TRY_PAUSE_S = 1.0
_TRIES_MAX_S = 300.0  # of one batch: what nobody takes for so long gives way to the spans behind it
QUEUE_FULL: Final = "queue_full"  # why a span was dropped
NOT_TAKEN: Final = "not_taken"


class Tracing:
    """Makes a service's spans and sends them by OTLP.

    `service_name` and `instance` become OpenTelemetry's resource attributes `service.name` and `service.instance.id`.
    Raises nothing later on. While nobody takes spans, the newest 8,192 are kept, at most 5 minutes; what is dropped is
    counted, and logged.
    """

    def __init__(self, service_name: str, instance: str, settings: TelemetrySettings) -> None:
        self._provider: TracerProvider | None = None
        self._losses = SpanLosses()
        self._exporter: _RetryingExporter | None = None
        self._ids = _ChosenIds()
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
            id_generator=self._ids,
            resource=Resource.create({SERVICE_NAME: service_name, SERVICE_INSTANCE_ID: instance}),
        )
        exporter = OTLPSpanExporter(
            endpoint=settings.otlp_endpoint,
            insecure=not settings.otlp_endpoint.startswith("https"),
            timeout=_EXPORT_TIMEOUT_S,
            channel_options=GRPC_OPTIONS,  # type: ignore[arg-type] # gRPC takes numbers, too
        )
        self._exporter = _RetryingExporter(exporter, self._losses)
        self._provider.add_span_processor(_BoundedProcessor(self._exporter, self._losses))
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
        *,
        start_time_ns: int | None = None,
        span_id: int | None = None,
    ) -> Span | None:
        """Start a span of a command that is traced; None where the parent is not sampled or tracing is off.

        `start_time_ns` is in nanoseconds since the epoch; without it, the span starts now. `span_id` has 64 bits, not
        all zero; without it, it is drawn. The caller ends the span.
        """
        if self._provider is None or (parent is not None and not parent.sampled):
            return None
        self._ids.choose(span_id)
        return self._tracer.start_span(
            name, otel_context(parent), kind=kind, attributes=attributes, start_time=start_time_ns
        )

    def shutdown(self) -> None:
        """Send what is queued, until a try fails, which takes 10 s at the most, and stop."""
        if self._exporter is not None:
            self._exporter.stop_waiting()
        if self._provider is not None:
            self._provider.shutdown()


class SpanLosses:
    """Spans that were dropped. Any thread may read it."""

    def __init__(self) -> None:
        self.queue_full = 0
        self.not_taken = 0
        self.ended = 0  # spans that were given to the queue
        self.handed = 0  # of them, those that have left it
        self.settled = 0  # of them, those that were taken, or are given up

    def read(self) -> list[tuple[int, Mapping[str, str]]]:
        """Return how many were dropped, by cause."""
        return [(self.queue_full, {names.CAUSE: QUEUE_FULL}), (self.not_taken, {names.CAUSE: NOT_TAKEN})]


class _ChosenIds(RandomIdGenerator):
    """Span IDs: one that the thread has chosen for its next span, else a random one."""

    def __init__(self) -> None:
        self._chosen = threading.local()

    def choose(self, span_id: int | None) -> None:
        """Have the thread's next span get this ID; None for a random one."""
        self._chosen.span_id = span_id

    def generate_span_id(self) -> int:
        """Return the next span's ID."""
        chosen: int | None = getattr(self._chosen, "span_id", None)
        return super().generate_span_id() if chosen is None else chosen


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


class _RetryingExporter(SpanExporter):
    """An exporter that tries again while nobody takes spans, and counts what is given up."""

    def __init__(self, inner: SpanExporter, losses: SpanLosses) -> None:
        self._inner = inner
        self._losses = losses
        self._stopping = threading.Event()
        self._has_given_up = False  # since it stops: what is queued has no more time

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, however long that takes within the bound. Meanwhile, others queue up behind them."""
        losses = self._losses
        losses.handed += len(spans)
        deadline_s = time.monotonic() + _TRIES_MAX_S
        result = SpanExportResult.FAILURE
        try:
            while not self._has_given_up:
                result = self._inner.export(spans)
                if result is SpanExportResult.SUCCESS or time.monotonic() > deadline_s:
                    break
                self._has_given_up = self._stopping.wait(_TRY_PAUSE_S)
        finally:
            if result is not SpanExportResult.SUCCESS:
                losses.not_taken += len(spans)
            losses.settled += len(spans)
        return result

    def stop_waiting(self) -> None:
        """Try nothing again from now on."""
        self._stopping.set()

    def shutdown(self) -> None:
        """Close the connection."""
        self._inner.shutdown()


def context_of(span: Span) -> TraceContext:
    """Return the context that a span's children get."""
    own = span.get_span_context()
    return trace_context(
        f"{own.trace_id:032x}",
        f"{own.span_id:016x}",
        sampled=own.trace_flags.sampled,
        tracestate=own.trace_state.to_header(),
    )
