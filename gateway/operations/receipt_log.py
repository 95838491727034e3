"""The topic `response_events`, as a gateway reads it: every partition, from where it stopped.

Partitions are assigned by hand, under a group that keeps the positions alone: each gateway reads them all, so a
group has nothing to share out, and a gateway that was killed goes on at once where a member would have to wait
for the session of its former self to end.
"""

import time
from collections.abc import Mapping
from typing import Final

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient

from mesh.envelope import KafkaRecord
from mesh.kafka import CONSUMER_CONFIG, QUIET_CONFIG, PassOver, read_batch
from mesh.settings import KafkaSettings
from mesh.topics import RECEIPTS

_GATHER_S: Final = 0.005  # after a first record, for others that come with it: one batch costs little more than one
_CALL_TIMEOUT_S: Final = 3.0
_COMMIT_INTERVAL_S: Final = 0.5
_CHECK_INTERVAL_S: Final = 30.0  # for partitions that were added
_CHECK_PAUSE_S: Final = 0.5  # while something looks wrong
_NEW_GROUP_LOOKBACK_S: Final = 300  # how far apart the clocks of gateway and broker may be
_UNSET: Final = -1  # offsets below 0 stand for "none"

log = structlog.stdlib.get_logger(__name__)


class ReceiptLog:
    """A position in every partition. One thread at a time.

    What is read is done only when `done` says so: positions are committed then, and `rewind` goes back there.
    """

    def __init__(self, kafka: KafkaSettings, group: str) -> None:
        self._began_ms = int((time.time() - _NEW_GROUP_LOOKBACK_S) * 1000)
        self._consumer = Consumer(
            {
                **kafka.client_config(group),
                "group.id": group,
                **CONSUMER_CONFIG,
                **QUIET_CONFIG,
                # There is no session, but librdkafka gives up a commit after that: it bounds `close`.
                "session.timeout.ms": 2000,
                "heartbeat.interval.ms": 500,
                "fetch.wait.max.ms": kafka.fetch_wait_max_ms,
                "queued.max.messages.kbytes": 4096,
                "error_cb": self._suspect,
            }
        )
        self.passed_over = 0  # records of batches that cannot be unpacked, of what is done
        self._passed_over_since = 0  # of what is not: it may be read again
        self._pass_over = PassOver(self._consumer, self._count_passed_over)
        self._admin = AdminClient({**kafka.client_config(f"{group}-admin"), **QUIET_CONFIG})
        self.trouble = ""  # why the topic could not be looked at the last time; empty where it could
        self._topic_id = ""
        self._read_to: dict[int, int] = {}  # next offset to read, by partition
        self._done_to: dict[int, int] = {}
        self._committed: dict[int, int] = {}
        self._next_commit_s = 0.0
        self._next_check_s = 0.0

    def read(self, max_records: int, timeout_s: float) -> list[KafkaRecord]:
        """Return the next records, as soon as there are some; none after `timeout_s`, or while Kafka is away."""
        self._look_after_topic()
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(max_records - 1, _GATHER_S)]
        records, errors = read_batch(messages, time.time_ns(), self._pass_over)
        for error in errors:
            self._suspect(error)
        for record in records:
            self._read_to[record.partition] = record.offset + 1
        return records

    def at_end(self) -> bool:
        """Whether everything has been read that was there at the last look, in every partition."""
        return bool(self._read_to) and all(
            0 <= self._end_when_last_fetched(partition) <= offset for partition, offset in self._read_to.items()
        )

    def behind(self) -> int:
        """Return how many records there were at the last look that are not done."""
        ends = ((self._end_when_last_fetched(partition), offset) for partition, offset in self._done_to.items())
        return sum(max(0, end - offset) for end, offset in ends)

    def done(self) -> None:
        """Take what has been read as done: it needs no second reading."""
        self._done_to.update(self._read_to)
        self.passed_over += self._passed_over_since
        self._passed_over_since = 0

    def commit_when_due(self, *, now: bool = False) -> None:
        """Commit what is done, every half second at the most. What a crash leaves uncommitted is read again."""
        news = {p: offset for p, offset in self._done_to.items() if offset != self._committed.get(p)}
        if not news or (not now and time.monotonic() < self._next_commit_s):
            return
        self._next_commit_s = time.monotonic() + _COMMIT_INTERVAL_S
        try:
            self._consumer.commit(
                offsets=[TopicPartition(RECEIPTS, p, offset, self._topic_id) for p, offset in news.items()],
            )
        except KafkaException as error:
            log.debug("positions not committed", error=error.args[0].name())
            return
        self._committed.update(news)

    def rewind(self) -> None:
        """Read again what is not done."""
        self._assign(self._done_to)

    def close(self) -> None:
        """Commit what is done and leave; two seconds at most where Kafka does not answer."""
        self.commit_when_due(now=True)
        self._consumer.close()

    def _look_after_topic(self) -> None:
        """Begin to read; begin anew where the topic was made anew or has got more partitions."""
        if time.monotonic() < self._next_check_s:
            return
        self._next_check_s = time.monotonic() + _CHECK_PAUSE_S
        try:
            topics = self._admin.describe_topics(TopicCollection([RECEIPTS]), request_timeout=_CALL_TIMEOUT_S)
            topic = topics[RECEIPTS].result(_CALL_TIMEOUT_S)
            topic_id, partitions = str(topic.topic_id), [partition.id for partition in topic.partitions]
            if topic_id != self._topic_id or set(partitions) != set(self._read_to):
                self._begin(topic_id, partitions)
        except (KafkaException, TimeoutError) as error:
            log.debug("receipts cannot be read now", error=type(error).__name__)
            self.trouble = "receipts cannot be read"
            return
        self.trouble = ""
        self._next_check_s = time.monotonic() + _CHECK_INTERVAL_S

    def _begin(self, topic_id: str, partitions: list[int]) -> None:
        if not self._topic_id:
            starts = self._start_offsets(topic_id, partitions)
        elif topic_id == self._topic_id:
            starts = {p: self._done_to.get(p, 0) for p in partitions}
        else:
            # Whatever a topic made anew holds is news, and positions in the one before say nothing.
            starts = dict.fromkeys(partitions, 0)
        log.info("receipts are followed", topic=RECEIPTS, topic_id=topic_id, offsets=starts)
        self._topic_id = topic_id
        self._committed = {}
        self._assign(starts)

    def _assign(self, starts: Mapping[int, int]) -> None:
        self._passed_over_since = 0
        self._done_to = dict(starts)
        self._read_to = dict(starts)
        self._consumer.assign([TopicPartition(RECEIPTS, p, offset) for p, offset in starts.items()])

    def _start_offsets(self, topic_id: str, partitions: list[int]) -> dict[int, int]:
        """Return where to begin: at what was committed for this topic, else a little before this gateway began.

        Neither end of the topic would do for a new group: its first commands may be answered before its end is
        known, and its beginning is a week ago.
        """
        asked = [TopicPartition(RECEIPTS, p) for p in partitions]
        starts: dict[int, int] = {}
        for position in self._consumer.committed(asked, timeout=_CALL_TIMEOUT_S):
            if position.offset >= 0 and position.metadata in {None, "", topic_id}:
                starts[position.partition] = position.offset
        unknown = [p for p in partitions if p not in starts]
        # Ends first: what is behind them then came after this gateway had begun.
        ends = {
            p: self._consumer.get_watermark_offsets(TopicPartition(RECEIPTS, p), timeout=_CALL_TIMEOUT_S)[1]
            for p in unknown
        }
        timed = [TopicPartition(RECEIPTS, p, self._began_ms) for p in unknown]
        found = self._consumer.offsets_for_times(timed, timeout=_CALL_TIMEOUT_S) if timed else []
        for position in found:
            starts[position.partition] = position.offset if position.offset > _UNSET else ends[position.partition]
        return starts

    def _count_passed_over(self) -> None:
        self._passed_over_since += 1

    def _end_when_last_fetched(self, partition: int) -> int:
        """Return a partition's end; below 0 before the first fetch."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(RECEIPTS, partition), cached=True)[1])

    def _suspect(self, error: KafkaError) -> None:
        """Look at the topic again soon: a broker that went away may come back without it."""
        log.debug("kafka", error=error.name())
        self._next_check_s = min(self._next_check_s, time.monotonic() + _CHECK_PAUSE_S)
