"""Topics and their partitions: where records are appended, and read once they are on the disk."""

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from broker.batches import NO_PRODUCER, BatchHead, CorruptBatchError, first_since, placed_at, read_head, stored_head
from broker.errors import ErrorCode
from broker.journal import Journal
from broker.store import ADD_BATCH, FORGET_BATCHES, MOVE_START, BrokerStore, StoredExtent, StoredTopic

MESSAGE_BYTES_MAX: Final = 1_048_588  # Kafka's own `max.message.bytes`
RETENTION_MS: Final = 7 * 86_400_000  # Kafka's own `retention.ms`
_TAIL_BYTES: Final = 1_048_576  # of the last batches of a partition, in memory
_REMEMBERED: Final = 5  # batches of a producer that are known again; it has no more under way
_PRODUCERS_MAX: Final = 1000  # of a partition


@dataclass(frozen=True, slots=True)
class Appended:
    """Kafka's answer to a batch: where it is, or what is wrong."""

    error: ErrorCode
    base_offset: int = -1
    start_offset: int = -1


@dataclass(slots=True)
class _ProducerNumbers:
    """How far an idempotent producer has come in a partition."""

    epoch: int
    next_sequence: int
    last: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def take(self, head: BatchHead, base_offset: int) -> None:
        self.next_sequence = head.next_sequence
        self.last.append((head.first_sequence, head.last_sequence, base_offset))


class PartitionLog:
    """One partition. Its records are read by nobody before they are on the disk."""

    def __init__(self, topic: "TopicLog", number: int, extent: StoredExtent, store: BrokerStore) -> None:
        self._topic = topic
        self._number = number
        self._store = store
        self._end = extent.end  # the offset that the next record gets
        self._producers: dict[int, _ProducerNumbers] = {}
        self._tail: list[bytes] = []
        self._tail_offsets: list[int] = []  # the first one of each batch in it
        self._tail_bytes = 0
        self.start = extent.start
        self.high_watermark = extent.end  # below it, everything is on the disk
        self.waiting: set[Callable[[], None]] = set()  # told of each new record
        for raw in extent.last_heads:
            head = stored_head(raw)
            self._remember(head, head.base_offset)

    def append(self, data: bytes, journal: Journal, done: Callable[[Appended], None]) -> None:
        """Append a batch, and tell `done` when it is on the disk, or what is wrong with it."""
        try:
            head = read_head(data)
        except CorruptBatchError:
            return done(Appended(ErrorCode.CORRUPT_MESSAGE))
        if len(data) > self._topic.message_bytes_max:
            return done(Appended(ErrorCode.MESSAGE_TOO_LARGE))
        error, known_at = self._judge(head)
        if error:
            return done(Appended(error))
        if known_at is not None:
            # It came before, and may not be on the disk yet.
            return journal.enter((), lambda ok: done(self._outcome(ok, known_at)))
        base_offset, self._end = self._end, self._end + head.count
        self._remember(head, base_offset)
        kept = placed_at(data, base_offset)
        values = (self._topic.key, self._number, base_offset, self._end, head.max_timestamp_ms, kept)

        def written(ok: bool) -> None:
            if ok:
                self._publish(base_offset, base_offset + head.count, kept)
            done(self._outcome(ok, base_offset))

        return journal.enter([(ADD_BATCH, values)], written)

    def _judge(self, head: BatchHead) -> tuple[ErrorCode, int | None]:
        """Return what is wrong with a batch, or where it is already."""
        numbers = self._producers.get(head.producer_id)
        if head.producer_id == NO_PRODUCER or numbers is None:
            return ErrorCode.NONE, None  # an unknown producer may begin anywhere, as with Kafka
        if head.producer_epoch < numbers.epoch:
            return ErrorCode.INVALID_PRODUCER_EPOCH, None
        if head.producer_epoch > numbers.epoch:
            return (ErrorCode.NONE if head.first_sequence == 0 else ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER), None
        for first, last, base_offset in numbers.last:
            if (first, last) == (head.first_sequence, head.last_sequence):
                return ErrorCode.NONE, base_offset
        if head.first_sequence != numbers.next_sequence:
            return ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, None
        return ErrorCode.NONE, None

    def _remember(self, head: BatchHead, base_offset: int) -> None:
        if head.producer_id == NO_PRODUCER:
            return
        numbers = self._producers.pop(head.producer_id, None)
        if numbers is None or numbers.epoch != head.producer_epoch:
            numbers = _ProducerNumbers(head.producer_epoch, 0)
        numbers.take(head, base_offset)
        self._producers[head.producer_id] = numbers  # the last one is the latest
        if len(self._producers) > _PRODUCERS_MAX:
            del self._producers[next(iter(self._producers))]

    def _outcome(self, ok: bool, base_offset: int) -> Appended:
        return Appended(ErrorCode.NONE, base_offset, self.start) if ok else Appended(ErrorCode.KAFKA_STORAGE_ERROR)

    def _publish(self, base_offset: int, next_offset: int, kept: bytes) -> None:
        self.high_watermark = next_offset
        self._tail.append(kept)
        self._tail_offsets.append(base_offset)
        self._tail_bytes += len(kept)
        if self._tail_bytes > 2 * _TAIL_BYTES:
            self._shorten_tail()
        for wake in tuple(self.waiting):
            wake()

    def _shorten_tail(self) -> None:
        gone = 0
        while self._tail_bytes > _TAIL_BYTES and gone < len(self._tail) - 1:
            self._tail_bytes -= len(self._tail[gone])
            gone += 1
        del self._tail[:gone], self._tail_offsets[:gone]

    def has(self, offset: int) -> bool:
        """Tell whether the offset is the partition's: one of its records', or the next one's."""
        return self.start <= offset <= self.high_watermark

    def read(self, offset: int, max_bytes: int) -> list[bytes]:
        """Return the batches from the one that has `offset` on: as many as fit, and one at least where there is one."""
        if offset >= self.high_watermark:
            return []
        if not self._tail_offsets or offset < self._tail_offsets[0]:
            return self._store.read(self._topic.key, self._number, offset, self.high_watermark, max_bytes)
        found: list[bytes] = []
        size = 0
        for batch in self._tail[bisect_right(self._tail_offsets, offset) - 1 :]:
            size += len(batch)
            if found and size > max_bytes:
                break
            found.append(batch)
        return found

    def since(self, timestamp_ms: int) -> tuple[int, int]:
        """Return the offset and the time of the first record that is no older; -1 and -1 where there is none."""
        batch = self._store.since(self._topic.key, self._number, timestamp_ms)
        if batch is None:
            return -1, -1
        offset, found_ms = first_since(batch, timestamp_ms)
        return max(offset, self.start), found_ms

    def expire(self, now_ms: int, journal: Journal) -> None:
        """Let records go that are older than the topic keeps them."""
        if self._topic.retention_ms < 0 or self.start == self.high_watermark:
            return
        kept = self._store.first_kept(self._topic.key, self._number, now_ms - self._topic.retention_ms)
        start = self.high_watermark if kept is None else kept
        if start <= self.start:
            return
        place = (self._topic.key, self._number)
        journal.enter(
            [(MOVE_START, (*place, start)), (FORGET_BATCHES, (*place, start))], lambda ok: self._move_start(start, ok)
        )

    def _move_start(self, start: int, ok: bool) -> None:
        if not ok:
            return
        self.start = max(self.start, start)
        gone = bisect_right(self._tail_offsets, start - 1)
        self._tail_bytes -= sum(map(len, self._tail[:gone]))
        del self._tail[:gone], self._tail_offsets[:gone]


class TopicLog:
    """One topic, with its partitions."""

    def __init__(self, stored: StoredTopic, store: BrokerStore, *, is_new: bool = False) -> None:
        """`is_new` says that the file has nothing of it."""
        self.key = stored.key
        self.name = stored.name
        self.topic_id = stored.topic_id
        self.retention_ms = int(stored.config.get("retention.ms", RETENTION_MS))
        self.message_bytes_max = int(stored.config.get("max.message.bytes", MESSAGE_BYTES_MAX))
        self.partitions = [
            PartitionLog(self, number, StoredExtent(0, 0, []) if is_new else store.extent(stored.key, number), store)
            for number in range(stored.partitions)
        ]


class TopicLogs:
    """Every topic."""

    def __init__(self, store: BrokerStore) -> None:
        self._by_name = {stored.name: TopicLog(stored, store) for stored in store.topics()}
        self._next_key = store.next_topic_key()

    def __iter__(self) -> Iterator[TopicLog]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def get(self, name: str) -> TopicLog | None:
        """Return a topic by its name."""
        return self._by_name.get(name)

    def with_id(self, topic_id: UUID) -> TopicLog | None:
        """Return a topic by its ID."""
        return next((topic for topic in self._by_name.values() if topic.topic_id == topic_id), None)

    def partition(self, name: str, number: int) -> PartitionLog | None:
        """Return one partition."""
        topic = self._by_name.get(name)
        return topic.partitions[number] if topic and 0 <= number < len(topic.partitions) else None

    def take_key(self) -> int:
        """Return a key for a new topic's rows."""
        key, self._next_key = self._next_key, self._next_key + 1
        return key

    def add(self, topic: TopicLog) -> None:
        """Let a topic be found."""
        self._by_name[topic.name] = topic

    def remove(self, topic: TopicLog) -> None:
        """Let a topic be found no more; who waits for its records finds out."""
        if self._by_name.get(topic.name) is topic:
            del self._by_name[topic.name]
        for partition in topic.partitions:
            for wake in tuple(partition.waiting):
                wake()

    def expire(self, journal: Journal) -> None:
        """Let records go that are older than their topics keep them."""
        now_ms = int(time.time() * 1000)
        for topic in self:
            for partition in topic.partitions:
                partition.expire(now_ms, journal)
