"""`polystream.monitor.v1.PartHealthService`: hears how each part of the platform is, and tells it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import grpc
from polystream.monitor.v1 import part_health_pb2 as pb
from polystream.monitor.v1.part_health_pb2_grpc import PartHealthServiceServicer

from mesh.health.components import HeardPart
from mesh.health.messages import from_message, to_message
from mesh.health.part import PartHealth
from mesh.health.report import PartReport
from monitor.lane_control import LaneControls

_MAX_PARTS: Final = 1000
_MAX_SILENCE_S: Final = 600.0  # then a part is forgotten: nobody starts it again any more

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class _Heard:
    report: PartReport
    at_s: float  # on the monotonic clock


class KnownParts:
    """The newest report of each part. It belongs to the event loop."""

    def __init__(self, own: PartHealth, clock_s: Callable[[], float] = time.monotonic) -> None:
        """`own` is the monitor's own health, which is told like any other part's."""
        self._own = own
        self._clock_s = clock_s
        self._heard: dict[str, _Heard] = {}  # by name, the one heard longest ago first

    def take(self, report: PartReport) -> None:
        """Keep a report in place of the part's last one. Above 1,000 parts, the one heard longest ago goes."""
        self._heard.pop(report.name, None)
        if len(self._heard) >= _MAX_PARTS:
            del self._heard[next(iter(self._heard))]
        self._heard[report.name] = _Heard(report, self._clock_s())

    def forget(self, name: str, pid: int) -> None:
        """Forget a part that has stopped, unless another process has taken its name by now."""
        heard = self._heard.get(name)
        if heard is not None and heard.report.pid == pid:
            del self._heard[name]

    def parts(self) -> list[HeardPart]:
        """Return each part's newest report and how long ago it came, in the order of their names."""
        now_s = self._clock_s()
        for name, heard in list(self._heard.items()):
            if now_s - heard.at_s <= _MAX_SILENCE_S:
                break
            del self._heard[name]
        own = self._own.report()
        parts = {name: HeardPart(heard.report, now_s - heard.at_s) for name, heard in self._heard.items()}
        parts[own.name] = HeardPart(own, 0.0)
        return [parts[name] for name in sorted(parts)]


class PartHealthServicer(PartHealthServiceServicer):
    """The service's RPCs."""

    def __init__(self, known: KnownParts, controls: LaneControls) -> None:
        self._known = known
        self._controls = controls

    async def ReportHealth(  # noqa: N802 # the service's own name
        self, request: pb.ReportHealthRequest, context: Context
    ) -> pb.ReportHealthResponse:
        """Take a part's report, and answer whether its lane is to pause."""
        try:
            report = from_message(request.part)
        except ValueError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        if request.leaving:
            self._known.forget(report.name, report.pid)
        else:
            self._known.take(report)
        return pb.ReportHealthResponse(pause=self._controls.pause_of(report.kind))

    async def ListPartHealth(  # noqa: N802 # the service's own name
        self, request: pb.ListPartHealthRequest, context: Context
    ) -> pb.ListPartHealthResponse:
        """List the newest report of each part."""
        del request, context
        answer = pb.ListPartHealthResponse()
        for heard in self._known.parts():
            told = answer.parts.add(part=to_message(heard.report))
            told.silence.FromMilliseconds(round(heard.silence_s * 1000))
        return answer
