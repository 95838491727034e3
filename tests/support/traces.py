"""Spans for tests of traces."""

from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Span

from mesh.telemetry.names import CONVERSATION_ID

START_MS: Final = 1_790_000_000_000


def trace_id(number: int) -> str:
    """Return the ID of a trace."""
    return f"{number + 0xABC:032x}"


def span(
    trace: int,
    number: int,
    at_ms: float = 0,
    *,
    parent: int | None = None,
    service: str = "gateway",
    name: str = "POST /v1/users",
    kind: str = "SERVER",
    duration_ms: float = 1.0,
    error: bool = False,
    attributes: Mapping[str, str] | None = None,
    links: Sequence[Span.Link] = (),
) -> Span:
    """Return a span of a trace, so long after `START_MS`; `parent` is the number of another one."""
    start = Timestamp()
    start.FromMicroseconds(int((START_MS + at_ms) * 1000))
    return Span(
        trace_id=trace_id(trace),
        span_id=f"{trace:08x}{number:08x}",
        parent_span_id="" if parent is None else f"{trace:08x}{parent:08x}",
        name=name,
        service=service,
        kind=kind,
        start_time=start,
        duration_ms=duration_ms,
        error=error,
        attributes=attributes or {},
        links=links,
    )


def command_trace(trace: int, at_ms: float = 0, *, lane_ms: float = 4.0, failed: bool = False) -> Sequence[Span]:
    """Return the trace of a command: the gateway takes and sends it, a lane applies it."""
    correlation_id = f"01920000-0000-7000-8000-{trace:012x}"
    attributes = {CONVERSATION_ID: correlation_id, "rpc.method": "CreateUser"}
    return [
        span(trace, 0, at_ms, duration_ms=10, attributes=attributes),
        span(trace, 1, at_ms + 1, parent=0, name="send user_events", kind="PRODUCER", duration_ms=2),
        span(
            *(trace, 2, at_ms + 4),
            parent=1,
            service="processor",
            name="CreateUser postgresql",
            kind="CONSUMER",
            duration_ms=lane_ms,
            error=failed,
            attributes=attributes,
        ),
    ]
