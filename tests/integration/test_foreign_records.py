"""Records that are not as the platform writes them end no thread, on a real broker, for every reader of the topics."""

import dataclasses
import io
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Final

import pytest
from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import ListOperationsRequest, Operation
from polystream.v1.users_pb2 import DeleteUserRequest
from rich.console import Console

from cli.dead_letters import show_dead_letter, show_dead_letters
from gateway.operations.follower import ReceiptFollower, Received
from gateway.operations.receipt_log import ReceiptLog
from mesh import topics
from mesh.codec import Decoder, Encoder
from mesh.dead_letters.reader import DeadLetterReader
from mesh.health.part import PartHealth
from mesh.ids import new_correlation_id
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings, RegistrySettings, TelemetrySettings
from mesh.telemetry.tracing import Tracing
from mesh.threads import CriticalThreads
from mesh.topic_reader import TopicReader
from monitor.ingest import Ingest
from monitor.records import EventReader
from monitor.service import EventLog
from monitor.store.local import LocalEventStore
from processor.dead_letters.listed import combine
from processor.integrity.lost import find_lost
from processor.integrity.parked import Parked
from processor.lanes.control import LaneControl
from processor.lanes.decoding import CommandDecoder
from processor.lanes.deferral import Deferral
from processor.lanes.lane import Lane, Limits
from processor.lanes.receipts import ReceiptProducer, ReceiptSender
from processor.lanes.source import KafkaSource
from processor.lanes.spans import LaneSpans
from processor.model import Answer, Delivery
from tests.support.brokers import Broker
from tests.support.engine_pool import Lease
from tests.support.foreign_records import CASES, Change, RawRecord, with_good_ones
from tests.support.foreign_registry import PAGE, ForeignRegistry, foreign_registry
from tests.support.lane_rig import FakeStore
from tests.support.lanes import CATALOG, RECEIPT_RECORD
from tests.support.raw_producer import RawProducer
from tests.support.waiting import eventually

_PARTITION: Final = 3  # one for all: what comes first is read first
_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 10.0
_STORE: Final = "POSTGRESQL"  # whose lane also sets apart what nobody knows
_COMMAND_RECORD: Final = "polystream.v1.DeleteUserRequest"
_BEYOND_TIME_S: Final = 4_000_000_000_000  # 126,000 years since the epoch, which an Avro long of microseconds holds
_BAD_ANSWERS: Final = [(200, PAGE), (429, "{}"), (401, PAGE), (404, "{}"), (503, "")]


@dataclass
class Surroundings:
    """A broker, a registry, and what was sent to each topic."""

    kafka: KafkaSettings
    registry: ForeignRegistry
    good_ids: dict[str, list[str]] = field(default_factory=dict)  # by topic, in their order
    sent: dict[str, int] = field(default_factory=dict)  # records, by topic

    @contextmanager
    def schemas(self) -> Iterator[RegistryClient]:
        """Open a client of the registry."""
        client = RegistryClient(RegistrySettings(url=self.registry.url))
        try:
            yield client
        finally:
            client.close()


class Writer:
    """Makes good records."""

    def __init__(self, registry: RegistryClient) -> None:
        self._offsets = itertools.count()  # of what is given up: each dead letter is another record's
        self._command = _encoder(DeleteUserRequest, registry.register(topics.COMMANDS, _COMMAND_RECORD, _schema(0)))
        self._receipt = _encoder(CommandReceipt, registry.register(topics.RECEIPTS, RECEIPT_RECORD, _schema(1)))

    def command(self) -> tuple[str, RawRecord]:
        """Return a command and its correlation ID."""
        id_ = new_correlation_id()
        headers = {topics.ACCEPT_TIME: "1700000000000", topics.SERVICE: "gateway-0"}
        return id_, _record(id_, self._command.encode(DeleteUserRequest(user_id=7)), headers)

    def receipt(self) -> tuple[str, RawRecord]:
        """Return a receipt and its correlation ID."""
        id_ = new_correlation_id()
        return id_, _record(id_, self._receipt.encode(_receipt(id_)), {topics.STORE: _STORE})

    def dead_letter(self) -> tuple[str, RawRecord]:
        """Return a dead letter and its correlation ID."""
        id_, command = self.command()
        added = {
            topics.DLQ_REASON: "HANDLER_FAILED",
            topics.DLQ_PARTITION: "1",
            topics.DLQ_OFFSET: str(next(self._offsets)),
            topics.DLQ_STORE: _STORE,
            topics.DLQ_TIME: "1700000000000",
        }
        return id_, dataclasses.replace(command, headers=(*command.headers, *_bytes(added)))

    def receipts_of_other_ages(self) -> Mapping[str, Change]:
        """Return cases of receipts whose times no Timestamp holds."""

        def at(seconds: int) -> Change:
            receipt = _receipt(new_correlation_id())
            receipt.accept_time.seconds = receipt.receive_time.seconds = receipt.complete_time.seconds = seconds
            return lambda good: dataclasses.replace(good, value=self._receipt.encode(receipt))

        return {"times beyond the last": at(_BEYOND_TIME_S), "times before the first": at(-_BEYOND_TIME_S)}


@pytest.fixture(scope="module")
def around(lease: Lease) -> Iterator[Surroundings]:
    """Run the broker that takes any time, and a registry; send every case to every topic, with good records between."""
    broker = Broker("pocket", lease)
    topics.create_topics(broker.settings.client_config("test"))
    with foreign_registry() as registry:
        made = Surroundings(broker.settings, registry)
        with made.schemas() as client, RawProducer(broker.settings.bootstrap_servers) as producer:
            writer = Writer(client)
            _send(producer, made, topics.COMMANDS, writer.command, {})
            _send(producer, made, topics.RECEIPTS, writer.receipt, writer.receipts_of_other_ages())
            _send(producer, made, topics.DEAD_LETTERS, writer.dead_letter, {})
        yield made


def test_a_lane_sets_them_apart_and_goes_on(around: Surroundings) -> None:
    """Each record is applied or dead-lettered, each good one is applied, and the registry's bad days are waited out."""
    stop, threads, store = Event(), CriticalThreads(), _Applies()
    source = KafkaSource(around.kafka, "lane-0", "processor-test")
    producer = ReceiptProducer(around.kafka.client_config("lane-0"))
    tracing = Tracing("processor", "lane-0", TelemetrySettings(OTEL_SDK_DISABLED=True))
    with around.schemas() as registry:
        encoder = _encoder(CommandReceipt, registry.register(topics.RECEIPTS, RECEIPT_RECORD, _schema(1)))
        around.registry.answers += _BAD_ANSWERS
        spans = LaneSpans(tracing, _STORE, "processor-test")
        lane = Lane(
            source=source,
            decoder=CommandDecoder(_STORE, CATALOG, registry),
            store=store,
            receipts=ReceiptSender(producer, encoder, spans, _STORE, "lane-0"),
            deferral=Deferral(1_000_000, 60, 100),
            health=PartHealth("lane-0", "lane-postgresql"),
            control=LaneControl(hears=False),
            stop=stop,
            limits=Limits(max_batch_records=50, max_read_wait_s=0.05, max_backoff_s=0.1),
            on_doubt=lambda: None,
        )
        thread = threads.new("lane", lane.run)
        thread.start()
        good = around.good_ids[topics.COMMANDS]
        try:
            eventually(lambda: not threads.all_alive or set(good) <= set(store.applied), _TIMEOUT_S)
        finally:
            stop.set()
            thread.join(_STOP_TIMEOUT_S)
            source.close()
            producer.close()
    assert threads.all_alive
    assert around.registry.answers == []
    assert [id_ for id_ in store.applied if id_ in set(good)] == good
    dead = _dead_lettered_offsets(around)
    assert store.offsets | dead == set(range(around.sent[topics.COMMANDS]))
    assert store.offsets.isdisjoint(dead)


def test_a_gateways_follower_passes_over_them(around: Surroundings) -> None:
    """Each good receipt is saved and delivered, and the thread is there in the end."""
    threads, saved = CriticalThreads(), _Saved()
    with around.schemas() as registry:
        around.registry.answers += _BAD_ANSWERS
        follower = ReceiptFollower(
            open_log=lambda: ReceiptLog(around.kafka, "gateway-operations-test"),
            decoder=Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), registry),
            writer=saved,
            deliver=saved.deliver,
            threads=threads,
            max_age_s=86_400,
        )
        follower.start()
        good = around.good_ids[topics.RECEIPTS]
        try:
            eventually(lambda: not threads.all_alive or set(good) <= set(saved.delivered), _TIMEOUT_S)
            eventually(lambda: follower.caught_up, _TIMEOUT_S)
        finally:
            follower.stop(_STOP_TIMEOUT_S)
    assert threads.all_alive
    assert around.registry.answers == []
    for ids in (saved.delivered, saved.saved):
        assert [id_ for id_ in ids if id_ in set(good)] == good


def test_the_monitor_tells_of_the_others(around: Surroundings, tmp_path: Path) -> None:
    """Each good record of each topic is an event, and whatever else there is can be listed and told."""
    threads, store = CriticalThreads(), LocalEventStore(tmp_path, CATALOG)
    with around.schemas() as registry:
        around.registry.answers += _BAD_ANSWERS
        decoder = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), registry)
        ingest = Ingest(around.kafka, EventReader(CATALOG, decoder), store, threads, PartHealth("monitor", "monitor"))
        ingest.start()
        good = [id_ for ids in around.good_ids.values() for id_ in ids]
        try:
            eventually(lambda: not threads.all_alive or all(map(store.events_of, good)), _TIMEOUT_S)
            assert ingest.is_following()
        finally:
            ingest.stop()
    assert threads.all_alive
    log = EventLog(store, CATALOG)
    listed = log.operations_page(ListOperationsRequest(page_size=1000)).operations
    assert {operation.correlation_id for operation in listed} >= set(good)
    for operation in listed:
        assert log.story(operation.correlation_id).operation.accept_time.ToDatetime().year < 9999
    store.close()


def test_dead_letters_are_listed_among_them(around: Surroundings) -> None:
    """Each good one is there, and can be shown with the others."""
    with TopicReader(around.kafka) as reader:
        dead_letters, _ = DeadLetterReader(reader, CATALOG.commands).read_dead_letters()
    entries = combine(dead_letters, Parked([], {}))
    found = {entry.dead_letter.correlation_id for entry in entries}
    assert set(around.good_ids[topics.DEAD_LETTERS]) <= found
    shown = Console(file=io.StringIO())
    show_dead_letters(entries, 0, {}, shown)
    for entry in entries:
        show_dead_letter(entry, None, shown)


def test_lost_commands_are_found_among_them(around: Surroundings) -> None:
    """Each good command is missed where a store remembers none."""
    inspectors = [_RemembersNothing(store) for store in ("POSTGRESQL", "MONGODB", "REDIS")]
    positions = {inspector.name: {_PARTITION: around.sent[topics.COMMANDS]} for inspector in inspectors}
    with TopicReader(around.kafka) as reader:
        found = find_lost(
            reader,
            DeadLetterReader(reader, CATALOG.commands),
            CATALOG.commands,
            positions,
            inspectors,
            memory_s=time.time(),
            read_successes=lambda _: {},
            has_row=lambda _: False,
        )
    assert found.is_whole
    for store in positions:
        lost = [entry.dead_letter.correlation_id for entry in found.lost if entry.dead_letter.store == store]
        assert [id_ for id_ in lost if id_ in set(around.good_ids[topics.COMMANDS])] == around.good_ids[topics.COMMANDS]


class _RemembersNothing:
    """A store that has lost everything."""

    def __init__(self, name: str) -> None:
        self.name = name

    def applied(self, correlation_ids: Sequence[str]) -> set[str]:
        """Return none."""
        del correlation_ids
        return set()

    def remembers_since_ms(self) -> int:
        """Return that nothing gave way."""
        return 0

    def close(self) -> None:
        """Do nothing."""


class _Applies(FakeStore):
    """A store that applies everything."""

    name = _STORE

    def __init__(self) -> None:
        super().__init__()
        self.offsets: set[int] = set()

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[Answer]:
        """Take note of the batch, and return its receipts."""
        self.offsets |= {delivery.offset for delivery in batch}
        return super().apply(batch, overdue)


class _Saved:
    """Redis and the event loop, as a follower sees them."""

    def __init__(self) -> None:
        self.saved: list[str] = []
        self.delivered: list[str] = []

    def save(self, receipts: Sequence[CommandReceipt]) -> None:
        """Take note."""
        self.saved += [receipt.correlation_id for receipt in receipts]

    def deliver(self, batch: Sequence[Received]) -> "Future[None]":
        """Take note."""
        self.delivered += [received.receipt.correlation_id for received in batch]
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def close(self) -> None:
        """Do nothing."""


def _send(
    producer: RawProducer,
    around: Surroundings,
    topic: str,
    make: Callable[[], tuple[str, RawRecord]],
    others: Mapping[str, Change],
) -> None:
    around.good_ids[topic] = []
    for sent in with_good_ones(make, others):
        for record in (sent.changed, sent.good):
            producer.send(topic, _PARTITION, record.key, record.value, record.headers, record.timestamp_ms)
        around.good_ids[topic].append(sent.good_id)
    around.sent[topic] = 2 * len(around.good_ids[topic])
    assert len(around.good_ids[topic]) == len(CASES) + len(others)


def _dead_lettered_offsets(around: Surroundings) -> set[int]:
    """Return the offsets of what the lane has set apart, among all that is on the dead-letter topic."""
    found: set[int] = set()
    with TopicReader(around.kafka) as reader:
        for record in reader.read(topics.DEAD_LETTERS, reader.extents(topics.DEAD_LETTERS)):
            headers = record.read_headers()
            source = headers.dead_letter_source
            if headers.text(topics.DLQ_LANE) == "lane-0" and source is not None:
                assert source[0] == _PARTITION
                found.add(source[1])
    return found


def _encoder(message_class: type[Message], schema_id: int) -> Encoder:
    name = str(message_class.DESCRIPTOR.full_name)
    return Encoder(message_class.DESCRIPTOR, load_schema(name), schema_id)  # type: ignore[arg-type] # upb's own class


def _schema(which: int) -> Mapping[str, object]:
    return load_schema((_COMMAND_RECORD, RECEIPT_RECORD)[which])


def _receipt(correlation_id: str) -> CommandReceipt:
    receipt = CommandReceipt(
        correlation_id=correlation_id, command="DeleteUser", store=_STORE, state=Operation.SUCCEEDED, user_id=7
    )
    for moment in (receipt.accept_time, receipt.receive_time, receipt.complete_time):
        moment.GetCurrentTime()
    return receipt


def _record(correlation_id: str, value: bytes, headers: Mapping[str, str]) -> RawRecord:
    common = {topics.CORRELATION_ID: correlation_id, topics.COMMAND: "DeleteUser"}
    return RawRecord(b"7", value, tuple(_bytes({**common, **headers})))


def _bytes(headers: Mapping[str, str]) -> Iterator[tuple[bytes, bytes | None]]:
    for name, value in headers.items():
        yield name.encode(), value.encode()
