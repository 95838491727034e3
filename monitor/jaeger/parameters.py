"""The parameters of Jaeger's query API. Each function raises PolystreamError INVALID_FIELD, which names the parameter.

Jaeger takes durations in Go's notation, times in microseconds since the epoch, and tags as a JSON object.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import QueryParams

from mesh.errors import FieldFault, PolystreamError, Reason
from monitor.traces import KINDS, TRACES_MAX, TraceQuery

_DEFAULT_LIMIT: Final = 100
_DEFAULT_LOOKBACK_MS: Final = 2 * 86_400_000
_TEXT_MAX_CHARACTERS: Final = 512  # as of a filter's value
_TAGS_MAX: Final = 20
_NUMBER: Final = re.compile(r"\d{1,19}", re.ASCII)
_TIME_MAX_US: Final = 9_200_000_000_000_000  # in the year 2261: a span's time has nanoseconds in 64 bits
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h|d))+", re.ASCII)
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h|d)", re.ASCII)
_UNITS_MS: Final = {
    "ns": 1e-6,
    "us": 1e-3,
    "µs": 1e-3,
    "μs": 1e-3,
    "ms": 1.0,
    "s": 1e3,
    "m": 60e3,
    "h": 3600e3,
    "d": 86_400e3,
}
_DURATION_MAX_CHARACTERS: Final = 32
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_TRACE_ID_DIGITS: Final = 32


def trace_query(query: QueryParams, now_ms: int) -> TraceQuery:
    """Return what `/traces` is asked for."""
    service = text(query, "service")
    if not service:
        raise fault("service", "is required")
    end_ms = time_ms(query, "end") if query.get("end") else now_ms
    shortest, longest = duration_ms(query, "minDuration"), duration_ms(query, "maxDuration")
    if shortest is not None and longest is not None and longest < shortest:
        raise fault("maxDuration", "should be greater than minDuration")
    return TraceQuery(
        service=service,
        name=text(query, "operation"),
        attributes=tags(query),
        since_ms=time_ms(query, "start") if query.get("start") else _looked_back(query, end_ms),
        until_ms=end_ms,
        min_duration_ms=shortest,
        max_duration_ms=longest,
        limit=number(query, "limit", _DEFAULT_LIMIT, 1, TRACES_MAX),
    )


def trace_ids(query: QueryParams) -> list[str]:
    """Return the IDs that `traceID` names, each once."""
    ids = list(dict.fromkeys(trace_id(each, "traceID") for each in query.getlist("traceID")))
    if len(ids) > TRACES_MAX:
        raise fault("traceID", f"names {TRACES_MAX} traces at the most")
    return ids


def trace_id(written: str, name: str) -> str:
    """Return a trace ID in 32 digits; Jaeger leaves zeros at its beginning out."""
    if _TRACE_ID.fullmatch(written) is None:
        raise fault(name, "is a trace ID of 32 hexadecimal digits at the most")
    return written.lower().zfill(_TRACE_ID_DIGITS)


def span_kind(query: QueryParams) -> str:
    """Return the kind that is asked for, as spans have it; empty for any."""
    kind = text(query, "spanKind").upper()
    if kind and kind not in KINDS:
        raise fault("spanKind", f"is one of {', '.join(KINDS).lower()}")
    return kind


def times_ms(query: QueryParams, now_ms: int) -> tuple[int, int]:
    """Return the beginning and the end of `endTs` and `lookback`, which are in milliseconds."""
    end_ms = number(query, "endTs", now_ms, 0, _TIME_MAX_US // 1000)
    return max(0, end_ms - number(query, "lookback", _DEFAULT_LOOKBACK_MS, 0, _TIME_MAX_US // 1000)), end_ms


def tags(query: QueryParams) -> Mapping[str, str]:
    """Return the tags that a span must have: of `tag=key:value`, and of `tags={"key":"value"}`."""
    found: dict[str, str] = {}
    for each in query.getlist("tag"):
        key, colon, value = each.partition(":")
        if not colon:
            raise fault("tag", "is written key:value")
        found[key] = value
    for each in query.getlist("tags"):
        try:
            read = json.loads(each or "{}")
        except (ValueError, RecursionError):
            read = None
        if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
            raise fault("tags", "is a JSON object with text in all values")
        found |= read
    if len(found) > _TAGS_MAX:
        raise fault("tags", f"has {_TAGS_MAX} tags at the most")
    for key, value in found.items():
        if not key or not _is_text(key) or not _is_text(value):
            raise fault("tags", f"has keys and values of {_TEXT_MAX_CHARACTERS} characters at the most")
    return found


def text(query: QueryParams, name: str) -> str:
    """Return a text; empty where there is none."""
    value = query.get(name, "")
    if not _is_text(value):
        raise fault(name, f"has {_TEXT_MAX_CHARACTERS} characters at the most")
    return value


def number(query: QueryParams, name: str, default: int, least: int, most: int) -> int:
    """Return a whole number."""
    written = query.get(name, "")
    if not written:
        return default
    if _NUMBER.fullmatch(written) is None or not least <= int(written) <= most:
        raise fault(name, f"is a whole number from {least} to {most}")
    return int(written)


def time_ms(query: QueryParams, name: str) -> int:
    """Return a time, which is in microseconds since the epoch, in milliseconds."""
    return number(query, name, 0, 0, _TIME_MAX_US) // 1000


def duration_ms(query: QueryParams, name: str) -> float | None:
    """Return a duration; None where there is none."""
    written = query.get(name, "").strip()
    if written in ("", "0"):
        return None
    if len(written) > _DURATION_MAX_CHARACTERS or _DURATION.fullmatch(written) is None:
        raise fault(name, "is a duration such as 1.2s, 100ms or 500us")
    return sum(float(amount) * _UNITS_MS[unit] for amount, unit in _DURATION_PART.findall(written))


def fault(name: str, description: str) -> PolystreamError:
    """Return the error of a parameter. It holds nothing of its value, which may be anything."""
    return PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault(name, description)])


def _looked_back(query: QueryParams, end_ms: int) -> int:
    """Return the beginning of a search that names none. `custom` stands beside one that does."""
    looked_back = None if query.get("lookback") == "custom" else duration_ms(query, "lookback")
    return max(0, end_ms - int(min(_DEFAULT_LOOKBACK_MS if looked_back is None else looked_back, _TIME_MAX_US)))


def _is_text(value: str) -> bool:
    """Whether it is short enough, and has no half of a character in it, which JSON can write."""
    return len(value) <= _TEXT_MAX_CHARACTERS and not any("\ud800" <= sign <= "\udfff" for sign in value)
