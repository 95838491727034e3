"""Follows the platform's topics into the event store, at least once, in a thread of its own."""

import threading
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message

from mesh import topics
from mesh.errors import PolystreamError
from mesh.settings import KafkaSettings
from mesh.telemetry.logs import KAFKA_LOG
from monitor.records import EventReader, Record, TracedEvent
from monitor.store.port import EventStore

_GROUP = "monitor"
_BATCH_MAX_RECORDS = 1000
_BATCH_WAIT_S = 0.1
_BACKOFF_FIRST_S = 0.1
_BACKOFF_MAX_S = 2.0

log = structlog.stdlib.get_logger(__name__)


class Ingest:
    """Consume → read → append → commit, until stopped. What cannot be kept yet is tried again, never dropped."""

    def __init__(self, settings: KafkaSettings, reader: EventReader, store: EventStore) -> None:
        self._consumer = Consumer(
            settings.client_config("monitor")
            | settings.group_config(_GROUP)
            | {"enable.auto.commit": False, "auto.offset.reset": "earliest"},
            logger=KAFKA_LOG,
        )
        self._reader = reader
        self._store = store
        self._joined = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest")

    def start(self) -> None:
        """Begin to follow the topics."""
        followed = [topics.COMMANDS, topics.RECEIPTS, topics.DEAD_LETTERS]
        self._consumer.subscribe(followed, on_assign=lambda *_: self._joined.set())
        self._thread.start()

    def has_joined(self) -> bool:
        """Tell whether the group has given it the topics: from then on, what is accepted is soon told of."""
        return self._joined.is_set()

    def stop(self) -> None:
        """Finish the batch at hand, and leave the group."""
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            batch = self._consumer.consume(_BATCH_MAX_RECORDS, _BATCH_WAIT_S)
            records = [_record(message) for message in batch if _is_record(message)]
            if records and self._keep(records):
                self._commit()

    def _keep(self, records: Sequence[Record]) -> bool:
        """Append the records' events; False when stopped before they were kept."""
        events: list[TracedEvent] = []

        def read() -> None:
            events[:] = [event for record in records for event in self._reader.read(record)]

        return self._patiently(read) and self._patiently(lambda: self._store.append(events))

    def _patiently(self, step: Callable[[], None]) -> bool:
        """Repeat a step until it succeeds or the monitor stops, with a bounded pause between tries."""
        pause_s = _BACKOFF_FIRST_S
        while not self._stopping.is_set():
            try:
                step()
            except PolystreamError as error:
                log.warning("the events wait", reason=error.reason.name, error=error.message)
            else:
                return True
            self._stopping.wait(pause_s)
            pause_s = min(pause_s * 2, _BACKOFF_MAX_S)
        return False

    def _commit(self) -> None:
        try:
            self._consumer.commit(asynchronous=False)
        except KafkaException as error:
            # The group moved on meanwhile: the records come again, and are known by their event IDs.
            log.info("offsets not committed", error=str(error))


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 # librdkafka's own name
        log.warning("kafka", error=error.name())
    return False


def _record(message: Message) -> Record:
    _, timestamp_ms = message.timestamp()
    return Record(
        topic=message.topic() or "",
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        timestamp_ms=max(0, timestamp_ms),
        key=message.key(),
        value=message.value(),
        headers=topics.header_pairs(message.headers()),
    )
