"""Commands that wait until it can be told whether their user exists."""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from mesh.backoff import Backoff
from processor.lanes.applying import Applied
from processor.lanes.decoding import Item

_FIRST_DELAY_S = 0.02
_MAX_DELAY_S = 1.0


@dataclass(slots=True)
class _Waiting:
    item: Item
    since_s: float


@dataclass(slots=True)
class _Queue:
    """The commands of one key, in order: the first one is tried again, and the others behind it."""

    next_try_s: float
    backoff: Backoff
    waiting: list[_Waiting]


class Deferral:
    """A bounded list of commands, by key. Times are of the monotonic clock, in seconds."""

    def __init__(self, max_items: int, max_wait_s: float, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._max_items = max_items
        self._max_wait_s = max_wait_s
        self._clock_s = clock_s
        self._queues: dict[bytes, _Queue] = {}

    def __len__(self) -> int:
        return sum(len(queue.waiting) for queue in self._queues.values())

    @property
    def room(self) -> int:
        """How many more commands it takes: all that are read until then may come to wait."""
        return max(0, self._max_items - len(self))

    def next_try_in_s(self) -> float | None:
        """Return how long until a command is to be tried again; None when none waits."""
        if not self._queues:
            return None
        return max(0.0, min(queue.next_try_s for queue in self._queues.values()) - self._clock_s())

    def hold_back(self, items: Sequence[Item]) -> list[Item]:
        """Put commands whose key waits behind it, and return the others."""
        others: list[Item] = []
        for item in items:
            queue = self._queues.get(item.delivery.key)
            if queue is None:
                others.append(item)
            else:
                queue.waiting.append(_Waiting(item, self._clock_s()))
        return others

    def due(self) -> tuple[list[Item], AbstractSet[str]]:
        """Return the commands to try again now, and the correlation IDs of those that have waited long enough."""
        now_s = self._clock_s()
        due = [w for queue in self._queues.values() if queue.next_try_s <= now_s for w in queue.waiting]
        overdue = {w.item.delivery.correlation_id for w in due if now_s - w.since_s >= self._max_wait_s}
        return [w.item for w in due], overdue

    def settle(self, applied: Sequence[Applied]) -> None:
        """Keep the commands that are not answered, and let go of those that are."""
        if not self._queues and all(one.receipt is not None for one in applied):
            return
        by_key: dict[bytes, list[Applied]] = {}
        for one in applied:
            by_key.setdefault(one.item.delivery.key, []).append(one)
        for key, of_key in by_key.items():
            self._settle_key(key, [one.item for one in of_key if one.receipt is None])

    def lowest_offsets(self) -> Mapping[int, int]:
        """Return the lowest offset that waits, by partition: nothing from there on may be committed."""
        lowest: dict[int, int] = {}
        for queue in self._queues.values():
            for waiting in queue.waiting:
                record = waiting.item.record
                lowest[record.partition] = min(record.offset, lowest.get(record.partition, record.offset))
        return lowest

    def oldest(self) -> tuple[int, float] | None:
        """Return the time of the oldest record that waits, in ms since the epoch, and how long one has waited at most.

        None where none waits.
        """
        firsts = [queue.waiting[0] for queue in self._queues.values()]  # of each key: the others came after it
        if not firsts:
            return None
        waited_s = self._clock_s() - min(first.since_s for first in firsts)
        return min(first.item.record.timestamp_ms for first in firsts), waited_s

    def drop(self, partitions: Collection[int]) -> None:
        """Forget the commands of partitions that were taken away."""
        for key, queue in list(self._queues.items()):
            queue.waiting = [w for w in queue.waiting if w.item.partition not in partitions]
            if not queue.waiting:
                del self._queues[key]

    def _settle_key(self, key: bytes, unanswered: Sequence[Item]) -> None:
        """Let what is not answered wait on: a key is tried whole, so that is all there is of it."""
        queue = self._queues.pop(key, None)
        if not unanswered:
            return
        now_s = self._clock_s()
        since_s = {} if queue is None else {id(w.item): w.since_s for w in queue.waiting}
        backoff = Backoff(_FIRST_DELAY_S, _MAX_DELAY_S) if queue is None else queue.backoff
        waiting = [_Waiting(item, since_s.get(id(item), now_s)) for item in unanswered]
        self._queues[key] = _Queue(now_s + backoff.next_s(), backoff, waiting)
