"""When a lane commits: once the spans of what it has answered have left the process.

A killed process takes the spans along that it has not sent yet, for a quarter of a second. Where their commands are not
committed either, they are delivered again, answered as duplicates, and traced: no story stays without its spans.
"""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, Protocol

_HOLD_MAX_S: Final = 2.0  # a monitor that is away keeps no offset from being committed for longer


class SpanProgress(Protocol):
    """How far a process has come with sending its spans; see `mesh.telemetry.tracing.SpanLosses`."""

    ended: int  # spans so far
    settled: int  # of them, in their order, those that were sent or are given up


class Commits:
    """Passes offsets on to be committed, some of them later than they come."""

    def __init__(
        self,
        commit: Callable[[Mapping[int, int]], None],
        spans: SpanProgress | None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`commit` takes the next offset of each partition, as often as it likes. None for `spans` holds nothing."""
        self._commit = commit
        self._spans = spans
        self._clock_s = clock_s
        self._held: dict[int, int] = {}
        self._ended = 0  # spans there were when they were held
        self._since_s = 0.0

    def offer(self, offsets: Mapping[int, int]) -> None:
        """Commit what is held, and these offsets or hold them, as their spans are out or not."""
        spans = self._spans
        if spans is None or spans.settled >= spans.ended:
            self._held = {}
            self._commit(offsets)
            return
        now_s = self._clock_s()
        if self._held:
            if spans.settled < self._ended and now_s - self._since_s < _HOLD_MAX_S:
                return
            self._commit(self._held)
        self._held, self._ended, self._since_s = dict(offsets), spans.ended, now_s

    def flush(self, offsets: Mapping[int, int] | None = None) -> None:
        """Commit these offsets at once, or else what is held: the process ends, and sends its spans before it does."""
        self._commit(self._held if offsets is None else offsets)
        self._held = {}

    def drop(self, partitions: Collection[int]) -> None:
        """Forget partitions that were taken away."""
        for partition in partitions:
            self._held.pop(partition, None)
