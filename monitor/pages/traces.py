"""Traces: the search for them, one as a waterfall, and two beside each other."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Span
from starlette.requests import Request

from mesh.errors import PolystreamError, Reason
from mesh.telemetry.names import CONVERSATION_ID
from monitor.jaeger import parameters
from monitor.jaeger.api import PREFIX
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.trace_form import LIMITS, LOOKBACKS_MS, SORTS, read_form
from monitor.pages.waterfall import service_look, waterfall_of
from monitor.span_tree import parents_first
from monitor.store.port import FoundSpans
from monitor.trace_comparison import compare
from monitor.traces import Traces

INTERVAL_S: Final = 5.0
_SETTLES_MS: Final = 30_000  # after its last span, nothing more of a trace is awaited
_OPERATIONS_MAX: Final = 5  # of one trace, linked
_INDENTED_MAX: Final = 12  # steps of what is compared


@dataclass(frozen=True, slots=True)
class ServiceShare:
    """How many spans of a trace are one service's."""

    service: str
    look: str  # the class of its colour
    spans: int


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace in the list of those that were found."""

    trace_id: str
    root: Span  # its first one
    start_time: Timestamp
    duration_ms: float  # from its first beginning to its last end
    services: Sequence[ServiceShare]
    spans: int
    errors: int
    left_out: int  # spans that are not counted here


_ORDERS: Final[Mapping[str, Callable[[TraceSummary], float]]] = {
    "recent": lambda summary: summary.start_time.ToNanoseconds(),
    "longest": lambda summary: summary.duration_ms,
    "most_spans": lambda summary: summary.spans + summary.left_out,
}


class _TracePages:
    def __init__(self, traces: Traces, addresses: Mapping[str, str | None]) -> None:
        self._traces = traces
        self._jaeger = f"{addresses.get('dashboard') or ''}{PREFIX}"

    async def search(self, request: Request) -> Shown:
        """Show the form, and what it finds."""
        query, now_ms = request.query_params, time.time_ns() // 1_000_000
        names = await asyncio.to_thread(self._traces.names)
        service = query.get("service", "")
        values = {
            "said": query,
            "services": list(dict.fromkeys(each.service for each in names if each.service)),
            "names": list(dict.fromkeys(each.name for each in names if service in ("", each.service))),
            "lookbacks": list(LOOKBACKS_MS),
            "limits": LIMITS,
            "sorts": SORTS,
            "jaeger": self._jaeger,
            "compared": query.get("compare", ""),
        }
        try:
            form = read_form(query, now_ms)
        except PolystreamError as error:
            if error.reason is not Reason.INVALID_FIELD:
                raise
            nothing: dict[str, Any] = {"error": error, "form": None, "found": [], "count": 0}
            return Shown(values | nothing, HTTPStatus.BAD_REQUEST, has_ended=True)
        found = await asyncio.to_thread(self._traces.find, form.query)
        summaries = [summary_of(trace_id, spans) for trace_id, spans in found.traces.items()]
        summaries.sort(key=_ORDERS[form.sort], reverse=True)
        shown = {"error": None, "form": form, "found": summaries, "count": found.found}
        return Shown(values | shown, has_ended=form.is_past)

    async def trace(self, request: Request) -> Shown:
        """Show one trace as a waterfall."""
        trace_id = parameters.trace_id(request.path_params["trace_id"], "trace_id")
        spans = await self._spans(trace_id)
        if spans is None:
            return Shown({"trace_id": trace_id, "summary": None}, HTTPStatus.NOT_FOUND)
        summary = summary_of(trace_id, spans)
        ended_ms = summary.start_time.ToMilliseconds() + summary.duration_ms
        own = (span.attributes.get(CONVERSATION_ID, "") for span in spans.spans)
        return Shown(
            {
                "trace_id": trace_id,
                "summary": summary,
                "waterfall": waterfall_of(parents_first(spans.spans)),
                "operations": [each for each in dict.fromkeys(own) if each][:_OPERATIONS_MAX],
                "json": f"{PREFIX}/api/traces/{trace_id}?{urlencode({'prettyPrint': 'true'})}",
            },
            has_ended=time.time() * 1000 - ended_ms > _SETTLES_MS,
        )

    async def comparison(self, request: Request) -> Shown:
        """Show two traces beside each other."""
        query = request.query_params
        left_id, right_id = (parameters.trace_id(query.get(name, ""), name) for name in ("left", "right"))
        left, right = await self._spans(left_id), await self._spans(right_id)
        if left is None or right is None:
            missing = [each for each, spans in ((left_id, left), (right_id, right)) if spans is None]
            return Shown({"missing": missing, "steps": []}, HTTPStatus.NOT_FOUND)
        return Shown(
            {
                "missing": (),
                "steps": compare(left.spans, right.spans),
                "left": summary_of(left_id, left),
                "right": summary_of(right_id, right),
                "indented_max": _INDENTED_MAX,
            }
        )

    async def _spans(self, trace_id: str) -> FoundSpans | None:
        found = await asyncio.to_thread(self._traces.of_ids, [trace_id])
        return found.traces.get(trace_id)


def pages(traces: Traces, addresses: Mapping[str, str | None]) -> list[DashboardPage]:
    """Return the pages. `addresses` are those of the platform's parts."""
    views = _TracePages(traces, addresses)
    compared, one = "/traces/compare", "/traces/{trace_id}"
    return [
        DashboardPage("traces", "/traces", views.search, INTERVAL_S),
        DashboardPage("trace_comparison", compared, views.comparison, in_navigation=False, section="traces"),
        DashboardPage("trace", one, views.trace, INTERVAL_S, in_navigation=False, section="traces"),
    ]


def summary_of(trace_id: str, found: FoundSpans) -> TraceSummary:
    """Return what the list says of a trace, which has one span at the least."""
    spans = found.spans
    first = min(spans, key=lambda span: span.start_time.ToNanoseconds())
    start_ms = first.start_time.ToNanoseconds() / 1e6
    counts = Counter(span.service for span in spans)
    return TraceSummary(
        trace_id=trace_id,
        root=parents_first(spans)[0],
        start_time=first.start_time,
        duration_ms=max(span.start_time.ToNanoseconds() / 1e6 + span.duration_ms for span in spans) - start_ms,
        services=[ServiceShare(service, service_look(service), count) for service, count in sorted(counts.items())],
        spans=len(spans),
        errors=sum(span.error for span in spans),
        left_out=found.left_out,
    )
