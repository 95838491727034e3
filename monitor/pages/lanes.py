"""The lanes: each process with its partitions, its batch and its lag; pausing and resuming a lane, with a reason."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from polystream.monitor.v1.lane_control_pb2 import LanePause
from starlette.requests import Request

from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.health.components import LANES, HeardPart
from mesh.health.report import HealthState
from mesh.http_status import http_status
from monitor.lane_control import LaneControls
from monitor.pages.page import DashboardPage, Shown
from monitor.pages.request_body import said_in

INTERVAL_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class ShownLane:
    """A lane, with the processes that were heard of."""

    name: str
    pause: LanePause | None  # what is wanted of it
    parts: Sequence[HeardPart]

    @property
    def status(self) -> str:
        """How its worst process is; UNHEALTHY where there is none."""
        states = {part.state for part in self.parts} or {HealthState.UNHEALTHY}
        worst_first = (HealthState.UNHEALTHY, HealthState.DEGRADED, HealthState.HEALTHY)
        return next(state.value for state in worst_first if state in states)

    @property
    def lag_records(self) -> int:
        """How many records its processes have yet to do."""
        return sum(part.report.lag.records for part in self.parts if part.report.lag is not None)

    @property
    def oldest_s(self) -> float:
        """How old the oldest of them is, in seconds."""
        return max((p.report.lag.oldest_age_ms for p in self.parts if p.report.lag is not None), default=0) / 1000


class _Lanes:
    def __init__(self, parts: Callable[[], Sequence[HeardPart]], controls: LaneControls) -> None:
        self._parts = parts
        self._controls = controls

    async def view(self, request: Request) -> Shown:
        said: dict[str, str] = {}
        error: PolystreamError | None = None
        if request.method == "POST":
            said = await said_in(request)
            try:
                await self._change(said)
                said = {}
            except PolystreamError as raised:
                error = raised
        parts = self._parts()
        lanes = [
            ShownLane(name, self._controls.pause_of(name), [part for part in parts if part.report.kind == name])
            for name in sorted(LANES)
        ]
        status = 200 if error is None else http_status(error.reason.value.code, error.reason.name)
        return Shown({"lanes": lanes, "said": said, "error": error}, status)

    async def _change(self, said: dict[str, str]) -> None:
        changes = {"pause": self._controls.pause, "resume": self._controls.resume}
        change = changes.get(said.get("action", ""))
        if change is None:
            raise PolystreamError(
                Reason.INVALID_FIELD, faults=[FieldFault("action", f"is none of {', '.join(changes)}", "string.in")]
            )
        given = (said.get("lane", ""), said.get("principal", ""), said.get("justification", ""))
        await asyncio.to_thread(change, *given)


def page(parts: Callable[[], Sequence[HeardPart]], controls: LaneControls) -> DashboardPage:
    """Return the page. `parts` tells how each part is."""
    return DashboardPage("lanes", "/lanes", _Lanes(parts, controls).view, INTERVAL_S, methods=("GET", "POST"))
