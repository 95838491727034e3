"""What has happened in the last minutes, in numbers, counted from the events that the monitor reads anyway.

The overview draws its charts from metrics, which reach further back and outlive the monitor. Here is what those cannot
tell: why stores have refused commands lately, and how long each part of the way took in the last half minute, of the
operations that the event log has. It is there where nobody sends metrics, too.

The figures begin when the monitor starts. A record that is read twice, as after a rebalance, counts twice.
"""

import bisect
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from monitor.listing.fields import event_reason
from monitor.records import ACCEPTED, DEAD_LETTERED, FAILED, PARKED, RECEIVED, SUCCEEDED, TracedEvent

STEP_S: Final = 5
_STEPS: Final = 61  # five minutes, and the step of now
_MAX_REASONS: Final = 100  # in one step: who writes foreign records fills no memory
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

    accepted: int = 0
    acknowledged: Histogram = field(default_factory=Histogram)  # from the gateway's decision to Kafka's acknowledgement
    stores: dict[str, StoreFigures] = field(default_factory=dict)
    total: Histogram = field(default_factory=Histogram)  # from the acceptance to a store's answer
    reasons: Counter[str] = field(default_factory=Counter)  # of failures
    dead_letters: int = 0

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
        self.accepted += other.accepted
        self.acknowledged.merge(other.acknowledged)
        for name, store in other.stores.items():
            self.stores.setdefault(name, StoreFigures()).merge(store)
        self.total.merge(other.total)
        self.reasons.update(other.reasons)
        self.dead_letters += other.dead_letters


class Activity:
    """Counts events, by the time at which they happened. Thread-safe; it keeps at most some hundred kilobytes."""

    def __init__(self, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._steps: dict[int, Figures] = {}  # by the time at which they begin

    def add(self, events: Sequence[TracedEvent]) -> None:
        """Count events. Those of a receipt come as a pair: received, then answered."""
        with self._lock:
            waited_ms = 0.0
            for traced in events:
                event = traced.event
                figures = self._step(event.timestamp.seconds)
                if figures is not None:
                    _count(figures, traced, waited_ms)
                waited_ms = event.duration_ms if event.event_type == RECEIVED else 0.0

    def lately(self, seconds: int) -> Figures:
        """Return the figures of the last whole steps, as many as are in `seconds`, which are 300 at the most."""
        end_s = int(self._clock_s()) // STEP_S * STEP_S
        result = Figures()
        with self._lock:
            for at_s, figures in self._steps.items():
                if end_s - seconds <= at_s < end_s:
                    result.merge(figures)
        return result

    def _step(self, at_s: int) -> Figures | None:
        """Return the step of a time; None for one that is too old, or still to come."""
        begin_s = at_s // STEP_S * STEP_S
        found = self._steps.get(begin_s)
        if found is not None:
            return found
        now_s = self._clock_s()
        oldest_s = int(now_s) // STEP_S * STEP_S - (_STEPS - 1) * STEP_S
        if not oldest_s <= begin_s <= now_s:
            return None
        for old_s in [old_s for old_s in self._steps if old_s < oldest_s]:
            del self._steps[old_s]
        return self._steps.setdefault(begin_s, Figures())


def _count(figures: Figures, traced: TracedEvent, waited_ms: float) -> None:
    event = traced.event
    if event.event_type == ACCEPTED:
        figures.accepted += 1
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
        reason, reasons = event_reason(event), figures.reasons
        reasons[reason if reason in reasons or len(reasons) < _MAX_REASONS else OTHERS] += 1
    else:
        return
    store.applied.add(event.duration_ms)
    figures.total.add(waited_ms + event.duration_ms)
