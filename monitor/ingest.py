"""Follows the platform's topics into the event store, at least once, in a thread of its own."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from mesh import topics
from mesh.backoff import Backoff
from mesh.envelope import KafkaRecord
from mesh.error_classes.classes import ErrorClass
from mesh.error_classes.kafka import classify_kafka
from mesh.errors import PolystreamError
from mesh.group_member import GroupMember
from mesh.health.lag import AtHand, Backlog, Place
from mesh.health.part import PartHealth
from mesh.kafka import CONSUMER_CONFIG, read_batch
from mesh.settings import KafkaSettings
from mesh.telemetry.metric_list import RETRIES, STORE_DURATION
from mesh.telemetry.tallies import CounterTable, HistogramTable
from mesh.threads import CriticalThreads
from monitor.records import EventReader, TracedEvent
from monitor.store.port import EventStore

GROUP = "monitor"  # the consumer group
_BATCH_MAX_RECORDS = 1000
_BATCH_WAIT_S = 0.1
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 2.0
_UNCOMMITTED = "the broker does not take what was read as done"

log = structlog.stdlib.get_logger(__name__)


class Ingest:
    """Consume → read → append → commit, until stopped. What cannot be kept yet is tried again, never dropped."""

    def __init__(
        self,
        settings: KafkaSettings,
        reader: EventReader,
        store: EventStore,
        threads: CriticalThreads,
        health: PartHealth,
        *,
        system: str = "sqlite",
        on_kept: Callable[[Sequence[TracedEvent]], None] = lambda _: None,
    ) -> None:
        """`system` is the event store's, as metrics call it.

        `on_kept` is called, in the thread, with the events that the store has taken.
        """
        self.read_records = 0  # since the start
        self.kept_events = 0
        self.retries = CounterTable(RETRIES, *((name,) for name in ("kafka", "schema_registry", "event_store")))
        self.durations = HistogramTable(STORE_DURATION)
        self._append_durations = self.durations.of(system, "append")
        self._member = GroupMember(
            {**settings.client_config("monitor"), **settings.group_config(GROUP), **CONSUMER_CONFIG},
            [topics.COMMANDS, topics.RECEIPTS, topics.DEAD_LETTERS],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_revoke,
            on_passed_over=lambda: health.count("passed_over"),
        )
        self._backlog = Backlog(GROUP, settings.client_config("monitor-lag"))
        self._health = health
        self._owned: list[Place] = []
        self._position: dict[Place, int] = {}
        self._at_hand: Sequence[KafkaRecord] = ()
        self._error = ""
        self.rounds = 0  # of the thread's loop, also of one that waits
        self._reader = reader
        self._store = store
        self._on_kept = on_kept
        self._joined = threading.Event()
        self._stopping = threading.Event()
        self._thread = threads.new("ingest", self._run)

    def start(self) -> None:
        """Begin to follow the topics."""
        self._thread.start()

    def is_following(self) -> bool:
        """Tell whether it has the topics of the group, and works: what is accepted is soon told of then."""
        return self._joined.is_set() and self._thread.is_alive()

    def unread(self) -> int:
        """Return how many records it has yet to read. Raises KafkaException where the broker does not tell."""
        return self._backlog.count(topics.COMMANDS, list(self._owned), self.position())

    def position(self) -> Mapping[Place, int]:
        """Return the next offset of each partition that anything was read of."""
        return dict(self._position)

    def at_hand(self) -> AtHand:
        """Return what was read and is not kept yet."""
        at_hand = self._at_hand
        return AtHand(len(at_hand), min((record.timestamp_ms for record in at_hand), default=None))

    def is_member(self) -> bool:
        """Whether the group has given it partitions."""
        return bool(self._owned)

    def take_error(self) -> str:
        """Return the name of the last error of reading since the last call; empty where there was none."""
        error, self._error = self._error, ""
        return error

    def read_anew(self) -> None:
        """Have another consumer read, soon."""
        self._member.ask_anew()

    def is_paused(self) -> bool:
        """Whether it reads nothing on purpose, which it never does."""
        return False

    def stop(self) -> None:
        """Finish the batch at hand, and leave the group."""
        self._stopping.set()
        self._thread.join()
        self._member.consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.rounds += 1
            self._member.look()
            messages = self._member.consumer.consume(_BATCH_MAX_RECORDS, _BATCH_WAIT_S)
            self._backlog.note(self._member.consumer, self._owned)
            records, errors = read_batch(messages, time.time_ns(), self._member.pass_over)
            for error in errors:
                verdict = classify_kafka(error)
                if verdict.error_class is ErrorClass.STOP:
                    raise KafkaException(error)
                self._error = verdict.cause
                log.warning("kafka", error=verdict.cause)
            self._at_hand = records
            self.read_records += len(records)
            for record in records:
                self._position[record.topic, record.partition] = record.offset + 1
            if records and self._keep(records):
                self._commit()
            self._at_hand = ()

    def _keep(self, records: Sequence[KafkaRecord]) -> bool:
        """Append the records' events; False when stopped before they were kept."""
        told: list[Sequence[TracedEvent]] = []  # of each record

        def read() -> None:
            told[:] = map(self._reader.read, records)

        if not self._until_done(read, of="schema_registry"):
            return False
        events = [event for each in told for event in each]
        if not self._until_done(lambda: self._append(events), of="event_store"):
            return False
        self.kept_events += len(events)
        self._on_kept(events)
        passed_over = sum(not each for each in told)
        if passed_over:
            self._health.count("passed_over", passed_over)
        return True

    def _append(self, events: Sequence[TracedEvent]) -> None:
        began_s = time.perf_counter()
        try:
            self._store.append(events)
        finally:
            self._append_durations.record(time.perf_counter() - began_s)

    def _until_done(self, step: Callable[[], None], *, of: str) -> bool:
        """Repeat a step until it succeeds or the monitor stops, with a bounded pause between tries.

        `of` is the dependency that the step asks.
        """
        backoff, waits = Backoff(_BACKOFF_FIRST_S, _BACKOFF_MAX_S), False
        while not self._stopping.is_set():
            self.rounds += 1
            with self._health.calling(of):
                try:
                    step()
                except PolystreamError as error:
                    cause = error.metadata.get("error", error.message)
                    log.warning("the events wait", reason=error.reason.name, error=cause)
                    self._health.waiting(of, error.reason.name, cause)
                    waits = True
                    self.retries.add(1, of)
                else:
                    if waits:
                        self._health.going_on(of)
                    return True
            self._stopping.wait(backoff.next_s())
        return False

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._owned = [(partition.topic, partition.partition) for partition in partitions]
        if not partitions:  # it follows nothing yet
            return
        self._joined.set()
        self._health.doing("follows the topics")
        self._health.ready()

    def _on_revoke(self, _consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        self._owned = []
        self._position.clear()

    def _commit(self) -> None:
        # A broker that hangs keeps it for a minute: that is no standstill of the monitor's.
        with self._health.calling("kafka", _UNCOMMITTED):
            try:
                self._member.consumer.commit(asynchronous=False)
            except KafkaException as error:
                # The group moved on meanwhile: the records come again, and are known by their event IDs.
                log.info("offsets not committed", error=str(error))
