"""Keeps a library that says the same thing several times a second from filling a log."""

import logging
import time
from collections.abc import Callable

_KINDS_MAX = 100


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
