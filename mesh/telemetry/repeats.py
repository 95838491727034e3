"""Keeps a library that says the same thing several times a second from filling a log."""

import logging
import math
import time
from collections.abc import Callable

_KINDS_MAX = 100

_INTERVAL_S = 10.0


class RepeatCounter:
    """Tells of what anybody may make happen a thousand times a second once an interval. One thread at a time."""

    def __init__(self, interval_s: float = _INTERVAL_S, clock: Callable[[], float] = time.monotonic) -> None:
        """`interval_s` and what `clock` returns are in seconds."""
        self._interval_s = interval_s
        self._clock = clock
        self._next_s = -math.inf
        self._untold = 0

    def count(self) -> int:
        """Count it once more; return how often it happened since it was last to be told, or 0 where it is not yet."""
        self._untold += 1
        now_s = self._clock()
        if now_s < self._next_s:
            return 0
        self._next_s = now_s + self._interval_s
        told, self._untold = self._untold, 0
        return told


class Repeats(logging.Filter):
    """Lets one record of a kind pass in each interval, which tells how many were left out before it.

    Records are of a kind when they come from the same logger and begin with the same word: librdkafka's begin with
    what happened (`FAIL`, `SESSTMOUT`), and what follows differs in times and counts.
    """

    def __init__(
        self, loggers: tuple[str, ...], interval_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Look at the records of these loggers and of those below them; let all others pass.

        `interval_s` and what `clock` returns are in seconds.
        """
        super().__init__()
        self._loggers = loggers
        self._interval_s = interval_s
        self._clock = clock
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # by kind: when the last passed, left out since

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record passes."""
        if not any(record.name == name or record.name.startswith(f"{name}.") for name in self._loggers):
            return True
        message = record.getMessage()
        kind = (record.name, message.partition(" ")[0])
        now_s = self._clock()
        told_s, left_out = self._told.get(kind, (-self._interval_s, 0))
        if now_s - told_s < self._interval_s:
            self._told[kind] = (told_s, left_out + 1)
            return False
        if left_out:
            record.msg, record.args = f"{message} ({left_out} more like it were left out before)", ()
        if len(self._told) >= _KINDS_MAX:
            self._told.clear()
        self._told[kind] = (now_s, 0)
        return True
