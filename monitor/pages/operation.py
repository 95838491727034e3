"""One operation: its hops, trace, logs and stores' answers, what is missing, and how to ask for it elsewhere."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from polystream.options.v1.options_pb2 import Store
from polystream.v1.operations_pb2 import Event, Operation, OperationStory
from starlette.requests import Request

from mesh.catalog import Catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import CORRELATION_ID, issue_time_ms
from mesh.operation import is_done
from mesh.proto_json import to_dict
from monitor.pages.calls import Call, call_of
from monitor.pages.operations import listed
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.waterfall import waterfall_of
from monitor.service import EventLog
from monitor.supervisor_watch import LINES_MAX, SupervisorWatch

INTERVAL_S: Final = 0.5
_SETTLES_MS: Final = 30_000  # after that, nothing more is awaited: no span, and no command that nobody knows


@dataclass(frozen=True, slots=True)
class Hop:
    """A hop, and how long after the first one it was."""

    event: Event
    after_ms: float


class _Operation:
    def __init__(
        self, log: EventLog, catalog: Catalog, addresses: Mapping[str, str | None], watch: SupervisorWatch
    ) -> None:
        self._log = log
        self._catalog = catalog
        self._addresses = addresses
        self._watch = watch

    async def view(self, request: Request) -> Shown:
        correlation_id = request.path_params["correlation_id"]
        now_ms = time.time() * 1000
        try:
            story = await asyncio.to_thread(self._log.story, correlation_id)
        except PolystreamError as error:
            # A moment after a gateway has accepted a command, the event log has it too.
            if error.reason is Reason.OPERATION_NOT_FOUND and _is_new(correlation_id, now_ms):
                return Shown({"correlation_id": correlation_id, "story": None})
            raise
        done_ms = story.operation.complete_time.ToMilliseconds()
        is_settled = not story.missing or now_ms - done_ms > _SETTLES_MS
        has_ended = is_done(story.operation) and is_settled
        logged = await self._watch.lines_of(correlation_id, as_of_now=has_ended)
        logs = {
            "has_supervisor": self._watch.is_there,
            "log_lines": logged.answer or (),
            "log_fault": logged.fault,
            "log_lines_max": LINES_MAX,
        }
        return Shown(self._values(correlation_id, story) | logs, has_ended=has_ended)

    def _values(self, correlation_id: str, story: OperationStory) -> dict[str, Any]:
        operation = to_dict(story.operation)
        return {
            "correlation_id": correlation_id,
            "story": story,
            "listed": listed(story.operation, self._catalog),
            "hops": _hops(story.hops),
            "waterfall": waterfall_of(story.spans),
            "error": operation.get("error"),
            "result": {name: value for name, value in operation.get("result", {}).items() if name != "@type"},
            "jaeger": self._addresses.get("jaeger") or "",
            "store_name": Store.Name,
            "state_name": Operation.State.Name,
            "calls": self._calls(correlation_id),
        }

    def _calls(self, correlation_id: str) -> Call:
        return call_of(self._catalog, "ExplainOperation", {"correlation_id": correlation_id}, self._addresses)


def page(log: EventLog, catalog: Catalog, addresses: Mapping[str, str | None], watch: SupervisorWatch) -> DashboardPage:
    """Return the page. `addresses` are those of the platform's parts; `watch` knows their logs."""
    view = _Operation(log, catalog, addresses, watch).view
    path = "/operations/{correlation_id}"
    return DashboardPage("operation", path, view, INTERVAL_S, in_navigation=False, section="operations")


def _is_new(correlation_id: str, now_ms: float) -> bool:
    issued_ms = issue_time_ms(correlation_id) if CORRELATION_ID.fullmatch(correlation_id) else None
    return issued_ms is not None and abs(now_ms - issued_ms) < _SETTLES_MS


def _hops(events: Sequence[Event]) -> list[Hop]:
    first_us = min((event.timestamp.ToMicroseconds() for event in events), default=0)
    return [Hop(event, (event.timestamp.ToMicroseconds() - first_us) / 1000) for event in events]
