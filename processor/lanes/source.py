"""A lane's reading end of Kafka: one consumer group, offsets committed by hand, and how far the lane has come."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from mesh.envelope import KafkaRecord
from mesh.error_classes.classes import ErrorClass
from mesh.error_classes.kafka import classify_kafka
from mesh.group_member import REJOIN_MAX_S, GroupMember
from mesh.health.lag import Backlog, Place
from mesh.kafka import CONSUMER_CONFIG, read_batch
from mesh.settings import KafkaSettings
from mesh.topics import COMMANDS

_LOG = structlog.get_logger(__name__)

_CONFIG: Mapping[str, str | int | bool] = {
    **CONSUMER_CONFIG,
    "enable.auto.offset.store": False,
    "partition.assignment.strategy": "cooperative-sticky",  # what a rebalance leaves here goes on undisturbed
    # Far behind, a lane would otherwise hold a hundred thousand records of each partition.
    "queued.min.messages": 2000,
    "queued.max.messages.kbytes": 8192,
}


class Source(Protocol):
    """Where a lane's records come from. All of it is called by one thread."""

    def partitions(self) -> frozenset[int] | None:
        """Return the partitions that this lane has now; None until the group has given it any, or none."""
        ...

    def read(self, max_records: int, wait_s: float) -> list[KafkaRecord]:
        """Return what has come, in order within a partition; wait for the first record for `wait_s` at the most."""
        ...

    def idle(self, wait_s: float) -> None:
        """Read nothing for so long, yet stay a member of the group."""
        ...

    def take_lost(self) -> frozenset[int]:
        """Return the partitions taken away since the last call: what came from them is another's to answer."""
        ...

    def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Commit offsets, by partition. A commit that fails is repeated with the next one."""
        ...

    def close(self) -> None:
        """Leave the group."""
        ...


class KafkaSource:
    """The source on Kafka."""

    def __init__(
        self,
        settings: KafkaSettings,
        client_id: str,
        group: str,
        on_passed_over: Callable[[], None] = lambda: None,
        rejoin_max_s: float = REJOIN_MAX_S,
    ) -> None:
        """`on_passed_over` is called for each record of a batch that cannot be unpacked."""
        self._owned: set[int] = set()
        self._was_assigned = False
        self._is_member = False
        self._lost: set[int] = set()
        self._paused = False
        self._early: list[KafkaRecord] = []  # what came although reading was paused
        self._committed: dict[int, int] = {}
        self._error = ""
        config = {
            **settings.client_config(client_id),
            **_CONFIG,
            **settings.group_config(group),
            "on_commit": self._on_commit,
        }
        self._member = GroupMember(
            config,
            [COMMANDS],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
            on_passed_over=on_passed_over,
            rejoin_max_s=rejoin_max_s,
        )
        self._backlog = Backlog(group, settings.client_config(f"{client_id}-lag"))

    def partitions(self) -> frozenset[int] | None:
        """Return the partitions that this lane has now; None before the first assignment."""
        return frozenset(self._owned) if self._was_assigned else None

    def read(self, max_records: int, wait_s: float) -> list[KafkaRecord]:
        """Return what has come. Raises KafkaException when the consumer can't go on."""
        self._look()
        self._pause(False)
        messages = [self._member.consumer.poll(0 if self._early else wait_s)]
        if messages[0] is not None and max_records > 1:
            # What librdkafka has at hand already, without waiting for more.
            messages += self._member.consumer.consume(max_records - 1, 0)
        self._backlog.note(self._member.consumer, [(COMMANDS, partition) for partition in self._owned])
        early, self._early = self._early, []
        return [record for record in early + self._records(messages) if record.partition in self._owned]

    def idle(self, wait_s: float) -> None:
        """Read nothing for so long, yet take part in rebalances. Raises KafkaException as `read` does."""
        self._look()
        self._pause(True)
        self._early += self._records([self._member.consumer.poll(wait_s)])

    def take_lost(self) -> frozenset[int]:
        """Return the partitions taken away since the last call."""
        lost, self._lost = frozenset(self._lost), set()
        return lost

    def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Commit what is new, without waiting: a command whose commit is lost is answered as a duplicate."""
        news = {p: offset for p, offset in next_offsets.items() if self._committed.get(p) != offset}
        if not news:
            return
        try:
            self._member.consumer.commit(offsets=[TopicPartition(COMMANDS, p, offset) for p, offset in news.items()])
        except KafkaException as error:
            _LOG.info("commit failed", error=error.args[0].name())
            return
        self._committed.update(news)

    def backlog(self, position: Mapping[Place, int]) -> int:
        """Return how many records there are from a position on, in the partitions of this lane.

        For another thread than the one that reads. Raises KafkaException where the broker does not tell.
        """
        return self._backlog.count(COMMANDS, [(COMMANDS, partition) for partition in list(self._owned)], position)

    def is_member(self) -> bool:
        """Whether the group has said which partitions are this lane's, be it none."""
        return self._is_member

    def take_error(self) -> str:
        """Return the name of the last error of reading since the last call; empty where there was none."""
        error, self._error = self._error, ""
        return error

    def read_anew(self) -> None:
        """Have another consumer read, soon. For another thread than the one that reads."""
        self._member.ask_anew()

    def close(self) -> None:
        """Leave the group, once the last commit is answered."""
        self._member.consumer.close()

    def _records(self, messages: Iterable[Message | None]) -> list[KafkaRecord]:
        """Return the records. Raises KafkaException for an error that the consumer will not get over."""
        records, errors = read_batch(messages, time.time_ns(), self._member.pass_over)
        for error in errors:
            verdict = classify_kafka(error)
            if verdict.error_class is ErrorClass.STOP:
                raise KafkaException(error)
            self._error = verdict.cause
            _LOG.info("consumer reported an error", error=verdict.cause)
        return records

    def _look(self) -> None:
        if self._member.look():
            self._is_member = False

    def _pause(self, paused: bool) -> None:
        if paused == self._paused:
            return
        self._paused = paused
        owned = [TopicPartition(COMMANDS, partition) for partition in self._owned]
        if paused:
            self._member.consumer.pause(owned)
        else:
            self._member.consumer.resume(owned)

    def _on_assign(self, consumer: Consumer, added: list[TopicPartition]) -> None:
        consumer.incremental_assign(added)
        # Said either way: librdkafka remembers of a partition that was taken away that it was paused.
        (consumer.pause if self._paused else consumer.resume)(added)
        self._was_assigned = self._is_member = True
        self._owned.update(p.partition for p in added)
        _LOG.info("partitions assigned", added=sorted(p.partition for p in added), owned=sorted(self._owned))

    def _on_revoke(self, consumer: Consumer, removed: list[TopicPartition]) -> None:
        consumer.incremental_unassign(removed)
        partitions = {p.partition for p in removed}
        self._owned -= partitions
        self._lost |= partitions
        self._early = [record for record in self._early if record.partition not in partitions]
        for partition in partitions:
            self._committed.pop(partition, None)
        _LOG.info("partitions taken away", removed=sorted(partitions), owned=sorted(self._owned))

    def _on_lost(self, consumer: Consumer, removed: list[TopicPartition]) -> None:
        self._is_member = False
        self._on_revoke(consumer, removed)

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            for partition in partitions:
                self._committed.pop(partition.partition, None)
            _LOG.info("commit failed", error=error.name())


class Offsets:
    """The next offset of each partition that the lane has, as the records read so far tell it."""

    def __init__(self) -> None:
        self._next: dict[int, int] = {}

    def advance(self, records: Sequence[KafkaRecord]) -> bool:
        """Take note of what was read. Returns whether offsets went back: the topic may be another one now."""
        went_back = False
        for record in records:
            went_back |= record.offset < self._next.get(record.partition, 0)
            self._next[record.partition] = record.offset + 1
        return went_back

    @property
    def next(self) -> Mapping[int, int]:
        """The next offset of each partition that anything was read of."""
        return self._next

    def committable(self, lowest_deferred: Mapping[int, int]) -> dict[int, int]:
        """Return the offsets below which every command is answered."""
        return {p: min(offset, lowest_deferred.get(p, offset)) for p, offset in self._next.items()}

    def drop(self, partitions: Collection[int]) -> None:
        """Forget partitions that were taken away."""
        for partition in partitions:
            self._next.pop(partition, None)
