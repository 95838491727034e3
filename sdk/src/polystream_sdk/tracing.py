"""The caller's W3C trace context, sent along with every call."""

import re
from collections.abc import Callable, Mapping

from polystream_sdk.requests import invalid

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[!-~]*)?")


def current_context() -> Callable[[], Mapping[str, str]]:
    """Return a function that gives the headers of OpenTelemetry's current context.

    They are those of the propagators that the program has set, by default `traceparent`, `tracestate` and
    `baggage`. Where OpenTelemetry is not installed, there are none.
    """
    try:
        from opentelemetry import propagate  # noqa: PLC0415 # optional
    except ImportError:
        return dict

    def headers() -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return carrier

    return headers


def explicit_context(traceparent: str) -> Mapping[str, str]:
    """Return the header for a context given by the caller. Raises InvalidFieldError where it is none of W3C's."""
    if not isinstance(traceparent, str) or not _TRACEPARENT.fullmatch(traceparent):
        raise invalid("traceparent", "must be as W3C Trace Context has it, such as 00-<32 hex>-<16 hex>-01")
    return {"traceparent": traceparent}
