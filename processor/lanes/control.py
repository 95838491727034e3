"""What is wanted of a lane: that it works, or that it reads nothing for a while."""

import time
from collections.abc import Callable
from typing import Final

import structlog
from polystream.monitor.v1.part_health_pb2 import ReportHealthResponse

from mesh.health.messages import pause_of
from mesh.health.report import Pause

_UNTOLD_MAX_S: Final = 5.0  # that a lane that starts waits to hear whether it is paused; joining its group takes 3

_LOG = structlog.get_logger(__name__)


class LaneControl:
    """Whether the lane is paused, as the monitor's last answer told. Thread-safe.

    A monitor that is away changes nothing. A lane that starts waits to hear of it for five seconds at most.
    """

    def __init__(self, *, hears: bool, clock_s: Callable[[], float] = time.monotonic) -> None:
        """`hears` is whether there is a monitor to hear of."""
        self._clock_s = clock_s
        self._untold_until_s = clock_s() + _UNTOLD_MAX_S if hears else None
        self._pause: Pause | None = None

    @property
    def pause(self) -> Pause | None:
        """Who has paused the lane, since when, and why; None where it is to work."""
        return self._pause

    def is_untold(self) -> bool:
        """Whether it is worth waiting for the monitor's first answer."""
        until_s = self._untold_until_s
        if until_s is not None and self._clock_s() > until_s:
            self._untold_until_s = until_s = None
        return until_s is not None

    def take(self, answer: ReportHealthResponse) -> None:
        """Go by what the monitor answers to a report."""
        try:
            pause = pause_of(answer.pause) if answer.HasField("pause") else None
        except ValueError:
            return  # no monitor of ours
        if pause != self._pause:
            self._pause = pause
            if pause is None:
                _LOG.info("lane goes on")
            else:
                _LOG.info("lane is paused", principal=pause.principal, justification=pause.justification)
        self._untold_until_s = None
