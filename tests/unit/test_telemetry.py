"""Trace context and sampling."""

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from mesh.telemetry.context import parse, trace_context, unsampled
from mesh.telemetry.sampling import HeadSampler, RateLimit

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"


def test_a_traceparent_survives_reading_and_writing() -> None:
    """What was read is written again."""
    text = f"00-{TRACE}-{SPAN}-01"
    context = parse(text, "vendor=1")
    assert context == trace_context(TRACE, SPAN, sampled=True, tracestate="vendor=1")
    assert context is not None
    assert context.traceparent == text


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "00",
        f"00-{TRACE}-{SPAN}",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-zz",
    ],
)
def test_an_invalid_traceparent_is_ignored(text: str | None) -> None:
    """As the specification asks: the trace starts anew."""
    assert parse(text) is None


def test_a_later_version_with_more_fields_is_read() -> None:
    """A future version's first four fields are those of today."""
    assert parse(f"01-{TRACE}-{SPAN}-01-more") == trace_context(TRACE, SPAN, sampled=True)


def test_what_is_not_sampled_stays_in_its_trace() -> None:
    """The trace ID goes on, so that logs still join on it; the flag does not."""
    context = unsampled(trace_context(TRACE, SPAN, sampled=True))
    assert (context.trace_id, context.sampled) == (TRACE, False)
    alone = unsampled(None)
    assert parse(alone.traceparent) == alone


def test_the_rate_limit_admits_so_many_a_second() -> None:
    """A burst of one second's worth, then as many as time brings."""
    now_s = 100.0
    limit = RateLimit(10, clock_s=lambda: now_s)
    assert sum(limit.admit() for _ in range(50)) == 10
    now_s += 0.5
    assert sum(limit.admit() for _ in range(50)) == 5
    now_s += 60
    assert sum(limit.admit() for _ in range(50)) == 10


def test_what_the_caller_does_not_record_is_not_recorded() -> None:
    """The parent's flag is respected, and takes no token."""
    sampler = HeadSampler(RateLimit(1, clock_s=lambda: 0.0), None)
    assert not sampler.admit(trace_context(TRACE, SPAN, sampled=False), TRACE)
    assert sampler.admit(trace_context(TRACE, SPAN, sampled=True), TRACE)
    assert not sampler.admit(None, TRACE)


def test_a_standard_sampler_decides_where_one_is_configured() -> None:
    """OTEL_TRACES_SAMPLER's own samplers are asked."""
    assert HeadSampler(None, ALWAYS_ON).admit(None, TRACE)
    assert not HeadSampler(None, ALWAYS_OFF).admit(None, TRACE)
