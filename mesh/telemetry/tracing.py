"""Spans. Whether a command is traced is decided once, where it enters; the rest follow."""

from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, _get_from_env_or_default
from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue

from mesh.direct import GRPC_OPTIONS
from mesh.settings import TelemetrySettings
from mesh.telemetry.context import TraceContext, otel_context, trace_context, unsampled
from mesh.telemetry.sampling import RATE_LIMITED, HeadSampler, RateLimit

_SCHEDULE_DELAY_MS = 250  # a finished command's spans are to be found at once
_MAX_QUEUED_SPANS = 8192
_MAX_EXPORT_SPANS = 512
_EXPORT_TIMEOUT_S = 10  # with its pauses of 1, 2 and 4 s: a monitor that starts again within 7 s misses nothing


class Tracing:
    """Makes a service's spans and sends them by OTLP.

    `service_name` and `instance` become OpenTelemetry's resource attributes `service.name` and `service.instance.id`.
    Raises nothing later on: a span that cannot be sent within 10 s is dropped, and the loss is logged.
    """

    def __init__(self, service_name: str, instance: str, settings: TelemetrySettings) -> None:
        self._provider: TracerProvider | None = None
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
        self._provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=_MAX_QUEUED_SPANS,
                schedule_delay_millis=_SCHEDULE_DELAY_MS,
                max_export_batch_size=_MAX_EXPORT_SPANS,
            )
        )
        self._tracer = self._provider.get_tracer("polystream")

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


def context_of(span: Span) -> TraceContext:
    """Return the context that a span's children get."""
    own = span.get_span_context()
    return trace_context(
        f"{own.trace_id:032x}",
        f"{own.span_id:016x}",
        sampled=own.trace_flags.sampled,
        tracestate=own.trace_state.to_header(),
    )
