"""Events: everything that has happened to any command, searched for by all that an event says."""

from typing import Final

from polystream.v1 import operations_pb2 as pb
from starlette.requests import Request

from mesh.catalog import Catalog
from monitor.listing.fields import EVENTS
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.search import SearchForm
from monitor.records import ACCEPTED, DEAD_LETTERED, DISCARDED, FAILED, PARKED, RECEIVED, REDRIVEN, SUCCEEDED
from monitor.service import EventLog

INTERVAL_S: Final = 2.0
TYPES: Final = (ACCEPTED, RECEIVED, SUCCEEDED, FAILED, DEAD_LETTERED, REDRIVEN, DISCARDED, PARKED)
# The fields of the list that the form's are looked for in.
FIELDS: Final = {
    "state": "status",
    **{name: name for name in ("event_type", "command", "user_id", "reason", "store", "correlation_id", "trace_id")},
    "text": "error",
}


class _Events:
    def __init__(self, log: EventLog, catalog: Catalog) -> None:
        self._log = log
        self._form = SearchForm(EVENTS, FIELDS, catalog.commands)

    async def view(self, request: Request) -> Shown:
        found = await self._form.look_for(request.query_params, pb.ListEventsRequest, self._log.events_page)
        return self._form.shown(found, event_types=TYPES)


def page(log: EventLog, catalog: Catalog) -> DashboardPage:
    """Return the page."""
    return DashboardPage("events", "/events", _Events(log, catalog).view, INTERVAL_S)
