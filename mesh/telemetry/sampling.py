"""Which commands are traced: all while traffic is light, a bounded number a second under load."""

import time
from collections.abc import Callable

from opentelemetry.sdk.trace.sampling import Decision, Sampler

from mesh.telemetry.context import TraceContext, otel_context

RATE_LIMITED = "parentbased_ratelimited"


class RateLimit:
    """A token bucket that lets `per_second` traces a second pass, and as many at once after a second of quiet.

    It is not locked: one event loop, or one thread, may use it. `clock_s` returns seconds.
    """

    def __init__(self, per_second: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._clock_s = clock_s
        self._tokens = per_second
        self._updated_s = clock_s()

    def admit(self) -> bool:
        """Take a token if there is one."""
        now_s = self._clock_s()
        self._tokens = min(self._per_second, self._tokens + (now_s - self._updated_s) * self._per_second)
        self._updated_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class HeadSampler:
    """Decides whether a command that enters the platform is traced: head sampling, in OpenTelemetry's terms."""

    def __init__(self, limit: RateLimit | None, sampler: Sampler | None) -> None:
        self._limit = limit
        self._sampler = sampler

    def admit(self, parent: TraceContext | None, trace_id: str) -> bool:
        """Decide for a command whose caller sent `parent`, or nothing. What the caller does not record is not recorded.

        `trace_id` has 32 hexadecimal digits; samplers that trace a share of the commands choose by it.
        """
        if self._limit is not None:
            return (parent is None or parent.sampled) and self._limit.admit()
        if self._sampler is None:
            return False
        result = self._sampler.should_sample(otel_context(parent), int(trace_id, 16), "command")
        return result.decision is Decision.RECORD_AND_SAMPLE
