"""Dead letters: by cause, what waits behind each, and redriving or discarding them, after a dry run.

The admin service is started when the page is opened, and takes a while: the page answers at once, says that it asks,
and is kept up to date until there is an answer. It stands still from then on: a page that asked for ever would keep the
service's process for as long as a tab is open. What is redriven or discarded goes on without the page.
"""

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from google.protobuf.timestamp_pb2 import Timestamp
from polystream.admin.v1 import dead_letters_pb2 as pb
from polystream.options.v1.options_pb2 import Store
from starlette.requests import Request

from mesh.errors import FieldFault, PolystreamError, Reason, not_found
from mesh.http_status import http_status
from mesh.justification import require_justified
from monitor.admin import Admin
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.request_body import said_in

STATUSES: Final = ("PARKED", "SETTLED", "FOREIGN", "UNKNOWN")
STORES: Final = tuple(name for name, number in Store.items() if number)
_FIELDS: Final = ("reason", "command", "user_id", "store", "status", "start_time", "end_time")
_INTERVAL_S: Final = 1.0  # while an answer is waited for
_AT_ONCE_S: Final = 0.25  # how long a page waits for an answer before it says that it asks
_FRESH_S: Final = 10.0  # how long an answer that came after its page is shown as one
_DRY_RUN_MAX_S: Final = 120.0
_ASKED_MAX: Final = 16
_RUNS_MAX: Final = 32
_RESULTS_MAX: Final = 1000
_NAMES_MAX: Final = 1000


@dataclass(eq=False)
class _Listing:
    """A list that is asked for."""

    task: asyncio.Task[pb.ListDeadLettersResponse]
    end_s: float | None = None  # by the monotonic clock


@dataclass(eq=False)
class _Run:
    """A dry run, or a redrive or discard, and how far it is."""

    request: pb.SettleDeadLettersRequest
    discard: bool
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    plan: pb.SettleDeadLettersResponse.Plan | None = None
    batch_count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    results: deque[tuple[int, pb.SettleDeadLettersResponse.Result]] = field(
        default_factory=lambda: deque(maxlen=_RESULTS_MAX)  # the last ones, each with its batch's number
    )
    end: pb.SettleDeadLettersResponse.End | None = None
    error: PolystreamError | None = None
    task: asyncio.Task[None] | None = None
    confirmed_as: "_Run | None" = None  # what a dry run has led to

    @property
    def is_under_way(self) -> bool:
        return self.task is not None and not self.task.done()

    async def follow(self, admin: Admin) -> None:
        """Do it, and note each step. It raises nothing: what is wrong is in `error`."""
        try:
            async with asyncio.timeout(_DRY_RUN_MAX_S if self.request.validate_only else None):
                async for step in admin.settle(self.request, discard=self.discard):
                    self._note(step)
        except PolystreamError as error:
            self.error = error
        except TimeoutError:
            self.error = PolystreamError(
                Reason.ADMIN_UNAVAILABLE, metadata={"error": f"no answer for {_DRY_RUN_MAX_S:.0f} s"}
            )

    def _note(self, step: pb.SettleDeadLettersResponse) -> None:
        if step.HasField("plan"):
            self.plan = step.plan
        elif step.HasField("batch"):
            self.batch_count += 1
            for result in step.batch.results:
                self.outcomes[pb.SettleDeadLettersResponse.Result.Outcome.Name(result.outcome)] += 1
                self.results.append((self.batch_count, result))
        elif step.HasField("end"):
            self.end = step.end


class _DeadLetters:
    def __init__(self, admin: Admin) -> None:
        self._admin = admin
        self._listings: dict[bytes, _Listing] = {}
        self._runs: dict[str, _Run] = {}

    async def view(self, request: Request) -> Shown:
        if request.method == "POST":
            return await self._post(await said_in(request))
        if run_id := request.query_params.get("run"):
            return await self._show_run(self._run(run_id), {})
        return await self._list(request.query_params)

    async def _list(self, query: Mapping[str, str]) -> Shown:
        wanted = pb.ListDeadLettersRequest(filter=_filter(query), page_token=query.get("page_token", ""))
        task = self._ask(wanted)
        await asyncio.wait((task,), timeout=_AT_ONCE_S)
        values = _values() | {"query": query, "wanted": wanted}
        if not task.done() or task.cancelled():  # one that gave way to others is asked again
            return Shown(values | {"is_asking": True})
        self._listings.pop(_key(wanted), None)  # who looks again asks again
        try:
            return Shown(values | {"found": task.result()}, has_ended=True)
        except PolystreamError as error:
            return Shown(values | {"error": error}, _code(error), has_ended=True)

    def _ask(self, wanted: pb.ListDeadLettersRequest) -> asyncio.Task[pb.ListDeadLettersResponse]:
        """Return the call for a list: the one under way or just answered, else a new one."""
        key = _key(wanted)
        listing = self._listings.get(key)
        if listing is not None and (listing.end_s is None or time.monotonic() - listing.end_s <= _FRESH_S):
            return listing.task
        self._listings.pop(key, None)
        while len(self._listings) >= _ASKED_MAX:
            self._listings.pop(next(iter(self._listings))).task.cancel()
        asked = _Listing(asyncio.create_task(self._admin.list_dead_letters(wanted)))
        self._listings[key] = asked

        def note(task: asyncio.Task[pb.ListDeadLettersResponse]) -> None:
            asked.end_s = time.monotonic()
            if not task.cancelled():
                task.exception()  # it is told when the page is shown

        asked.task.add_done_callback(note)
        return asked.task

    async def _post(self, said: Mapping[str, str]) -> Shown:
        if plan_id := said.get("plan"):
            return await self._confirm(self._run(plan_id), said)
        action = said.get("action", "")
        if action not in {"redrive", "discard"}:
            raise _fault("action", "is none of discard, redrive")
        request = pb.SettleDeadLettersRequest(validate_only=True, keep_going=said.get("keep_going") == "true")
        if said.get("by") == "filter":
            request.filter.CopyFrom(_filter(said))
            request.filter.SetInParent()
        else:
            request.names.extend(said.get("names", "").replace(",", " ").split())
            if not 0 < len(request.names) <= _NAMES_MAX:
                raise _fault("names", f"are none, or more than {_NAMES_MAX}")
        return await self._show_run(self._start(_Run(request, action == "discard")), {})

    async def _confirm(self, plan: _Run, said: Mapping[str, str]) -> Shown:
        if plan.plan is None or not plan.plan.chosen_count:
            raise _fault("plan", "is no dry run that has chosen anything")
        before = plan.confirmed_as
        if before is not None and (before.is_under_way or before.plan is not None):
            return await self._show_run(before, {})  # a form that is sent twice does nothing twice
        principal, justification = said.get("principal", ""), said.get("justification", "")
        try:
            require_justified(principal, justification)
        except PolystreamError as error:
            return await self._show_run(plan, said, error)
        request = pb.SettleDeadLettersRequest()
        request.CopyFrom(plan.request)
        request.validate_only = False
        request.principal, request.justification = principal.strip(), justification.strip()
        plan.confirmed_as = self._start(_Run(request, plan.discard))
        return await self._show_run(plan.confirmed_as, {})

    def _start(self, run: _Run) -> _Run:
        for ended in [each for each in self._runs.values() if not each.is_under_way]:
            if len(self._runs) < _RUNS_MAX:
                break
            del self._runs[ended.id]
        if len(self._runs) >= _RUNS_MAX:
            raise PolystreamError(Reason.ADMIN_BUSY)
        self._runs[run.id] = run
        run.task = asyncio.create_task(run.follow(self._admin))
        return run

    def _run(self, run_id: str) -> _Run:
        run = self._runs.get(run_id)
        if run is None:
            raise not_found(Reason.DEAD_LETTER_NOT_FOUND, "run")
        return run

    async def _show_run(self, run: _Run, said: Mapping[str, str], error: PolystreamError | None = None) -> Shown:
        if run.task is not None:
            await asyncio.wait((run.task,), timeout=_AT_ONCE_S)
        told = error or run.error
        values = _values() | {"run": run, "said": said, "error": told, "is_asking": run.is_under_way}
        # A form's answer has no address that tells of the run.
        values["live_query"] = urlencode({"run": run.id})
        return Shown(values, 200 if told is None else _code(told), has_ended=not run.is_under_way)


def page(admin: Admin) -> DashboardPage:
    """Return the page. `admin` is asked when somebody looks."""
    view = _DeadLetters(admin).view
    return DashboardPage("dead_letters", "/dead-letters", view, _INTERVAL_S, methods=("GET", "POST"))


def _values() -> dict[str, Any]:
    return {
        "query": {},
        "wanted": None,
        "found": None,
        "run": None,
        "said": {},
        "error": None,
        "is_asking": False,
        "statuses": STATUSES,
        "stores": STORES,
        "fields": _FIELDS,
        "status_name": pb.DeadLetter.ParkingStatus.Name,
        "store_name": Store.Name,
        "outcome_name": pb.SettleDeadLettersResponse.Result.Outcome.Name,
    }


def _filter(said: Mapping[str, str]) -> pb.DeadLetterFilter:
    """Return what an address or a form asks for. Raises PolystreamError INVALID_FIELD."""
    status, store, user_id = (said.get(name, "").strip() for name in ("status", "store", "user_id"))
    if status and status not in STATUSES:
        raise _fault("status", f"is none of {', '.join(STATUSES)}")
    if store and store not in STORES:
        raise _fault("store", f"is none of {', '.join(STORES)}")
    if user_id and not (user_id.isascii() and user_id.isdigit() and len(user_id) <= 16 and 0 < int(user_id) < 2**53):
        raise _fault("user_id", "is no user's ID")
    return pb.DeadLetterFilter(
        reason=said.get("reason", "").strip(),
        command=said.get("command", "").strip(),
        user_id=int(user_id or 0),
        store=store or None,
        status=status or None,
        start_time=_time(said, "start_time"),
        end_time=_time(said, "end_time"),
    )


def _time(said: Mapping[str, str], name: str) -> Timestamp | None:
    """Return a time of ISO 8601, which is UTC where it names no zone."""
    text = said.get(name, "").strip()
    if not text:
        return None
    result = Timestamp()
    try:
        given = datetime.fromisoformat(text)
        result.FromDatetime(given if given.tzinfo else given.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise _fault(name, "is no time such as 2030-01-31T08:00") from error
    return result


def _key(wanted: pb.ListDeadLettersRequest) -> bytes:
    return wanted.SerializeToString(deterministic=True)


def _code(error: PolystreamError) -> int:
    return http_status(error.reason.value.code, error.reason.name)


def _fault(name: str, description: str) -> PolystreamError:
    return PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault(name, description)])
