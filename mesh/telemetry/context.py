"""W3C Trace Context (https://www.w3.org/TR/trace-context/), read and written by hand.

OpenTelemetry's general propagator costs more than a command does.
"""

import re
from typing import Final, NamedTuple

from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from mesh.ids import RandomDigits

# Of a trace that nobody records, new for each: a whole `traceparent`.
_UNSAMPLED: Final = RandomDigits(24, lambda digits: f"00-{digits[:32]}-{digits[32:]}-00")
_TRACEPARENT = re.compile(r"^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$")
_MAX_TRACESTATE_BYTES = 512  # what everybody should at least pass on, by the specification's limits


class TraceContext(NamedTuple):
    """Where a span stands in its trace."""

    traceparent: str  # the header, in version 00
    sampled: bool
    tracestate: str = ""

    @property
    def trace_id(self) -> str:
        """The trace's ID, 32 hexadecimal digits."""
        return self.traceparent[3:35]

    @property
    def span_id(self) -> str:
        """The span's ID, 16 hexadecimal digits."""
        return self.traceparent[36:52]


def trace_context(trace_id: str, span_id: str, *, sampled: bool, tracestate: str = "") -> TraceContext:
    """Return where a span stands whose IDs have 32 and 16 hexadecimal digits."""
    return TraceContext(f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}", sampled, tracestate)


def parse(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """Read the headers `traceparent` and `tracestate`; None if `traceparent` is missing or not valid.

    Any version but ff is read as version 00, as the specification asks ("Versioning of traceparent"). A `tracestate`
    that is too long is left out.
    """
    if not traceparent:
        return None
    match = _TRACEPARENT.match(traceparent)
    if match is None or traceparent.startswith("ff"):
        return None
    trace_id, span_id, flags = match.groups()
    if trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    state = tracestate if tracestate and len(tracestate) <= _MAX_TRACESTATE_BYTES else ""
    return trace_context(trace_id, span_id, sampled=bool(int(flags, 16) & 1), tracestate=state)


def unsampled(parent: TraceContext | None) -> TraceContext:
    """Return a context that says that nothing is recorded, in the parent's trace where there is one."""
    if parent is not None:
        return trace_context(parent.trace_id, parent.span_id, sampled=False, tracestate=parent.tracestate)
    return TraceContext(_UNSAMPLED.draw(), False)


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
