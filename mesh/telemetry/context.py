"""W3C Trace Context (https://www.w3.org/TR/trace-context/), read and written by hand.

OpenTelemetry's general propagator costs more than a command does.
"""

import re
from dataclasses import dataclass

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from mesh.ids import RandomDigits

_RANDOM = RandomDigits(24)
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$")
_MAX_TRACESTATE_BYTES = 512  # what everybody should at least pass on, by the specification's limits


@dataclass(frozen=True, slots=True)
class TraceContext:
    """Where a span stands in its trace."""

    trace_id: str  # 32 hexadecimal digits
    span_id: str  # 16 hexadecimal digits
    sampled: bool
    tracestate: str = ""

    @property
    def traceparent(self) -> str:
        """The header `traceparent`, in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


def parse(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """Read the headers `traceparent` and `tracestate`; None if `traceparent` is missing or not valid.

    Any version but ff is read as version 00, as the specification asks ("Versioning of traceparent"). A `tracestate`
    that is too long is left out.
    """
    match = _TRACEPARENT.match(traceparent or "")
    if match is None or traceparent is None or traceparent.startswith("ff"):
        return None
    trace_id, span_id, flags = match.groups()
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    state = tracestate if tracestate and len(tracestate) <= _MAX_TRACESTATE_BYTES else ""
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1), state)


def unsampled(parent: TraceContext | None) -> TraceContext:
    """Return a context that says that nothing is recorded, in the parent's trace where there is one."""
    if parent is not None:
        return TraceContext(parent.trace_id, parent.span_id, False, parent.tracestate)
    digits = _RANDOM.draw()
    return TraceContext(digits[:32], digits[32:], False)


def otel_context(parent: TraceContext | None) -> Context:
    """Return the SDK's form of a remote parent; an empty context where there is none."""
    if parent is None:
        return Context()
    remote = SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT),
        trace_state=TraceState.from_header([parent.tracestate]) if parent.tracestate else TraceState(),
    )
    return set_span_in_context(NonRecordingSpan(remote), Context())
