"""How far a consumer is behind, and whether Kafka answers it: asked beside its loop, which may wait for a store."""

import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from typing import Any, Final, NamedTuple, Protocol

from confluent_kafka import (
    OFFSET_INVALID,
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined] # it is exported there

from mesh.errors import Reason
from mesh.health.part import PartHealth
from mesh.kafka import QUIET_CONFIG
from mesh.threads import CriticalThreads

_INTERVAL_S: Final = 1.0
_ASK_TIMEOUT_S: Final = 2.0
_ANSWER_MAX_S: Final = 3.0  # of a call that forgets its own bound
_STOP_TIMEOUT_S: Final = 10.0  # far longer than a look takes: the consumer must not be closed in the middle of one
_KAFKA: Final = "kafka"
_STOOD_MAX_S: Final = 4.0  # that records are there and none comes, before it is told
_ANEW_AFTER_S: Final = 20.0  # of that, before another consumer reads
_UNTOLD: Final = "the broker does not tell how many records there are"
_NO_PARTITIONS: Final = "the consumer group has given it no partitions"
_NONE_COMES: Final = "there are records to read, and none comes"

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

    def read_anew(self) -> None:
        """Have another consumer read, soon."""
        ...

    def is_paused(self) -> bool:
        """Whether it reads nothing on purpose."""
        ...


class Backlog:
    """Counts the records that a consumer has yet to read. `note` is for the consumer's thread, `count` for another one.

    It asks over a connection of its own: on the consumer's, each answer comes after the fetch that waits there, and
    the consumer's own calls were seen to hang for minutes while another thread consumed.
    """

    def __init__(self, group: str, client_config: Mapping[str, str | int | bool]) -> None:
        self._group = group
        self._client_config = client_config
        self._admin: AdminClient | None = None
        self._fetched: dict[Place, int] = {}  # the end of each partition, as the last fetch has told it
        self._next_note_s = 0.0
        self._begins: dict[Place, int] = {}  # of partitions that nothing has been read of yet

    def note(self, consumer: Consumer, owned: Collection[Place]) -> None:
        """Take note of what the last fetches have said of the partitions' ends. Once a second at the most."""
        if time.monotonic() < self._next_note_s:
            return
        self._next_note_s = time.monotonic() + _INTERVAL_S
        self._fetched = {
            place: consumer.get_watermark_offsets(TopicPartition(*place), cached=True)[1] for place in owned
        }

    def count(self, topic: str, owned: Collection[Place], position: Mapping[Place, int]) -> int:
        """Return how many records there are from a position on, or from the committed offset where it tells none.

        `topic` is asked for where no partition is owned. Raises KafkaException where the broker does not tell.
        """
        if self._admin is None:
            self._admin = AdminClient({**self._client_config, **QUIET_CONFIG})
        # One that has met an error is not used again: after a broker's absence it may name a leader's epoch that is
        # over, and be refused for as long as it lives (FENCED_LEADER_EPOCH).
        admin, self._admin = self._admin, None
        if not owned:
            told = admin.list_topics(topic, timeout=_ASK_TIMEOUT_S).topics[topic]
            if told.error is not None:
                raise KafkaException(told.error)
            self._admin = admin
            return 0
        ends = self._offsets(admin, owned, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        self._learn(admin, [place for place in owned if place not in position])
        self._admin = admin
        fetched, unread = self._fetched, 0
        for place, end in ends.items():
            newest = max(end, fetched.get(place, 0))  # a broker's own word may be short of its newest records
            unread += max(0, newest - position.get(place, self._begins.get(place, newest)))
        return unread

    def _learn(self, admin: AdminClient, unread: Collection[Place]) -> None:
        """Ask where the reading of partitions begins of which nothing has been read yet."""
        for gone in self._begins.keys() - set(unread):
            del self._begins[gone]
        unknown = [place for place in unread if place not in self._begins]
        if not unknown:
            return
        asked = ConsumerGroupTopicPartitions(self._group, [TopicPartition(*place) for place in unknown])
        (told,) = admin.list_consumer_group_offsets([asked], request_timeout=_ASK_TIMEOUT_S).values()
        found = _answer(told).topic_partitions
        self._begins |= {(at.topic, at.partition): at.offset for at in found if at.offset >= 0}
        without = [place for place in unknown if place not in self._begins]
        if without:
            self._begins |= self._offsets(admin, without, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    @staticmethod
    def _offsets(admin: AdminClient, places: Collection[Place], spec: OffsetSpec) -> dict[Place, int]:
        asked = {TopicPartition(*place): spec for place in places}
        told = admin.list_offsets(asked, request_timeout=_ASK_TIMEOUT_S)
        offsets = {(at.topic, at.partition): _answer(answer).offset for at, answer in told.items()}
        if OFFSET_INVALID in offsets.values():  # librdkafka calls it a success where nobody has answered in time
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 # librdkafka's own name
        return offsets


def _answer(told: Future[Any]) -> Any:
    """Return what an admin's call has brought. Raises KafkaException, also where it brings nothing in time."""
    try:
        return told.result(_ANSWER_MAX_S)
    except TimeoutError as error:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from error  # noqa: SLF001 # librdkafka's own name


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
        self._stands_since_ms: int | None = None  # since when records are there and none comes
        self._is_anew = False  # whether another consumer reads for that
        self._no_records = 0  # that are counted and do not come to it either, as a foreign transaction's markers
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
        stands = position == self._position and not at_hand.records and not self._followed.is_paused()
        self._position = position
        if not self._followed.is_member():
            self._wait(_NO_PARTITIONS)
            return
        stood_s = self._stood_s(now_ms, unread if stands else 0)
        if stood_s >= _STOOD_MAX_S and not error_name:
            self._wait(_NONE_COMES)
        elif unread and stands and error_name:
            self._wait(f"records cannot be read: {error_name}")
        elif self._waits:  # what others have told of Kafka is theirs to take back
            self._waits = False
            self._health.going_on(_KAFKA)

    def _stood_s(self, now_ms: int, unread: int) -> float:
        """Return how long records have been there and none has come; have another consumer read after a while."""
        if not unread:
            self._stands_since_ms, self._is_anew, self._no_records = None, False, 0
            return 0.0
        if unread == self._no_records:
            return 0.0
        if self._stands_since_ms is None:
            self._stands_since_ms = now_ms
        stood_s = (now_ms - self._stands_since_ms) / 1000
        if stood_s < _ANEW_AFTER_S:
            return stood_s
        if self._is_anew:
            self._stands_since_ms, self._is_anew, self._no_records = None, False, unread
            return 0.0
        self._stands_since_ms, self._is_anew = now_ms, True
        self._followed.read_anew()
        return stood_s

    def _wait(self, detail: str) -> None:
        self._waits = True
        self._health.waiting(_KAFKA, Reason.KAFKA_UNAVAILABLE.name, detail)

    def _run(self) -> None:
        while not self._stopping.wait(_INTERVAL_S):
            self.look()
