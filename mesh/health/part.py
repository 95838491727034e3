"""What a process knows of its own health. The process's code tells it, from any thread; others ask for the report."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from mesh.health.report import NEWEST_MS, HealthState, Lag, PartReport, Pause, Wait

WAIT_GRACE_S: Final = 3.0  # a wait that ends sooner degrades nothing: a restart of a store takes as long
STALL_MAX_S: Final = 8.0  # how long a part may have work at hand and finish none of it
_CALL_MAX_S: Final = 120.0  # a call that takes longer is no progress any more, whatever bounds it has
_UNANSWERED: Final = "a call to it has not been answered yet"


@dataclass(slots=True)
class _OpenWait:
    reason: str
    detail: str
    since_s: float


@dataclass(slots=True)
class _Call(_OpenWait):
    beats: bool


class PartHealth:
    """One process's health. Thread-safe.

    A part is UNHEALTHY until it is `ready`, and DEGRADED while it has waited for a dependency for more than three
    seconds, has had work at hand for eight without finishing any, or is paused. A call of `calling` that is not
    answered counts as a wait, so that one which hangs is told while it does.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        clock_s: Callable[[], float] = time.monotonic,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`name` is the process's, `kind` what it is one of. `clock_s` never goes back, `now_ms` is the time of day."""
        self._name = name
        self._kind = kind
        self._clock_s = clock_s
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._changes = 0
        self._waits: dict[str, _OpenWait] = {}
        self._calls: dict[tuple[int, str], _Call] = {}  # by thread and dependency
        self._doing = "starts"
        self._notes: dict[str, str] = {}  # by what they are about
        self._is_ready = False
        self._since_s = clock_s()  # since when nothing is wrong, or since the start
        self._lag: Lag | None = None
        self._pause: Pause | None = None
        self._partitions: tuple[int, ...] = ()
        self._working_since_s: float | None = None
        self._counts: Counter[str] = Counter()
        self._beats = 0

    def ready(self) -> None:
        """Say that the start is over: the part works from now on."""
        with self._lock:
            if self._is_ready:
                return
            self._is_ready = True
            self._since_s = self._clock_s()
            for wait in self._waits.values():  # what the start has waited for is over, or begins to be missed now
                wait.since_s = self._since_s
            if self._doing == "starts":
                self._doing = "works"
            self._note_change()

    def ending(self) -> None:
        """Say that the part stops. Whoever waits for a change hears of it."""
        with self._lock:
            self._doing = "stops"
            self._note_change()

    def waiting(self, dependency: str, reason: str, detail: str = "") -> None:
        """Say that work waits for a dependency. Said again, it keeps the time since when, and takes the new detail.

        `reason` is a name of mesh.errors.Reason, `detail` one sentence without personal data.
        """
        with self._lock:
            known = self._waits.get(dependency)
            if known is None:
                began_s = [call.since_s for (_, of), call in list(self._calls.items()) if of == dependency]
                self._waits[dependency] = _OpenWait(reason, detail, min(began_s, default=self._clock_s()))
                self._note_change()
            else:
                known.reason, known.detail = reason, detail

    def going_on(self, dependency: str) -> None:
        """Say that a dependency answers again, or that nothing is wanted of it any more."""
        if dependency not in self._waits:
            return
        with self._lock:
            if self._waits.pop(dependency, None) is not None and not self._waits:
                self._since_s = self._clock_s()
            self._note_change()

    @contextmanager
    def calling(self, dependency: str, detail: str = _UNANSWERED, *, beats: bool = True) -> Iterator[None]:
        """Surround a call that may hang: one that takes longer than three seconds counts as a wait.

        Meanwhile beats go on, for two minutes at most, unless it is not the main loop that calls. What goes wrong in it
        is told by `waiting`, inside of it, so that the wait began with the call.
        """
        key = (threading.get_ident(), dependency)
        self._calls[key] = _Call(_UNAVAILABLE.get(dependency, "STORE_UNAVAILABLE"), detail, self._clock_s(), beats)
        try:
            yield
        finally:
            call = self._calls.pop(key, None)
            if call is not None:
                self._note_answer(call)

    def note(self, text: str, about: str = "") -> None:
        """Say in a sentence what people are to know though nothing is wrong; empty where that is nothing.

        It takes the place of what was said `about` the same before.
        """
        self._notes[about] = text

    def doing(self, text: str) -> None:
        """Say in a few words what the part does."""
        self._doing = text

    def lag(self, records: int, oldest_age_ms: int) -> None:
        """Say how far the part is behind: records that are not done, and the age of the oldest of them."""
        self._lag = Lag(max(0, records), min(max(0, oldest_age_ms), NEWEST_MS))

    def paused(self, pause: Pause | None) -> None:
        """Say that the part reads nothing since somebody has paused it, or None that it works again."""
        if pause == self._pause:
            return
        with self._lock:
            self._pause = pause
            if pause is None:
                self._since_s = self._clock_s()
            self._note_change()

    def partitions(self, partitions: Collection[int]) -> None:
        """Say which partitions of `user_events` the part has."""
        self._partitions = tuple(sorted(partitions))

    def working(self) -> None:
        """Say that there is work at hand. What is not `finished` within eight seconds degrades the part."""
        if self._working_since_s is None:
            self._working_since_s = self._clock_s()

    def finished(self) -> None:
        """Say that the work at hand, or some of it, is done."""
        since_s, self._working_since_s = self._working_since_s, None
        if since_s is not None and self._clock_s() - since_s > STALL_MAX_S:
            self._since_s = self._clock_s()

    def count(self, name: str, n: int = 1) -> None:
        """Count what happens, such as `set_apart`."""
        with self._lock:
            self._counts[name] += n

    def gauge(self, name: str, value: int) -> None:
        """Say how much there is of something, such as `spool_bytes`: it stands beside what is counted."""
        self._counts[name] = value

    def beat(self) -> None:
        """Say that the main loop goes round, also while it waits."""
        self._beats += 1

    @property
    def beats(self) -> int:
        """A number that grows while the main loop makes progress, or is in a call that is not too long."""
        began_s = [call.since_s for call in list(self._calls.values()) if call.beats]
        if not began_s:
            return self._beats
        return self._beats + int(min(self._clock_s() - min(began_s), _CALL_MAX_S))

    def wait_for_change(self, seen: int, timeout_s: float) -> int:
        """Wait until more than `seen` waits have begun or ended; return how many that are now.

        That the part is ready, paused or goes on counts too.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._changes > seen, timeout_s)
            return self._changes

    def report(self) -> PartReport:
        """Return how the part is now."""
        with self._lock:
            now_s, now_ms = self._clock_s(), self._now_ms()
            waits = self._current_waits(now_s)
            state, doing, since_s = self._state(waits, now_s)
            counts = dict(self._counts)

            pause = self._pause

        def time_ms(of_s: float) -> int:
            return max(0, now_ms - round((now_s - of_s) * 1000))

        return PartReport(
            name=self._name,
            kind=self._kind,
            pid=os.getpid(),
            state=state,
            doing=doing,
            since_ms=time_ms(since_s),
            waits=tuple(Wait(name, w.reason, w.detail, time_ms(w.since_s)) for name, w in sorted(waits.items())),
            lag=self._lag,
            counts=counts,
            note="; ".join(text for _, text in sorted(self._notes.items()) if text),
            pause=pause,
            partitions=self._partitions,
        )

    def _note_answer(self, call: _Call) -> None:
        took_s = self._clock_s() - call.since_s
        if call.beats:  # they never go back
            self._beats += int(min(took_s, _CALL_MAX_S))
        if took_s > WAIT_GRACE_S and self._is_ready:  # it was told as a wait: nothing is wrong from now on
            self._since_s = self._clock_s()

    def _note_change(self) -> None:
        self._changes += 1
        self._changed.notify_all()

    def _current_waits(self, now_s: float) -> dict[str, _OpenWait]:
        waits = dict(self._waits)
        for (_, dependency), call in list(self._calls.items()):
            if now_s - call.since_s > WAIT_GRACE_S:
                waits.setdefault(dependency, call)
        return waits

    def _state(self, waits: dict[str, _OpenWait], now_s: float) -> tuple[HealthState, str, float]:
        """Return the state, what the part does, and since when."""
        if not self._is_ready:
            return HealthState.UNHEALTHY, self._doing, self._since_s
        long = [w.since_s for w in waits.values() if now_s - w.since_s > WAIT_GRACE_S]
        if long:
            return HealthState.DEGRADED, self._doing, min(long)
        working_since_s = self._working_since_s
        if working_since_s is not None and now_s - working_since_s > STALL_MAX_S:
            return HealthState.DEGRADED, f"{self._doing}, and has finished nothing", working_since_s
        if self._pause is not None:
            since_s = now_s - max(0.0, self._now_ms() / 1000 - self._pause.since_ms / 1000)
            return HealthState.DEGRADED, "is paused", since_s
        return HealthState.HEALTHY, self._doing, self._since_s


_UNAVAILABLE: Final = {
    "kafka": "KAFKA_UNAVAILABLE",
    "schema_registry": "REGISTRY_UNAVAILABLE",
    "event_store": "EVENT_LOG_UNAVAILABLE",
    "monitor": "EVENT_LOG_UNAVAILABLE",
}
