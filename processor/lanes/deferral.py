"""Commands that wait until it can be told whether their user exists, while everybody else's go on.

A command waits as the bytes of its record, and is decoded again when it is tried: a hundred thousand of them take some
80 MB. Nothing in the lane stops for them. Each round tries a bounded number, beside the commands that have just come,
and only a few while most of them can't be told: young ones after 20 ms, then after pauses that double; those that have
waited for a second in turn, ten times a second.

Where more wait than the bound in bytes allows, those that have waited longest are answered before their time: they have
had the most of what all of them wait for, and a flood of unknown users can keep nobody else from being read. Commands
of one key keep their order, whatever becomes of each.
"""

import marshal
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, Final

from mesh.envelope import KafkaRecord
from processor.lanes.applying import Applied
from processor.lanes.decoding import Item, Redrive, Taken

_PAUSES_S: Final = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)  # after so many tries of a key in vain
_OLDEST: Final = len(_PAUSES_S) - 1
_PROBE_PAUSE_S: Final = 0.1  # between tries of the oldest keys, while none of them can be told
_PROBES_MAX: Final = 64  # tries of a round, while most are in vain: what a store is asked for in one query
_OLDEST_PROBES: Final = 16  # of them, for the oldest keys
_FIRST_TAKE: Final = 8  # commands of a key that are tried at once; more as soon as its user is told of
_COMMAND_BYTES: Final = 450  # measured: what a waiting command takes beside its record, a key of its own included
_MARK_BYTES: Final = 250  # what a mark takes beside its receipt, as in processor.stores.redis
_STALE_MAX: Final = 1000  # answered commands that are still listed, before the lists are made anew


class _Waiting:
    """A command that waits. Ordered by its offset."""

    __slots__ = ("gone", "offset", "overtaken_from_bytes", "packed", "partition", "queue", "since_s")

    def __init__(self, record: KafkaRecord, since_s: float, queue: "_Queue", overtaken_from_bytes: int) -> None:
        fields: Any = tuple(record)
        self.packed = marshal.dumps(fields)
        self.partition = record.partition
        self.offset = record.offset
        self.since_s = since_s
        self.overtaken_from_bytes = overtaken_from_bytes
        self.queue = queue
        self.gone = False  # answered, or another lane's

    def __lt__(self, other: "_Waiting") -> bool:
        return self.offset < other.offset

    @property
    def size_bytes(self) -> int:
        return len(self.packed) + _COMMAND_BYTES

    def record(self) -> KafkaRecord:
        return KafkaRecord(*marshal.loads(self.packed))  # noqa: S302 # what this process packed itself


class _Queue:
    """The commands of one key, in order."""

    __slots__ = ("key", "level", "next_try_s", "take", "waiting")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.waiting: list[_Waiting] = []
        self.level = 0  # of _PAUSES_S
        self.next_try_s = 0.0
        self.take = _FIRST_TAKE


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be tried in a round."""

    records: Sequence[KafkaRecord]
    late: AbstractSet[int]  # the identities of those records that are to be answered now, whatever can be told
    cut_short: int  # how many of these have waited less than they might

    def overdue(self, taken: Iterable[Taken]) -> AbstractSet[str]:
        """Return the correlation IDs of what was decoded from the records, and has waited long enough."""
        late = [one for one in taken if id(one.record) in self.late]
        items = {one.delivery.correlation_id for one in late if isinstance(one, Item)}
        return items | {one.correlation_id for one in late if isinstance(one, Redrive)}


class Deferral:
    """Commands that wait, by key. Times are of the monotonic clock, in seconds.

    `max_bytes` bounds what they take in memory: with one round's commands beside it, no more is held. `max_tries` is
    how many commands are tried in a round at the most, beside as many that have waited long enough.

    After a crash, all from the lowest offset that waits is read again, and told from its marks. Where a store keeps
    these within a number of bytes, a command waits no longer than until `max_overtaking_bytes` of them came after it.
    """

    def __init__(
        self,
        max_bytes: int,
        max_wait_s: float,
        max_tries: int,
        clock_s: Callable[[], float] = time.monotonic,
        max_overtaking_bytes: float = math.inf,
    ) -> None:
        self._max_bytes = max_bytes
        self._max_wait_s = max_wait_s
        self._max_tries = max_tries
        self._clock_s = clock_s
        self._queues: dict[bytes, _Queue] = {}
        # Keys by how often they were tried in vain. In each, all wait equally long: the first one is due first.
        self._levels: list[dict[bytes, _Queue]] = [{} for _ in _PAUSES_S]
        self._by_age: deque[_Waiting] = deque()
        self._by_offset: dict[int, list[_Waiting]] = {}  # heaps, by partition
        self._count = 0
        self._size_bytes = 0
        self._max_overtaking_bytes = max_overtaking_bytes
        self._overtaking_bytes = 0  # of the marks of what was answered while anything waited
        self._next_probe_s = 0.0
        self._is_told = True  # whether most of what was last tried could be told
        # Of the round at hand:
        self._tried: dict[int, _Waiting] = {}  # by the identity of the record that was given out
        self._late = 0  # how many of them are to be answered, whatever can be told
        self._taken: list[_Queue] = []  # out of their level

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """What the commands that wait take in memory, in bytes."""
        return self._size_bytes

    def oldest(self) -> tuple[int, float] | None:
        """Return the time of the record that has waited longest, in ms since the epoch, and for how long, in s.

        None where none waits.
        """
        oldest = self._oldest()
        if oldest is None:
            return None
        return oldest.record().timestamp_ms, self._clock_s() - oldest.since_s

    def next_try_in_s(self) -> float | None:
        """Return how long until a command is to be tried again; None when none waits."""
        oldest = self._oldest()
        if oldest is None:
            return None
        if self._size_bytes > self._max_bytes:
            return 0.0
        times_s = [oldest.since_s + self._max_wait_s]
        for level, queues in enumerate(self._levels):
            if queues:
                next_try_s = next(iter(queues.values())).next_try_s
                times_s.append(max(next_try_s, self._next_probe_s) if level == _OLDEST else next_try_s)
        return max(0.0, min(times_s) - self._clock_s())

    def hold_back(self, taken: Sequence[Taken]) -> list[Taken]:
        """Put what has a key that waits behind it, and return the others."""
        if not self._queues:
            return list(taken)
        others: list[Taken] = []
        now_s = self._clock_s()
        for one in taken:
            queue = self._queues.get(one.key)
            if queue is None:
                others.append(one)
            else:
                self._add(queue, one.record, now_s)
        return others

    def due(self) -> Due:
        """Return the commands to try again now. `settle` is to be told what became of them."""
        self._tried = {}
        self._taken = []
        self._late = 0
        if not self._queues:
            return Due((), frozenset(), 0)
        now_s = self._clock_s()
        records: list[KafkaRecord] = []
        late, cut_short = self._take_late(records, now_s)
        self._late = len(late)
        tries = self._max_tries if self._is_told else min(_PROBES_MAX, self._max_tries)
        for level in range(_OLDEST):
            self._take_level(records, level, now_s, len(late) + tries - tries // (_PROBES_MAX // _OLDEST_PROBES))
        if now_s >= self._next_probe_s:
            self._take_level(records, _OLDEST, now_s, len(late) + tries)
        return Due(records, late, cut_short)

    def settle(self, applied: Sequence[Applied]) -> None:
        """Keep what is deferred, and let go of what is answered."""
        if not self._queues and not any(one.is_deferred for one in applied):
            return
        now_s = self._clock_s()
        answers = (one.receipt for one in applied if one.receipt is not None)
        self._overtaking_bytes += sum(receipt.ByteSize() + _MARK_BYTES for receipt in answers)
        untold = 0
        for one in applied:
            waiting = self._tried.get(id(one.taken.record))
            if waiting is not None:
                if one.is_deferred:
                    untold += 1
                else:
                    self._let_go(waiting)
            elif one.is_deferred:
                self._add(self._queue_of(one.taken.key, now_s), one.taken.record, now_s)
        if len(self._tried) > self._late:
            self._is_told = untold <= (len(self._tried) - self._late) / 2
        self._tidy_queues(now_s)

    def lowest_offsets(self) -> Mapping[int, int]:
        """Return the lowest offset that waits, by partition: nothing from there on may be committed."""
        lowest: dict[int, int] = {}
        for partition, heap in self._by_offset.items():
            while heap and heap[0].gone:
                heappop(heap)
            if heap:
                lowest[partition] = heap[0].offset
        return lowest

    def drop(self, partitions: Collection[int]) -> None:
        """Forget the commands of partitions that were taken away."""
        for queue in list(self._queues.values()):
            for waiting in queue.waiting:
                if waiting.partition in partitions:
                    self._let_go(waiting)
            queue.waiting = [waiting for waiting in queue.waiting if not waiting.gone]
            self._prune(queue)
        self._list_anew()

    def _oldest(self) -> _Waiting | None:
        while self._by_age and self._by_age[0].gone:
            self._by_age.popleft()
        return self._by_age[0] if self._by_age else None

    def _take_late(self, records: list[KafkaRecord], now_s: float) -> tuple[AbstractSet[int], int]:
        """Add those that have waited long enough, and the longest-waiting of those that are too many."""
        late: set[int] = set()
        cut_short = 0
        over_bytes = self._size_bytes - self._max_bytes
        for waiting in self._by_age:
            if waiting.gone:
                continue
            is_overdue = waiting.since_s + self._max_wait_s <= now_s
            overtaking_bytes = self._overtaking_bytes - waiting.overtaken_from_bytes
            is_early = over_bytes > 0 or overtaking_bytes > self._max_overtaking_bytes
            if not (is_early or is_overdue) or len(records) >= self._max_tries:
                break
            self._try(waiting, records)
            late.add(id(records[-1]))
            cut_short += not is_overdue
            over_bytes -= waiting.size_bytes
        return late, cut_short

    def _take_level(self, records: list[KafkaRecord], level: int, now_s: float, max_records: int) -> None:
        """Add commands of the keys of a level that are due, in their turn, up to a number of records."""
        queues = self._levels[level]
        tried = set(map(id, self._tried.values())) if queues and self._tried else set()
        while queues and len(records) < max_records:
            queue = next(iter(queues.values()))
            if queue.next_try_s > now_s:
                return
            del queues[queue.key]
            self._taken.append(queue)
            for waiting in queue.waiting[: min(queue.take, max_records - len(records))]:
                if id(waiting) not in tried:  # it may be late besides
                    self._try(waiting, records)

    def _try(self, waiting: _Waiting, records: list[KafkaRecord]) -> None:
        record = waiting.record()
        records.append(record)
        self._tried[id(record)] = waiting

    def _queue_of(self, key: bytes, now_s: float) -> _Queue:
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue(key)
            self._put_back(queue, 0, now_s + _PAUSES_S[0])
        return queue

    def _add(self, queue: _Queue, record: KafkaRecord, now_s: float) -> None:
        waiting = _Waiting(record, now_s, queue, self._overtaking_bytes)
        queue.waiting.append(waiting)
        self._by_age.append(waiting)
        heappush(self._by_offset.setdefault(record.partition, []), waiting)
        self._count += 1
        self._size_bytes += waiting.size_bytes

    def _let_go(self, waiting: _Waiting) -> None:
        if not waiting.gone:
            self._count -= 1
            self._size_bytes -= waiting.size_bytes
            waiting.gone, waiting.packed = True, b""

    def _tidy_queues(self, now_s: float) -> None:
        """Bring the queues of what was tried up to date, and say when each is tried again."""
        oldest = [queue for queue in self._taken if queue.level == _OLDEST]
        tried = {id(waiting) for waiting in self._tried.values() if not waiting.gone}
        for queue in {id(waiting.queue): waiting.queue for waiting in self._tried.values()}.values():
            self._prune(queue)
        for queue in self._taken:
            if self._queues.get(queue.key) is not queue:
                continue
            if id(queue.waiting[0]) in tried:
                queue.take = 1
                level = min(queue.level + 1, _OLDEST)
                self._put_back(queue, level, now_s + _PAUSES_S[level])
            else:
                queue.take = min(4 * queue.take, self._max_tries)
                self._put_back(queue, 0, now_s)
        if oldest:
            is_told = any(not queue.waiting or queue.level == 0 for queue in oldest)
            self._next_probe_s = now_s + (0.0 if is_told else _PROBE_PAUSE_S)
        if len(self._by_age) > 2 * self._count + _STALE_MAX:
            self._list_anew()

    def _put_back(self, queue: _Queue, level: int, next_try_s: float) -> None:
        queue.level, queue.next_try_s = level, next_try_s
        self._levels[level][queue.key] = queue

    def _prune(self, queue: _Queue) -> None:
        """Take out of a queue what no longer waits: mostly its first commands."""
        kept = 0
        while kept < len(queue.waiting) and queue.waiting[kept].gone:
            kept += 1
        del queue.waiting[:kept]
        if any(waiting.gone for waiting in queue.waiting[: self._max_tries]):
            queue.waiting = [waiting for waiting in queue.waiting if not waiting.gone]
        if not queue.waiting and self._queues.get(queue.key) is queue:
            del self._queues[queue.key]
            self._levels[queue.level].pop(queue.key, None)

    def _list_anew(self) -> None:
        """Take what no longer waits out of the lists by age and by offset."""
        self._by_age = deque(waiting for waiting in self._by_age if not waiting.gone)
        self._by_offset = {}
        for waiting in self._by_age:
            self._by_offset.setdefault(waiting.partition, []).append(waiting)
        for heap in self._by_offset.values():
            heapify(heap)
