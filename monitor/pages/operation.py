"""One operation: its hops, trace, logs and stores' answers, what is missing, and how to ask for it elsewhere."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from google.protobuf.descriptor import Descriptor
from polystream.options.v1.options_pb2 import Store
from polystream.v1.operations_pb2 import Event, Operation, OperationStory
from starlette.requests import Request

from mesh.catalog import Catalog, Command
from mesh.errors import PolystreamError, Reason
from mesh.ids import CORRELATION_ID, issue_time_ms
from mesh.operation import is_done
from mesh.proto_json import to_dict
from mesh.topic_reader import TopicPosition
from monitor.pages.calls import call_of
from monitor.pages.forms import read_form, with_placeholders
from monitor.pages.masking import masked
from monitor.pages.operations import listed
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.record_lookup import FoundRecords, RecordSource
from monitor.pages.send import AGAIN
from monitor.pages.shown_record import value_text
from monitor.pages.waterfall import waterfall_of
from monitor.records import DISCARDED, FAILED, REDRIVEN, REPEATED, SUCCEEDED
from monitor.service import EventLog
from monitor.supervisor_watch import LINES_MAX, SupervisorWatch

INTERVAL_S: Final = 0.5
_IN_ADDRESS_MAX_CHARACTERS: Final = 500  # of a field
_USER_ID: Final = "user_id"
_RETRIES: Final = frozenset({REDRIVEN, REPEATED})
_ENDS: Final = frozenset({SUCCEEDED, FAILED, DISCARDED})
_SETTLES_MS: Final = 30_000  # after that, nothing more is awaited: no span, and no command that nobody knows


@dataclass(frozen=True, slots=True)
class Hop:
    """A hop, and how long after the first one it was."""

    event: Event
    after_ms: float


@dataclass(frozen=True, slots=True)
class StoreWait:
    """That a store's part waited behind another command."""

    store: str
    behind: str  # the other one's correlation ID
    waited_ms: float | None  # None as long as it waits


class _Operation:
    def __init__(
        self,
        log: EventLog,
        catalog: Catalog,
        addresses: Mapping[str, str | None],
        watch: SupervisorWatch,
        records: RecordSource,
    ) -> None:
        self._log = log
        self._catalog = catalog
        self._addresses = addresses
        self._watch = watch
        self._records = records

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
        is_over = is_done(story.operation) and is_settled
        found, logged = await asyncio.gather(
            self._records.of(correlation_id, _positions(story.hops)),
            self._watch.lines_of(correlation_id, as_of_now=is_over),
        )
        logs = {
            "has_supervisor": self._watch.is_there,
            "log_lines": logged.answer or (),
            "log_fault": logged.fault,
            "log_lines_max": LINES_MAX,
        }
        values = self._values(correlation_id, story) | self._of_records(story, found)
        return Shown(values | logs, has_ended=is_over and not found.is_asking)

    def _values(self, correlation_id: str, story: OperationStory) -> dict[str, Any]:
        operation = masked(story.operation, to_dict(story.operation))
        explained = {"correlation_id": correlation_id}
        return {
            "correlation_id": correlation_id,
            "story": story,
            "listed": listed(story.operation, self._catalog),
            "hops": _hops(story.hops),
            "waits": _waits(story.hops),
            "retries": [hop for hop in _hops(story.hops) if hop.event.event_type in _RETRIES or hop.event.duplicate],
            "waterfall": waterfall_of(story.spans),
            "error": operation.get("error"),
            "result": {name: value for name, value in operation.get("result", {}).items() if name != "@type"},
            "jaeger": self._addresses.get("jaeger") or "",
            "store_name": Store.Name,
            "state_name": Operation.State.Name,
            "explained": call_of(self._catalog, "ExplainOperation", explained, self._addresses),
        }

    def _of_records(self, story: OperationStory, found: FoundRecords) -> dict[str, Any]:
        command = self._catalog.commands.get(story.operation.command)
        form = next((dict(view.form) for view in found.views if view.form is not None), None)
        call, again = None, ""
        if command is not None:
            descriptor: Descriptor = command.request_class.DESCRIPTOR  # type: ignore[assignment] # upb's own class is one
            if form is not None:
                if command.creates and command.key_field == _own_id(command):
                    form.pop(command.key_field, None)  # what there is by now cannot be created
                fields, _ = read_form(command.request_class(), form)
                shown = with_placeholders(descriptor, fields)
                call = call_of(self._catalog, command.name, shown, self._addresses)
            elif story.operation.HasField("user_id") and _USER_ID in descriptor.fields_by_name:
                form = {_USER_ID: str(story.operation.user_id)}
            again = f"/send/{command.name}?{urlencode({AGAIN: 'true'} | _short(form or {}))}"
        return {"records": found, "call": call, "again": again, "value_text": value_text}


def page(
    log: EventLog,
    catalog: Catalog,
    addresses: Mapping[str, str | None],
    watch: SupervisorWatch,
    records: RecordSource,
) -> DashboardPage:
    """Return the page.

    `addresses` are those of the platform's parts, `watch` knows their logs, and `records` what is in Kafka.
    """
    view = _Operation(log, catalog, addresses, watch, records).view
    path = "/operations/{correlation_id}"
    return DashboardPage("operation", path, view, INTERVAL_S, in_navigation=False, section="operations")


def _is_new(correlation_id: str, now_ms: float) -> bool:
    issued_ms = issue_time_ms(correlation_id) if CORRELATION_ID.fullmatch(correlation_id) else None
    return issued_ms is not None and abs(now_ms - issued_ms) < _SETTLES_MS


def _hops(events: Sequence[Event]) -> list[Hop]:
    first_us = min((event.timestamp.ToMicroseconds() for event in events), default=0)
    return [Hop(event, (event.timestamp.ToMicroseconds() - first_us) / 1000) for event in events]


def _own_id(command: Command) -> str:
    """Return the name of the field that would identify what a command creates."""
    return f"{command.result_type.rpartition('.')[2].lower()}_id"


def _positions(events: Sequence[Event]) -> list[TopicPosition]:
    """Return where the records are that the hops tell of, in the order of the hops."""
    return [*dict.fromkeys(TopicPosition(event.topic, event.partition, event.offset) for event in events)]


def _waits(events: Sequence[Event]) -> list[StoreWait]:
    """Return what each store's part waited behind, and how long: until that store's next hop."""
    waits = []
    for number, event in enumerate(events):
        if event.waits_behind:
            later = (each for each in events[number + 1 :] if each.store == event.store and not each.waits_behind)
            until = next((each for each in later if each.event_type in _ENDS), None)
            waited_ms = None
            if until is not None:
                waited_ms = (until.timestamp.ToMicroseconds() - event.timestamp.ToMicroseconds()) / 1000
            waits.append(StoreWait(event.store, event.waits_behind, waited_ms))
    return waits


def _short(form: Mapping[str, str]) -> dict[str, str]:
    """Return what of a form fits into an address."""
    return {name: text for name, text in form.items() if len(text) <= _IN_ADDRESS_MAX_CHARACTERS}
