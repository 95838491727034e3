"""Reads stretches of topics and single records without a consumer group, and tells how far a group has come."""

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from mesh.envelope import KafkaRecord, read_message
from mesh.kafka import CANNOT_UNPACK, PassOver
from mesh.settings import KafkaSettings
from mesh.telemetry.logs import KAFKA_LOG

_BATCH_MAX_RECORDS: Final = 1000
_BEYOND_MAX_RECORDS: Final = 10_000  # of a partition, behind a stretch
_BEYOND_MAX_S: Final = 3.0  # where records come so often that there is always one more
_GATHER_S: Final = 0.05  # for answers that come one by one: `consume` gives none before its batch or its time is full
_CALL_TIMEOUT_S: Final = 5.0
_SILENCE_MAX_S: Final = 10.0  # without a record, while there are some to come
_GROUP: Final = "polystream-reader"  # librdkafka wants a name; nothing joins it, and nothing is committed


# What a broker says of a record that it does not keep any more, or of a topic that has gone.
_GONE: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,  # noqa: SLF001 # librdkafka's own name for an offset that is out of range
        KafkaError._PARTITION_EOF,  # noqa: SLF001 # likewise: there is nothing behind the offset
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 # likewise
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 # likewise
        KafkaError.OFFSET_OUT_OF_RANGE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
    }
)
_FIND_FETCH_BYTES: Final = 65_536  # of a partition: the record that is looked for, and little of what is behind it


class TopicError(Exception):
    """Kafka does not answer as it should; says what to do."""


@dataclass(frozen=True, slots=True)
class Extent:
    """The offsets that a partition has."""

    begin: int  # of the oldest record that is kept
    end: int  # of the next record to come


class TopicPosition(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


class _Client:
    """A consumer that joins no group. One thread at a time; a context manager, which closes it."""

    def __init__(self, kafka: KafkaSettings, group: str, config: Mapping[str, str | int | bool]) -> None:
        self._address = kafka.bootstrap_servers
        self._consumer = Consumer({**kafka.client_config(_GROUP), "group.id": group, **config}, logger=KAFKA_LOG)
        self.passed_over = 0  # records of batches that cannot be unpacked, of the topic that was read last
        self._pass_over = PassOver(self._consumer, self._count_passed_over)

    def _count_passed_over(self) -> None:
        self.passed_over += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()


def _reading(kafka: KafkaSettings) -> dict[str, str | int | bool]:
    """Return librdkafka's settings for reading by offset."""
    return {
        "enable.auto.commit": False,
        # An offset that retention has taken meanwhile: whoever asked for it has to hear of it.
        "auto.offset.reset": "error",
        "enable.partition.eof": True,  # said when a fetch brings nothing: there is no more for the moment
        "fetch.wait.max.ms": kafka.fetch_wait_max_ms,
    }


class TopicReader(_Client):
    """Reads any stretch of any topic."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(kafka, _GROUP, _reading(kafka))

    def extents(self, topic: str) -> dict[int, Extent]:
        """Return what each partition of a topic has now; nothing where there is no such topic. Raises TopicError."""
        try:
            known = self._consumer.list_topics(topic, timeout=_CALL_TIMEOUT_S).topics.get(topic)
            if known is None or known.error is not None:
                return {}
            return {
                partition: Extent(*self._consumer.get_watermark_offsets(_at(topic, partition), timeout=_CALL_TIMEOUT_S))
                for partition in sorted(known.partitions)
            }
        except KafkaException as error:
            raise _unanswered(self._address, error) from error

    def ends(self, topic: str) -> dict[int, int]:
        """Return the offset behind the newest record of each partition, even if the broker names an earlier end.

        Raises TopicError.
        """
        told = self.extents(topic)
        found = {partition: extent.end for partition, extent in told.items()}
        tails = {p: Extent(max(extent.begin, extent.end - 1), extent.end) for p, extent in told.items()}
        for record in self.read(topic, tails):
            found[record.partition] = max(found[record.partition], record.offset + 1)
        return found

    def read(self, topic: str, stretches: Mapping[int, Extent]) -> Iterator[KafkaRecord]:
        """Yield the records of a stretch of each partition, each partition's in their order. Raises TopicError.

        What is behind a stretch comes too, until there is no more for the moment, or 10,000 records of a partition, or
        what comes in three seconds: a broker may tell of an end that is short of its newest records, as the embedded
        one does, which counts batches.
        """
        self.passed_over = 0
        reached_s: dict[int, float] = {}  # when a partition's stretch had come
        unread = {partition: extent.end for partition, extent in stretches.items() if extent.begin < extent.end}
        self._consumer.assign([_at(topic, partition, stretches[partition].begin) for partition in unread])
        try:
            heard_s = time.monotonic()
            while unread:
                batch = self._consumer.consume(_BATCH_MAX_RECORDS, _GATHER_S)
                self._pass_over.begin()
                for message in batch:
                    partition, offset = message.partition() or 0, message.offset() or 0
                    if partition not in unread:
                        continue
                    is_end = self._is_end(message)
                    if message.error() is None:
                        yield read_message(message, time.time_ns())
                    elif not is_end and offset >= unread[partition] - 1:
                        del unread[partition]  # no end is told behind it
                        continue
                    if offset >= unread[partition] + (0 if is_end else _BEYOND_MAX_RECORDS) or (
                        offset >= unread[partition]
                        and heard_s > reached_s.setdefault(partition, heard_s) + _BEYOND_MAX_S
                    ):
                        del unread[partition]
                if batch:  # the caller may have taken long over the records
                    heard_s = time.monotonic()
                elif time.monotonic() - heard_s > _SILENCE_MAX_S:
                    raise _unanswered(self._address, f"no record for {_SILENCE_MAX_S:g} s")
        finally:
            self._consumer.unassign()

    def follow(self, topic: str, begins: Mapping[int, int], until_s: float) -> Iterator[KafkaRecord]:
        """Yield the records from an offset of each partition on, until a time of the monotonic clock.

        Raises TopicError.
        """
        self._consumer.assign([_at(topic, partition, begin) for partition, begin in begins.items()])
        try:
            while (left_s := until_s - time.monotonic()) > 0:
                batch = self._consumer.consume(_BATCH_MAX_RECORDS, min(left_s, _GATHER_S))
                self._pass_over.begin()
                for message in batch:
                    if not self._is_end(message) and message.error() is None:
                        yield read_message(message, time.time_ns())
        finally:
            self._consumer.unassign()

    def _is_end(self, message: Message) -> bool:
        """Tell whether it is the news that there are no records behind its offset. Raises TopicError.

        Where it is an error of a batch that cannot be unpacked, what is behind that is read next.
        """
        error = message.error()
        if error is None or self._pass_over.passes(message, error):
            return False
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 # librdkafka's own names
            return True
        raise TopicError(f"{message.topic()} could not be read: {error.str()}; try again")


class RecordFinder(_Client):
    """Reads single records, each by its position."""

    def __init__(self, kafka: KafkaSettings) -> None:
        super().__init__(
            kafka,
            _GROUP,
            {
                **_reading(kafka),
                "fetch.message.max.bytes": _FIND_FETCH_BYTES,
                "queued.min.messages": 1,
                "allow.auto.create.topics": False,
            },
        )

    def find(self, positions: Collection[TopicPosition], within_s: float) -> dict[TopicPosition, KafkaRecord]:
        """Return the records at some positions, without those that Kafka does not have, or cannot unpack.

        Raises TopicError where it does not answer for all of them within so many seconds.
        """
        found: dict[TopicPosition, KafkaRecord] = {}
        waiting: dict[tuple[str, int], list[int]] = {}  # offsets of each partition, the next one last
        give_up_s = time.monotonic() + within_s
        partitions = {
            topic: self._partitions(topic, within_s) for topic in sorted({position.topic for position in positions})
        }
        for topic, partition, offset in sorted(set(positions), reverse=True):
            if partition in partitions[topic]:  # of another one no end would be told
                waiting.setdefault((topic, partition), []).append(offset)
        try:
            while waiting:
                self._find_next(waiting, found, give_up_s)
        finally:
            self._consumer.unassign()
        return found

    def _partitions(self, topic: str, within_s: float) -> Collection[int]:
        try:
            known = self._consumer.list_topics(topic, timeout=within_s).topics.get(topic)
        except KafkaException as error:
            raise _unanswered(self._address, error) from error
        return () if known is None or known.error is not None else known.partitions

    def _find_next(
        self, waiting: dict[tuple[str, int], list[int]], found: dict[TopicPosition, KafkaRecord], give_up_s: float
    ) -> None:
        """Look for the next offset of each partition."""
        asked = {place: offsets.pop() for place, offsets in waiting.items()}
        for place in [place for place, offsets in waiting.items() if not offsets]:
            del waiting[place]
        self._consumer.assign([_at(*place, offset) for place, offset in asked.items()])
        trouble: object = "no answer"
        while asked:
            if time.monotonic() > give_up_s:
                raise _unanswered(self._address, trouble)
            for message in self._consumer.consume(len(asked), _GATHER_S):
                error, place = message.error(), (message.topic() or "", message.partition() or 0)
                if place not in asked:
                    trouble = error or trouble
                elif error is None or error.code() in _GONE or error.code() == CANNOT_UNPACK:
                    offset = asked.pop(place)
                    if error is None and message.offset() == offset:
                        found[TopicPosition(*place, offset)] = read_message(message, time.time_ns())
                else:
                    trouble = error.str()


class GroupPosition(_Client):
    """How far a group has come."""

    def __init__(self, kafka: KafkaSettings, group: str) -> None:
        super().__init__(kafka, group, {})

    def committed(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """Return the committed offsets by partition, without the partitions that have none. Raises TopicError."""
        asked = [_at(topic, partition) for partition in partitions]
        try:
            found = self._consumer.committed(asked, timeout=_CALL_TIMEOUT_S)
        except KafkaException as error:
            raise _unanswered(self._address, error) from error
        return {position.partition: position.offset for position in found if position.offset >= 0}


def _unanswered(address: str, error: object) -> TopicError:
    return TopicError(f"Kafka at {address} does not answer ({error}); see that it runs, and try again")


def _at(topic: str, partition: int, offset: int = 0) -> TopicPartition:
    return TopicPartition(topic, partition, offset)
