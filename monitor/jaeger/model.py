"""Jaeger's JSON for its page, which Grafana reads too: traces with their spans and processes, in microseconds.

The names are those of `internal/uimodel` in Jaeger. The event store has neither a span's events nor its resource
beyond the service, so `logs` and the tags of processes are empty.
"""

import contextlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from polystream.v1.operations_pb2 import Span

from monitor.span_tree import parent_of
from monitor.store.port import FoundSpans

Json = dict[str, Any]

_SAFE_INTEGER_MAX: Final = 2**53 - 1  # of JavaScript's numbers; Jaeger writes larger ones as text
_SHORT_ID_DIGITS: Final = 16


def envelope(data: Any, total: int = 0, errors: Sequence[Json] | None = None) -> Json:
    """Return what stands around every answer."""
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors or None}


def error(status: int, message: str, trace_id: str = "") -> Json:
    """Return an error for the envelope."""
    return {"code": status, "msg": message} | ({"traceID": short_trace_id(trace_id)} if trace_id else {})


def trace(trace_id: str, found: FoundSpans) -> Json:
    """Return a trace. What is left out of it is said in its warnings."""
    services = dict.fromkeys(span.service for span in found.spans)
    processes = {service: f"p{number}" for number, service in enumerate(services, 1)}
    left_out = [f"{found.left_out} later spans of this trace are left out"] if found.left_out else None
    return {
        "traceID": short_trace_id(trace_id),
        "spans": [_span(span, processes[span.service]) for span in found.spans],
        "processes": {key: {"serviceName": service, "tags": []} for service, key in processes.items()},
        "warnings": left_out,
    }


def short_trace_id(trace_id: str) -> str:
    """Return a trace ID as Jaeger writes it: in 16 digits where the first 16 of 32 are zeros."""
    head, tail = trace_id[:-_SHORT_ID_DIGITS], trace_id[-_SHORT_ID_DIGITS:]
    return trace_id if head.strip("0") else tail


def _span(span: Span, process: str) -> Json:
    trace_id = short_trace_id(span.trace_id)
    return {
        "traceID": trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": _references(span),
        "startTime": span.start_time.ToMicroseconds(),
        "duration": int(span.duration_ms * 1000),
        "tags": _tags(span),
        "logs": [],
        "processID": process,
        "warnings": None,
    }


def _references(span: Span) -> list[Json]:
    """Return the span's parent, which comes first, and its links."""
    parent = parent_of(span)
    references = [("CHILD_OF", *parent)] if parent else []
    references += [("FOLLOWS_FROM", link.trace_id, link.span_id) for link in span.links]
    return [
        {"refType": kind, "traceID": short_trace_id(trace_id), "spanID": span_id}
        for kind, trace_id, span_id in references
    ]


def _tags(span: Span) -> list[Json]:
    """Return the attributes with their types, and what Jaeger makes tags of beside them, in the order of their keys."""
    tags = [_tag(name, value, span.attribute_types) for name, value in span.attributes.items()]
    tags.append({"key": "span.kind", "type": "string", "value": span.kind.lower()})
    if span.error:
        tags.append({"key": "error", "type": "bool", "value": True})
        tags.append({"key": "otel.status_code", "type": "string", "value": "ERROR"})
    return sorted(tags, key=lambda tag: str(tag["key"]))


def _tag(name: str, value: str, types: Mapping[str, int]) -> Json:
    """Return an attribute as a tag: a text where its value is not of its type, as it may be in a store."""
    with contextlib.suppress(ValueError):
        match types.get(name, Span.ATTRIBUTE_TYPE_UNSPECIFIED):
            case Span.BOOL if value in ("true", "false"):
                return {"key": name, "type": "bool", "value": value == "true"}
            case Span.INT64:
                whole = int(value)
                return {"key": name, "type": "int64", "value": whole if abs(whole) <= _SAFE_INTEGER_MAX else value}
            case Span.FLOAT64 if math.isfinite(number := float(value)):  # JSON has no other ones
                return {"key": name, "type": "float64", "value": number}
    return {"key": name, "type": "string", "value": value}
