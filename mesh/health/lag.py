"""How far a consumer is behind, and whether Kafka answers it: asked beside its loop, which may wait for a store."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, Protocol

from confluent_kafka import Consumer, KafkaException, TopicPartition

from mesh.errors import Reason
from mesh.health.part import PartHealth
from mesh.threads import CriticalThreads

_INTERVAL_S: Final = 1.0
_ASK_TIMEOUT_S: Final = 0.5
_STOP_TIMEOUT_S: Final = 10.0  # far longer than a look takes: the consumer must not be closed in the middle of one
_KAFKA: Final = "kafka"
_UNTOLD: Final = "the broker does not tell how many records there are"
_NO_PARTITIONS: Final = "the consumer group has given it no partitions"

Place = tuple[str, int]  # a topic and its partition


class AtHand(NamedTuple):
    """What was read and is not done yet."""

    records: int
    oldest_ms: int | None  # the time of the oldest, since the epoch; None where there are none


class Followed(Protocol):
    """A consumer and its work, as seen from beside its thread."""

    def unread(self) -> int:
        """Return how many records it has yet to read. Raises KafkaException where the broker does not tell."""
        ...

    def position(self) -> Mapping[Place, int]:
        """Return the next offset of each partition that anything was read of."""
        ...

    def at_hand(self) -> AtHand:
        """Return what was read and is not done yet."""
        ...

    def is_member(self) -> bool:
        """Whether the group has said which partitions are its own, be it none."""
        ...

    def take_error(self) -> str:
        """Return the name of the last error of reading since the last call; empty where there was none."""
        ...


class Backlog:
    """Counts the records that a consumer has yet to read. One thread at a time, another one than the consumer's."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._begins: dict[Place, int] = {}  # of partitions that nothing has been read of yet

    def count(self, topic: str, owned: Collection[Place], position: Mapping[Place, int]) -> int:
        """Return how many records there are from a position on, or from the committed offset where it tells none.

        `topic` is asked for where no partition is owned. Each answer is waited for half a second at most.
        Raises KafkaException where the broker does not tell.
        """
        if not owned:
            told = self._consumer.list_topics(topic, timeout=_ASK_TIMEOUT_S).topics[topic]
            if told.error is not None:
                raise KafkaException(told.error)
        for gone in self._begins.keys() - set(owned):
            del self._begins[gone]
        return sum(self._unread(place, position.get(place)) for place in sorted(owned))

    def _unread(self, place: Place, next_offset: int | None) -> int:
        partition = TopicPartition(*place)
        begin, end = self._consumer.get_watermark_offsets(partition, timeout=_ASK_TIMEOUT_S)
        # What the last fetch has said may be newer, and right where a broker's own word is not.
        end = max(end, self._consumer.get_watermark_offsets(partition, cached=True)[1])
        if next_offset is None:
            if place not in self._begins:
                (committed,) = self._consumer.committed([partition], timeout=_ASK_TIMEOUT_S)
                self._begins[place] = committed.offset if committed.offset >= 0 else begin
            next_offset = self._begins[place]
        return max(0, end - max(begin, next_offset))


class LagWatch:
    """A thread that has a part's health tell its lag every second, and whether it waits for Kafka."""

    def __init__(
        self,
        followed: Followed,
        health: PartHealth,
        threads: CriticalThreads,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._followed = followed
        self._health = health
        self._now_ms = now_ms
        self._unread_since_ms = now_ms()
        self._position: Mapping[Place, int] = {}
        self._waits = False
        self._stopping = threading.Event()
        self._thread = threads.new("lag", self._run)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End, before the consumer is closed."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def look(self) -> None:
        """Look once."""
        now_ms, at_hand, position = self._now_ms(), self._followed.at_hand(), self._followed.position()
        with self._health.calling(_KAFKA, _UNTOLD, beats=False):
            try:
                unread = self._followed.unread()
            except KafkaException as error:
                self._wait(f"{_UNTOLD}: {error.args[0].name()}")
                return
        if not unread:
            self._unread_since_ms = now_ms
        oldest_ms = self._unread_since_ms if at_hand.oldest_ms is None else at_hand.oldest_ms
        self._health.lag(unread + at_hand.records, now_ms - oldest_ms)
        error_name = self._followed.take_error()
        stands = position == self._position and not at_hand.records
        self._position = position
        if not self._followed.is_member():
            self._wait(_NO_PARTITIONS)
        elif unread and stands and error_name:
            self._wait(f"records cannot be read: {error_name}")
        elif self._waits:  # what others have told of Kafka is theirs to take back
            self._waits = False
            self._health.going_on(_KAFKA)

    def _wait(self, detail: str) -> None:
        self._waits = True
        self._health.waiting(_KAFKA, Reason.KAFKA_UNAVAILABLE.name, detail)

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL_S):
            self.look()
