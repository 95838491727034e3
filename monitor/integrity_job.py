"""Integrity runs that a page starts: one at a time, in the background, since they take seconds to minutes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from polystream.admin.v1.integrity_pb2 import CheckIntegrityRequest, IntegrityRun, RepairIntegrityRequest

from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.justification import require_justified, require_principal
from monitor.admin import Admin
from monitor.integrity_runs import IntegrityRuns

PLAN_MAX_AGE_S: Final = 900.0  # the stores go on changing: what an older plan says is not what a repair would do
log = structlog.stdlib.get_logger(__name__)


class IntegrityJob:
    """What was started last, and the runs that are known. Nothing but a start calls the admin service.

    It belongs to the event loop.
    """

    def __init__(self, admin: Admin, runs: IntegrityRuns, clock_s: Callable[[], float] = time.monotonic) -> None:
        """Start runs with `admin`. `runs` are those that it keeps, and those of the command line."""
        self._admin = admin
        self._runs = runs
        self._clock_s = clock_s
        self._task: asyncio.Task[None] | None = None
        self._brought: dict[IntegrityRun.Kind, IntegrityRun] = {}  # also what could not be written down
        self._planned: tuple[IntegrityRun, RepairIntegrityRequest, float] | None = None
        self.started: IntegrityRun | None = None  # its kind, its principal and its start_time are set
        self.error: PolystreamError | None = None  # what it ended with, where that is no outcome of a run

    @property
    def is_running(self) -> bool:
        """Whether what was started is under way."""
        return self._task is not None and not self._task.done()

    def runs(self) -> list[IntegrityRun]:
        """Return the last run of each kind, in the order of the kinds."""
        newest = {run.kind: run for run in self._runs.runs()}
        for kind, run in self._brought.items():
            kept = newest.get(kind)
            if kept is None or kept.start_time.ToNanoseconds() < run.start_time.ToNanoseconds():
                newest[kind] = run
        return [newest[kind] for kind in sorted(newest)]

    def plan(self, plan_id: str) -> RepairIntegrityRequest | None:
        """Return what a plan was asked for with; None unless it is the last one, is not too old, and found drift."""
        if self._planned is None:
            return None
        run, request, ended_s = self._planned
        is_usable = run.outcome == IntegrityRun.DRIFT and self._clock_s() - ended_s <= PLAN_MAX_AGE_S
        return request if is_usable and plan_id == plan_id_of(run) else None

    def start_check(self, principal: str) -> None:
        """Start a check. Raises PolystreamError: INVALID_FIELD, and ADMIN_BUSY while another run is under way."""
        require_principal(principal)
        request = CheckIntegrityRequest(principal=principal.strip())
        self._start(IntegrityRun.CHECK, request.principal, lambda: self._admin.check_integrity(request))

    def start_plan(self, principal: str, *, force: bool, erase_orphans: bool, accept_content: bool) -> None:
        """Have a repair say what it would do. Raises as `start_check` does."""
        require_principal(principal)
        request = RepairIntegrityRequest(
            validate_only=True,
            force=force,
            erase_orphans=erase_orphans,
            accept_content=accept_content,
            principal=principal.strip(),
        )

        async def make() -> IntegrityRun:
            run = await self._admin.repair_integrity(request)
            self._planned = (run, request, self._clock_s())
            return run

        self._start(IntegrityRun.PLAN, request.principal, make)

    def start_repair(self, plan_id: str, principal: str, justification: str) -> None:
        """Start the repair of a plan, with the options that the plan was made with. Raises as `start_check` does."""
        require_justified(principal, justification)
        planned = self.plan(plan_id)
        if planned is None:
            fault = FieldFault(
                "plan", "is not the last plan, or is too old: make a new one, and look at it", "string.in"
            )
            raise PolystreamError(Reason.INVALID_FIELD, faults=[fault])
        request = RepairIntegrityRequest()
        request.CopyFrom(planned)
        request.validate_only = False
        request.principal, request.justification = principal.strip(), justification.strip()

        async def make() -> IntegrityRun:
            run = await self._admin.repair_integrity(request)
            self._planned = None  # it is carried out
            return run

        self._start(IntegrityRun.REPAIR, request.principal, make)

    async def wait(self) -> None:
        """Wait until what was started has ended."""
        if self._task is not None:
            await asyncio.wait([self._task])

    def _start(self, kind: IntegrityRun.Kind, principal: str, make: Callable[[], Awaitable[IntegrityRun]]) -> None:
        if self.is_running:
            raise PolystreamError(
                Reason.ADMIN_BUSY, "another check, plan or repair is under way; wait until it has ended"
            )
        self.started = IntegrityRun(kind=kind, principal=principal)
        self.started.start_time.GetCurrentTime()
        self.error = None
        self._task = asyncio.create_task(self._run(make))

    async def _run(self, make: Callable[[], Awaitable[IntegrityRun]]) -> None:
        try:
            run = await make()
            self._brought[run.kind] = run
        except PolystreamError as error:
            self.error = error
        except Exception:  # whoever looks at the page has to see that it has ended
            log.exception("an integrity run could not be made")
            self.error = PolystreamError(Reason.INTERNAL)


def plan_id_of(run: IntegrityRun) -> str:
    """Return what names a plan: when it began, in nanoseconds since the epoch."""
    return str(run.start_time.ToNanoseconds())
