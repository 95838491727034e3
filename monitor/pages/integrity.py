"""The stores' integrity: the last check, plan and repair, what the lanes' validators say, and starting a run.

What is shown is read from what the monitor keeps. Only a form that is sent calls the admin service: a page that is open
does not keep that process running.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from polystream.admin.v1.integrity_pb2 import IntegrityRun
from polystream.options.v1.options_pb2 import Store
from starlette.requests import Request

from mesh import topics
from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.health.components import LANES, HeardPart
from mesh.http_status import http_status
from mesh.ids import CORRELATION_ID
from monitor.integrity_job import IntegrityJob, plan_id_of
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.request_body import said_in

INTERVAL_S: Final = 1.0
OPTIONS: Final = ("force", "erase_orphans", "accept_content")
_CHECKED: Final = "contents_checked"
_CHANGED: Final = "contents_changed"
# By outcome: the look of a state that is good, to be looked at, or bad.
_LOOKS: Final = {
    IntegrityRun.SOUND: "SUCCEEDED",
    IntegrityRun.NOTHING_TO_COMPARE: "ACCEPTED",
    IntegrityRun.LANES_BEHIND: "ACCEPTED",
}


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A difference, and what was or would be done about it."""

    message: IntegrityRun.Finding

    @property
    def store(self) -> str:
        """The store's name; empty for none."""
        return Store.Name(self.message.store) if self.message.store in Store.values() and self.message.store else ""

    @property
    def correlation_id(self) -> str:
        """The command's, which has a page; empty where the key is none."""
        is_command = self.message.place in topics.ALL_TOPICS and CORRELATION_ID.fullmatch(self.message.key)
        return self.message.key if is_command else ""


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run, as the page tells it."""

    message: IntegrityRun
    age_s: float  # since it began
    plan_id: str  # of a plan that may be carried out; else empty

    @property
    def kind(self) -> str:
        """The name of its kind."""
        return kind_name(self.message)

    @property
    def outcome(self) -> str:
        """The name of its outcome."""
        known = self.message.outcome in IntegrityRun.Outcome.values()
        return IntegrityRun.Outcome.Name(self.message.outcome if known else IntegrityRun.OUTCOME_UNSPECIFIED)

    @property
    def look(self) -> str:
        """The class of its mark: only what is sound looks well."""
        return _LOOKS.get(self.message.outcome, "FAILED")

    @property
    def findings(self) -> list[ShownFinding]:
        """Its differences, of which a run holds a hundred at most."""
        return [ShownFinding(finding) for finding in self.message.findings]

    @property
    def lags(self) -> list[tuple[str, int]]:
        """How many records each store's lane was behind at its end."""
        return [(Store.Name(lag.store), lag.records) for lag in self.message.lags if lag.store in Store.values()]


@dataclass(frozen=True, slots=True)
class ShownValidator:
    """What a lane's process has found in its own store, which it looks through all the time."""

    part: HeardPart

    @property
    def checked(self) -> int:
        """How many contents it has compared with their hashes since it began."""
        return self.part.report.counts.get(_CHECKED, 0)

    @property
    def changed(self) -> int | None:
        """How many of them are not as they were written; None before the first look is through."""
        return self.part.report.counts.get(_CHANGED)


def kind_name(run: IntegrityRun) -> str:
    """Return the name of a run's kind."""
    known = run.kind in IntegrityRun.Kind.values()
    return IntegrityRun.Kind.Name(run.kind if known else IntegrityRun.KIND_UNSPECIFIED)


class _Integrity:
    def __init__(self, parts: Callable[[], Sequence[HeardPart]], job: IntegrityJob) -> None:
        self._parts = parts
        self._job = job

    async def view(self, request: Request) -> Shown:
        said: dict[str, str] = {}
        error: PolystreamError | None = None
        if request.method == "POST":
            said = await said_in(request)
            try:
                self._start(said)
            except PolystreamError as raised:
                error = raised
        plan_id = said.get("plan", "") or request.query_params.get("plan", "")
        planned = self._job.plan(plan_id)
        values = {
            "said": said if error else {},
            "error": error,
            "options": OPTIONS,
            "plan_id": plan_id if planned is not None and not self._job.is_running else "",
            "planned": [option for option in OPTIONS if planned is not None and getattr(planned, option)],
            "started": self._job.started,
            "started_kind": kind_name(self._job.started) if self._job.started is not None else "",
            "started_s": _age_s(self._job.started) if self._job.started is not None else 0.0,
            "is_running": self._job.is_running,
            "failure": self._job.error,
            "runs": [self._shown(run) for run in self._job.runs()],
            "validators": sorted(
                (ShownValidator(part) for part in self._parts() if part.report.kind in LANES),
                key=lambda validator: validator.part.report.name,
            ),
        }
        return Shown(values, 200 if error is None else http_status(error.reason.value.code, error.reason.name))

    def _shown(self, run: IntegrityRun) -> ShownRun:
        plan_id = plan_id_of(run) if run.kind == IntegrityRun.PLAN else ""
        may_be_done = bool(plan_id) and not self._job.is_running and self._job.plan(plan_id) is not None
        return ShownRun(run, _age_s(run), plan_id if may_be_done else "")

    def _start(self, said: dict[str, str]) -> None:
        action, principal = said.get("action", ""), said.get("principal", "")
        if action == "check":
            self._job.start_check(principal)
        elif action == "plan":
            force, erase_orphans, accept_content = (option in said for option in OPTIONS)
            self._job.start_plan(principal, force=force, erase_orphans=erase_orphans, accept_content=accept_content)
        elif action == "repair":
            self._job.start_repair(said.get("plan", ""), principal, said.get("justification", ""))
        else:
            raise PolystreamError(
                Reason.INVALID_FIELD, faults=[FieldFault("action", "is none of check, plan, repair", "string.in")]
            )


def _age_s(run: IntegrityRun) -> float:
    return max(0.0, time.time() - run.start_time.ToNanoseconds() / 1e9)


def page(parts: Callable[[], Sequence[HeardPart]], job: IntegrityJob) -> DashboardPage:
    """Return the page. `parts` tells how each part is."""
    return DashboardPage("integrity", "/integrity", _Integrity(parts, job).view, INTERVAL_S, methods=("GET", "POST"))
