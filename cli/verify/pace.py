"""The time by which commands and faults are due: it goes slower while faults are late, so that each meets commands."""

import math
import threading
import time
from collections.abc import Callable
from typing import Final

_SPEED_WHEN_LATE: Final = 0.2


class Pace:
    """Seconds since the load began, as the plan counts them. Any thread may ask."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._looked_s = clock_s()
        self._at_s = 0.0
        self._next_fault_s = math.inf

    def begin(self) -> None:
        """Begin at 0."""
        with self._lock:
            self._looked_s, self._at_s = self._clock_s(), 0.0

    def await_fault(self, at_s: float) -> None:
        """Take note of when the next fault is due: beyond that, time goes slower. Infinity where there is none."""
        self.now_s()
        with self._lock:
            self._next_fault_s = at_s

    def now_s(self) -> float:
        """Return the time."""
        with self._lock:
            now_s = self._clock_s()
            passed_s = now_s - self._looked_s
            on_time_s = min(passed_s, max(0.0, self._next_fault_s - self._at_s))
            self._at_s += on_time_s + (passed_s - on_time_s) * _SPEED_WHEN_LATE
            self._looked_s = now_s
            return self._at_s
