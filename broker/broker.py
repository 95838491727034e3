"""The broker behind its requests: topics, groups and the disk, in one event loop."""

import asyncio
import contextlib
import json
import logging
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID, uuid4

from broker.errors import ErrorCode
from broker.groups import GroupCoordinator
from broker.journal import Journal
from broker.logs import Appended, PartitionLog, TopicLog, TopicLogs
from broker.store import ADD_TOPIC, FORGET_TOPIC, BrokerStore, Statement, StoredTopic

_LOG = logging.getLogger(__name__)
_TOPICS_MAX: Final = 1000
_PARTITIONS_MAX: Final = 1000  # of a topic
_NAME: Final = re.compile(r"(?!\.\.?$)[A-Za-z0-9._-]{1,249}")
_SETTINGS: Final = {"retention.ms": -1, "max.message.bytes": 0}  # those that are heeded, and the least of each
_PRODUCER_IDS: Final = 1000  # taken from the file at a time
_WAIT_MAX_MS: Final = 60_000
_FETCH_BYTES_MAX: Final = 8 * 1024 * 1024  # of one answer, whatever a client asks for
_EXPIRE_MEMBERS_S: Final = 0.25
_EXPIRE_RECORDS_S: Final = 60.0
_END: Final = -1
_START: Final = -2


@dataclass(frozen=True, slots=True)
class FetchQuery:
    """What is asked of one partition."""

    topic: str
    number: int
    offset: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class FetchedPartition:
    """What a partition has from there on."""

    number: int
    error: ErrorCode
    high_watermark: int = -1
    start: int = -1
    batches: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class NewTopicRequest:
    """A topic that somebody wants."""

    name: str
    partitions: int  # -1 for the default
    replicas: int  # -1 for the default
    config: Mapping[str, str]


class Broker:
    """Everything that requests ask for. It belongs to the event loop in which it was made."""

    no_id: Final = UUID(int=0)

    def __init__(self, store: BrokerStore, host: str, port: int) -> None:
        """`host` and `port` are where clients find it."""
        self._store = store
        self.host = host
        self.port = port
        self.cluster_id = store.cluster_id()
        self.topics = TopicLogs(store)
        self.groups = GroupCoordinator(store)
        self._journal = Journal(store, self._begin_anew)
        self._producer_ids: Iterator[int] = iter(())

    def _begin_anew(self) -> None:
        """Go on from what the disk has: what was in memory alone has been refused."""
        former = self.topics
        try:
            self.topics, self.groups = TopicLogs(self._store), GroupCoordinator(self._store)
        except sqlite3.Error as error:
            _LOG.error("the disk cannot be read either, and the broker ends: %s", error)
            raise SystemExit(1) from error
        for topic in former:
            former.remove(topic)  # who waits for records there looks again here

    async def tend(self) -> None:
        """Let silent members and old records go, for as long as the broker runs."""
        loop = asyncio.get_running_loop()
        expire_records_s = loop.time() + _EXPIRE_RECORDS_S
        while True:
            await asyncio.sleep(_EXPIRE_MEMBERS_S)
            self.groups.expire()
            if loop.time() >= expire_records_s:
                expire_records_s = loop.time() + _EXPIRE_RECORDS_S
                self.topics.expire(self._journal)

    async def drain(self) -> None:
        """Return when everything that was taken is on the disk."""
        await self._journal.drain()

    def append(self, topic: str, number: int, data: bytes, done: Callable[[Appended], None]) -> None:
        """Append a batch, and tell `done` when it is on the disk, or what is wrong."""
        partition = self.topics.partition(topic, number)
        if partition is None:
            return done(Appended(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
        return partition.append(data, self._journal, done)

    def fetch(
        self,
        queries: Sequence[FetchQuery],
        max_wait_ms: int,
        min_bytes: int,
        max_bytes: int,
        done: Callable[[list[FetchedPartition]], None],
    ) -> None:
        """Tell `done` what the partitions have, as soon as that is `min_bytes`, or when the time is over."""
        _Fetch(self, queries, min_bytes, min(max_bytes, _FETCH_BYTES_MAX), done).begin(min(max_wait_ms, _WAIT_MAX_MS))

    def find_offset(self, topic: str, number: int, timestamp_ms: int) -> tuple[ErrorCode, int, int]:
        """Return an error, a time and an offset; -1 stands for none.

        `timestamp_ms` asks for the first record that is no older; -1 for the next offset, -2 for the first one.
        """
        partition = self.topics.partition(topic, number)
        if partition is None:
            return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1, -1
        if timestamp_ms == _END:
            return ErrorCode.NONE, -1, partition.high_watermark
        if timestamp_ms == _START:
            return ErrorCode.NONE, -1, partition.start
        if timestamp_ms < 0:
            return ErrorCode.UNSUPPORTED_VERSION, -1, -1
        offset, found_ms = partition.since(timestamp_ms)
        return ErrorCode.NONE, found_ms, offset

    def commit(
        self,
        group_id: str,
        member: tuple[str, int],
        offsets: Mapping[tuple[str, int], tuple[int, str]],
        done: Callable[[Mapping[tuple[str, int], ErrorCode]], None],
    ) -> None:
        """Keep how far a group has come, by topic and partition, and tell `done` when it is on the disk."""
        known = {
            (topic.key, number): found
            for (name, number), found in offsets.items()
            if (topic := self.topics.get(name)) and 0 <= number < len(topic.partitions)
        }

        def told(error: ErrorCode) -> None:
            unknown = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            done({place: error if self.topics.partition(*place) else unknown for place in offsets})

        self.groups.commit(group_id, member, known, self._journal, told)

    def committed(self, group_id: str) -> dict[tuple[str, int], tuple[int, str]]:
        """Return how far a group has come, by topic and partition."""
        names = {topic.key: topic.name for topic in self.topics}
        return {
            (names[key], number): found
            for (key, number), found in self.groups.offsets(group_id).items()
            if key in names
        }

    def take_producer_id(self) -> int:
        """Return a producer ID that nobody was given before."""
        producer_id = next(self._producer_ids, None)
        if producer_id is None:
            first = self._store.take_producer_ids(_PRODUCER_IDS)
            self._producer_ids = iter(range(first + 1, first + _PRODUCER_IDS))
            return first
        return producer_id

    def create_topics(
        self,
        wanted: Sequence[NewTopicRequest],
        done: Callable[[list[tuple[ErrorCode, str]]], None],
        *,
        only_checks: bool,
    ) -> None:
        """Make topics, and tell `done` when they are on the disk, or what is wrong with each."""
        told: list[tuple[ErrorCode, str]] = []
        statements: list[Statement] = []
        for one in wanted:
            error = self._judge(one)
            told.append(error)
            if error[0] or only_checks:
                continue
            partitions = 1 if one.partitions == -1 else one.partitions
            stored = StoredTopic(self.topics.take_key(), one.name, uuid4(), partitions, dict(one.config))
            self.topics.add(TopicLog(stored, self._store, is_new=True))
            config = json.dumps(stored.config)
            statements.append((ADD_TOPIC, (stored.key, stored.name, str(stored.topic_id), partitions, config)))
        failed = (ErrorCode.KAFKA_STORAGE_ERROR, "the disk does not take it")
        self._journal.enter(
            statements, lambda ok: done(told if ok else [error if error[0] else failed for error in told])
        )

    def _judge(self, wanted: NewTopicRequest) -> tuple[ErrorCode, str]:
        """Return what is wrong with a topic that somebody wants."""
        if not _NAME.fullmatch(wanted.name):
            return ErrorCode.INVALID_TOPIC, "a name has letters, digits, dots, _ and -"
        if self.topics.get(wanted.name):
            return ErrorCode.TOPIC_ALREADY_EXISTS, f"the topic {wanted.name} is there already"
        if len(self.topics) >= _TOPICS_MAX:
            return ErrorCode.INVALID_REQUEST, f"there are {_TOPICS_MAX} topics already"
        if wanted.partitions != -1 and not 0 < wanted.partitions <= _PARTITIONS_MAX:
            return ErrorCode.INVALID_PARTITIONS, f"a topic has 1 to {_PARTITIONS_MAX} partitions"
        if wanted.replicas not in {-1, 1}:
            return ErrorCode.INVALID_REPLICATION_FACTOR, "this broker is alone"
        return _judge_config(wanted.config)

    def delete_topics(self, names: Sequence[str], done: Callable[[list[ErrorCode]], None]) -> None:
        """Delete topics with all that is in them, and tell `done`."""
        told: list[ErrorCode] = []
        statements: list[Statement] = []
        for name in names:
            topic = self.topics.get(name)
            told.append(ErrorCode.NONE if topic else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
            if topic:
                self.topics.remove(topic)
                self.groups.forget_topic(topic.key)
                statements += [(statement, (topic.key,)) for statement in FORGET_TOPIC]
        self._journal.enter(statements, lambda ok: done(told if ok else [ErrorCode.KAFKA_STORAGE_ERROR for _ in told]))

    def delete_groups(self, names: Sequence[str], done: Callable[[list[ErrorCode]], None]) -> None:
        """Forget groups without members, and tell `done`."""
        told: dict[int, ErrorCode] = {}

        def one_done(index: int, error: ErrorCode) -> None:
            told[index] = error
            if len(told) == len(names):
                done([told[index] for index in range(len(names))])

        for index, name in enumerate(names):
            self.groups.delete(name, self._journal, partial(one_done, index))
        if not names:
            done([])


def _judge_config(config: Mapping[str, str]) -> tuple[ErrorCode, str]:
    """Return what is wrong with a topic's settings."""
    for name, least in _SETTINGS.items():
        with contextlib.suppress(ValueError):
            if int(config.get(name, least)) >= least:
                continue
        return ErrorCode.INVALID_CONFIG, f"{name} is a number from {least} on"
    return ErrorCode.NONE, ""


class _Fetch:
    """One fetch that waits until there is enough."""

    def __init__(
        self,
        broker: Broker,
        queries: Sequence[FetchQuery],
        min_bytes: int,
        max_bytes: int,
        done: Callable[[list[FetchedPartition]], None],
    ) -> None:
        self._broker = broker
        self._queries = queries
        self._min_bytes = min_bytes
        self._max_bytes = max_bytes
        self._done = done
        self._watched: list[PartitionLog] = []
        self._timer: asyncio.TimerHandle | None = None
        self._is_woken = False

    def begin(self, max_wait_ms: int) -> None:
        found = self._look()
        if self._is_enough(found) or max_wait_ms <= 0:
            self._done(found)
            return
        self._watch()
        self._timer = asyncio.get_running_loop().call_later(max_wait_ms / 1000, self._end)

    def _look(self) -> list[FetchedPartition]:
        left = self._max_bytes
        found: list[FetchedPartition] = []
        for query in self._queries:
            one = self._read(query, left)
            left -= sum(map(len, one.batches))
            found.append(one)
        return found

    def _read(self, query: FetchQuery, left: int) -> FetchedPartition:
        partition = self._broker.topics.partition(query.topic, query.number)
        if partition is None:
            return FetchedPartition(query.number, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        watermark, start = partition.high_watermark, partition.start
        if not partition.has(query.offset):
            return FetchedPartition(query.number, ErrorCode.OFFSET_OUT_OF_RANGE, watermark, start)
        batches = partition.read(query.offset, min(query.max_bytes, left)) if left > 0 else []
        return FetchedPartition(query.number, ErrorCode.NONE, watermark, start, batches)

    def _is_enough(self, found: Sequence[FetchedPartition]) -> bool:
        size = sum(len(batch) for one in found for batch in one.batches)
        return size >= self._min_bytes or any(one.error for one in found) or not found

    def _watch(self) -> None:
        for query in self._queries:
            partition = self._broker.topics.partition(query.topic, query.number)
            if partition:
                partition.waiting.add(self._wake)
                self._watched.append(partition)

    def _unwatch(self) -> None:
        for partition in self._watched:
            partition.waiting.discard(self._wake)
        self._watched.clear()

    def _wake(self) -> None:
        """Look once more when all is told that one transaction has brought."""
        if not self._is_woken:
            self._is_woken = True
            asyncio.get_running_loop().call_soon(self._look_again)

    def _look_again(self) -> None:
        self._is_woken = False
        if self._timer is None:
            return
        found = self._look()
        if self._is_enough(found):
            self._finish(found)

    def _end(self) -> None:
        self._finish(self._look())

    def _finish(self, found: list[FetchedPartition]) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = None
        self._unwatch()
        self._done(found)
