"""What has happened lately, in numbers: the last day in memory, counted from the events that the monitor reads anyway.

The figures begin when the monitor starts. A record that is read twice, as after a rebalance, counts twice.
"""

import bisect
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from monitor.records import ACCEPTED, DEAD_LETTERED, FAILED, PARKED, RECEIVED, SUCCEEDED, TracedEvent

FINE_STEP_S: Final = 5
COARSE_STEP_S: Final = 60
_FINE_SLOTS: Final = 720  # an hour
_COARSE_SLOTS: Final = 1440  # a day
_MAX_NAMES: Final = 100  # of commands, and of reasons, in one slot: who writes foreign records fills no memory
OTHERS: Final = "…"

# Upper bounds of the histograms' buckets, in milliseconds; the last bucket is open.
BUCKETS_MS: Final = (
    *(0.5, 1, 1.5, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 200, 300, 400, 500, 750),
    *(1000, 1500, 2000, 3000, 5000, 10_000, 30_000, 60_000),
)


class Histogram:
    """How many durations were in each bucket."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_MS) + 1)

    def add(self, duration_ms: float) -> None:
        """Count a duration."""
        self.counts[bisect.bisect_left(BUCKETS_MS, duration_ms)] += 1

    def merge(self, other: "Histogram") -> None:
        """Count what another one has counted."""
        self.counts = [mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)]

    def quantile_ms(self, quantile: float) -> float | None:
        """Return about how long the fastest share `quantile` took at the most; None where nothing was counted."""
        total = sum(self.counts)
        if not total:
            return None
        rank = quantile * total
        below = 0
        for place, count in enumerate(self.counts):
            if count and below + count >= rank:
                low = BUCKETS_MS[place - 1] if place else 0.0
                high = BUCKETS_MS[place] if place < len(BUCKETS_MS) else BUCKETS_MS[-1]
                return low + (high - low) * (rank - below) / count
            below += count
        return BUCKETS_MS[-1]


@dataclass(slots=True)
class StoreFigures:
    """What one store's lane has done in a span of time."""

    succeeded: int = 0
    failed: int = 0
    parked: int = 0
    waited: Histogram = field(default_factory=Histogram)  # from Kafka's acknowledgement to the lane
    applied: Histogram = field(default_factory=Histogram)  # from the lane to the answer

    @property
    def answered(self) -> int:
        """How many commands it has answered."""
        return self.succeeded + self.failed + self.parked

    def merge(self, other: "StoreFigures") -> None:
        """Add another span of time."""
        self.succeeded += other.succeeded
        self.failed += other.failed
        self.parked += other.parked
        self.waited.merge(other.waited)
        self.applied.merge(other.applied)


@dataclass(slots=True)
class Figures:
    """What has happened in a span of time."""

    commands: Counter[str] = field(default_factory=Counter)  # accepted ones, by name
    acknowledged: Histogram = field(default_factory=Histogram)  # from the gateway's decision to Kafka's acknowledgement
    stores: dict[str, StoreFigures] = field(default_factory=dict)
    total: Histogram = field(default_factory=Histogram)  # from the acceptance to a store's answer
    reasons: Counter[str] = field(default_factory=Counter)  # of failures
    dead_letters: int = 0

    @property
    def accepted(self) -> int:
        """How many commands were accepted."""
        return self.commands.total()

    @property
    def answered(self) -> int:
        """How many answers the stores gave."""
        return sum(store.answered for store in self.stores.values())

    @property
    def failed(self) -> int:
        """How many of them were refusals."""
        return sum(store.failed for store in self.stores.values())

    def of(self, store: str) -> StoreFigures:
        """Return a store's figures; empty ones where there are none."""
        return self.stores.get(store) or StoreFigures()

    def merge(self, other: "Figures") -> None:
        """Add another span of time."""
        self.commands.update(other.commands)
        self.acknowledged.merge(other.acknowledged)
        for name, store in other.stores.items():
            self.stores.setdefault(name, StoreFigures()).merge(store)
        self.total.merge(other.total)
        self.reasons.update(other.reasons)
        self.dead_letters += other.dead_letters


class Activity:
    """Counts events, by the time at which they happened. Thread-safe; it keeps at most some megabytes."""

    def __init__(self, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self.since_s = clock_s()  # nothing is known of what was before, in seconds since the epoch
        self._lock = threading.Lock()
        self._slots: Mapping[int, dict[int, Figures]] = {FINE_STEP_S: {}, COARSE_STEP_S: {}}

    def add(self, events: Sequence[TracedEvent]) -> None:
        """Count events. Those of a receipt come as a pair: received, then answered."""
        with self._lock:
            waited_ms = 0.0
            for traced in events:
                event = traced.event
                at_s = event.timestamp.seconds
                for step_s in self._slots:
                    figures = self._slot(step_s, at_s)
                    if figures is not None:
                        _count(figures, traced, waited_ms)
                waited_ms = event.duration_ms if event.event_type == RECEIVED else 0.0

    def series(self, since_s: float, step_s: int) -> list[tuple[int, Figures]]:
        """Return the figures of every step since a time until now, each with the time at which it begins.

        `step_s` is a multiple of `FINE_STEP_S`. Of more than an hour ago, only multiples of `COARSE_STEP_S` are known.
        """
        base_s = COARSE_STEP_S if step_s % COARSE_STEP_S == 0 else FINE_STEP_S
        first_s, now_s = int(since_s) // step_s * step_s, int(self._clock_s())
        steps = {at_s: Figures() for at_s in range(first_s, now_s + 1, step_s)}
        with self._lock:
            for at_s, figures in self._slots[base_s].items():
                step = steps.get(at_s // step_s * step_s)
                if step is not None:
                    step.merge(figures)
        return list(steps.items())

    def lately(self, seconds: int) -> Figures:
        """Return the figures of the last whole steps, as many as are in `seconds`."""
        end_s = int(self._clock_s()) // FINE_STEP_S * FINE_STEP_S
        result = Figures()
        with self._lock:
            for at_s, figures in self._slots[FINE_STEP_S].items():
                if end_s - seconds <= at_s < end_s:
                    result.merge(figures)
        return result

    def _slot(self, step_s: int, at_s: int) -> Figures | None:
        slots = self._slots[step_s]
        begin_s = at_s // step_s * step_s
        found = slots.get(begin_s)
        if found is not None:
            return found
        count = _FINE_SLOTS if step_s == FINE_STEP_S else _COARSE_SLOTS
        oldest_s = int(self._clock_s()) // step_s * step_s - (count - 1) * step_s
        if not oldest_s <= begin_s <= self._clock_s():
            return None
        for old_s in [old_s for old_s in slots if old_s < oldest_s]:
            del slots[old_s]
        return slots.setdefault(begin_s, Figures())


def _count(figures: Figures, traced: TracedEvent, waited_ms: float) -> None:
    event = traced.event
    if event.event_type == ACCEPTED:
        _count_name(figures.commands, event.command)
        figures.acknowledged.add(event.duration_ms)
        return
    if event.event_type == DEAD_LETTERED:
        figures.dead_letters += 1
        return
    if not event.store:
        return
    store = figures.stores.setdefault(event.store, StoreFigures())
    if event.event_type == RECEIVED:
        store.waited.add(event.duration_ms)
        return
    if event.event_type == PARKED:
        store.parked += 1
        return
    if event.event_type == SUCCEEDED:
        store.succeeded += 1
    elif event.event_type == FAILED:
        store.failed += 1
        _count_name(figures.reasons, event.error.partition(":")[0])
    else:
        return
    store.applied.add(event.duration_ms)
    figures.total.add(waited_ms + event.duration_ms)


def _count_name(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < _MAX_NAMES else OTHERS] += 1
