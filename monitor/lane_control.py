"""`polystream.monitor.v1.LaneControlService`: pauses and resumes lanes, and remembers it over restarts."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
import structlog
from polystream.monitor.v1 import lane_control_pb2 as pb
from polystream.monitor.v1.lane_control_pb2_grpc import LaneControlServiceServicer

from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.health.components import LANES
from mesh.health.messages import timestamp
from mesh.justification import require_justified
from monitor.kept_message import KeptMessage
from monitor.service import answer

_FILE: Final = "lane_controls.json"
_LOG = structlog.stdlib.get_logger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]


class LaneControls:
    """Which lanes are paused. Thread-safe."""

    def __init__(self, folder: Path, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        """`folder` is the monitor's own, in which what is wanted is kept."""
        self._kept = KeptMessage(folder / _FILE, pb.ListLaneControlsResponse)
        self._now_ms = now_ms
        self._changing = threading.Lock()
        kept = {control.lane: control for control in self._kept.read().controls}
        self._controls = {lane: kept.get(lane, pb.LaneControl(lane=lane)) for lane in LANES}

    def pause_of(self, kind: str) -> pb.LanePause | None:
        """Return why parts of a kind are to pause; None where they are to work."""
        control = self._controls.get(kind)
        return control.pause if control is not None and control.HasField("pause") else None

    def controls(self) -> list[pb.LaneControl]:
        """Return what is wanted of each lane."""
        return [self._controls[lane] for lane in sorted(self._controls)]

    def pause(self, lane: str, principal: str, justification: str) -> pb.LaneControl:
        """Have a lane pause. Raises PolystreamError: INVALID_FIELD, NOT_KEPT."""
        wanted = pb.LanePause(
            principal=principal.strip(), justification=justification.strip(), since_time=timestamp(self._now_ms())
        )
        return self._set(pb.LaneControl(lane=lane, pause=wanted), principal, justification)

    def resume(self, lane: str, principal: str, justification: str) -> pb.LaneControl:
        """Have a lane work again. Raises as `pause` does."""
        return self._set(pb.LaneControl(lane=lane), principal, justification)

    def _set(self, control: pb.LaneControl, principal: str, justification: str) -> pb.LaneControl:
        if control.lane not in self._controls:
            fault = FieldFault("lane", f"is none of {', '.join(sorted(self._controls))}", "string.in")
            raise PolystreamError(Reason.INVALID_FIELD, faults=[fault])
        require_justified(principal, justification)
        with self._changing:
            wanted = self._controls | {control.lane: control}
            self._kept.write(pb.ListLaneControlsResponse(controls=[wanted[lane] for lane in sorted(wanted)]))
            self._controls = wanted
        said = "lane is to pause" if control.HasField("pause") else "lane is to work"
        _LOG.info(said, lane=control.lane, principal=principal.strip(), justification=justification.strip())
        return control


class LaneControlServicer(LaneControlServiceServicer):
    """The service's RPCs."""

    def __init__(self, controls: LaneControls) -> None:
        self._controls = controls

    async def PauseLane(  # noqa: N802 # the service's own name
        self, request: pb.PauseLaneRequest, context: Context
    ) -> pb.LaneControl:
        """Have a lane pause."""
        return await answer(
            context, asyncio.to_thread(self._controls.pause, request.lane, request.principal, request.justification)
        )

    async def ResumeLane(  # noqa: N802 # the service's own name
        self, request: pb.ResumeLaneRequest, context: Context
    ) -> pb.LaneControl:
        """Have a lane work again."""
        return await answer(
            context, asyncio.to_thread(self._controls.resume, request.lane, request.principal, request.justification)
        )

    async def ListLaneControls(  # noqa: N802 # the service's own name
        self, request: pb.ListLaneControlsRequest, context: Context
    ) -> pb.ListLaneControlsResponse:
        """List what is wanted of every lane."""
        del request, context
        return pb.ListLaneControlsResponse(controls=self._controls.controls())
