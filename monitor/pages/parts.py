"""The parts: every process as the supervisor tells it, starting one again with a reason, and the end of its log."""

from collections.abc import Callable, Sequence
from typing import Final

from starlette.requests import Request

from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.health.components import HeardPart
from mesh.health.messages import timestamp
from mesh.http_status import http_status
from mesh.ids import CORRELATION_ID
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.request_body import said_in
from monitor.supervisor_watch import LINES_MAX, SupervisorWatch

INTERVAL_S: Final = 1.0
# How what the supervisor calls a status looks; what is on its way looks as what waits.
_LOOKS: Final = {"ready": "HEALTHY", "unhealthy": "UNHEALTHY", "stopped": "UNHEALTHY"}


class _Parts:
    def __init__(self, heard: Callable[[], Sequence[HeardPart]], watch: SupervisorWatch) -> None:
        self._heard = heard
        self._watch = watch

    async def view(self, request: Request) -> Shown:
        said: dict[str, str] = {}
        error: PolystreamError | None = None
        if request.method == "POST":
            said = await said_in(request)
            try:
                given = (said.get("part", ""), said.get("principal", ""), said.get("justification", ""))
                await self._watch.restart(*given)
                said = {}
            except PolystreamError as raised:
                error = raised
        told = await self._watch.report()
        values = {
            "has_supervisor": self._watch.is_there,
            "report": told.answer,
            "fault": told.fault,
            "heard": self._heard() if told.answer is None else (),
            "restarts": self._watch.restarts,
            "look": lambda status: _LOOKS.get(status, "DEGRADED"),
            "at": lambda time_s: timestamp(round(time_s * 1000)),
            "said": said,
            "error": error,
        }
        status = 200 if error is None else http_status(error.reason.value.code, error.reason.name)
        return Shown(values, status)

    async def log(self, request: Request) -> Shown:
        correlation_id = request.query_params.get("correlation_id", "").strip()
        if correlation_id and not CORRELATION_ID.fullmatch(correlation_id):
            fault = FieldFault("correlation_id", "is no correlation ID", "string.pattern")
            raise PolystreamError(Reason.INVALID_FIELD, faults=[fault])
        name = request.path_params["name"]
        told = await self._watch.log_of(name, correlation_id)
        values = {
            "name": name,
            "correlation_id": correlation_id,
            "has_supervisor": self._watch.is_there,
            "lines": told.answer or (),
            "lines_max": LINES_MAX,
            "fault": told.fault,
        }
        return Shown(values, 404 if told.reason == "UNKNOWN_PART" else 200)


def pages(heard: Callable[[], Sequence[HeardPart]], watch: SupervisorWatch) -> Sequence[DashboardPage]:
    """Return the page, and that of one part's log. `heard` tells what the parts themselves have reported."""
    views = _Parts(heard, watch)
    return (
        DashboardPage("platform_parts", "/parts", views.view, INTERVAL_S, methods=("GET", "POST")),
        DashboardPage(
            *("part_log", "/parts/{name}", views.log, INTERVAL_S), in_navigation=False, section="platform_parts"
        ),
    )
