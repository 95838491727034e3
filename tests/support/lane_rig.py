"""The lane's loop with a source, a store and a producer that a test steers."""

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from threading import Event
from typing import Final

from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import DeleteUserRequest

from mesh import topics
from mesh.codec import Decoder, Encoder
from mesh.envelope import KafkaRecord, RedriveAction, redrive_headers
from mesh.errors import PolystreamError, Reason
from mesh.health.part import PartHealth
from mesh.ids import new_correlation_id
from mesh.schemas import load_schema
from mesh.settings import TelemetrySettings
from mesh.telemetry.tracing import Tracing
from processor.lanes.control import LaneControl
from processor.lanes.decoding import CommandDecoder
from processor.lanes.deferral import Deferral
from processor.lanes.lane import Lane, Limits
from processor.lanes.receipts import Outgoing, ReceiptSender, SendError
from processor.lanes.spans import LaneSpans
from processor.model import Answer, Delivery, GivenUp, Outcome, ParkedRecord, Unanswered
from processor.parking import (
    Known,
    ParkingBounds,
    park_in_order,
    parked_id,
    sort_out,
    waiting_record,
)
from processor.receipts import make_receipt
from tests.support.headers import header_texts
from tests.support.lanes import CATALOG, COMMAND_OF, RECEIPT_RECORD
from tests.support.memory_parking import MemoryParking

STORE: Final = "MONGODB"
DEFERRED: Final = Unanswered.DEFERRED
_TOPIC_ID: Final = "topic-1"
UNAVAILABLE: Final = PolystreamError(Reason.STORE_UNAVAILABLE)


class Schemas:
    """A registry with the one schema that these tests use."""

    def __init__(self) -> None:
        self.failures = 0

    def schema_by_id(self, schema_id: int) -> str:
        """Return the schema, once the failures are used up."""
        if self.failures:
            self.failures -= 1
            raise PolystreamError(Reason.REGISTRY_UNAVAILABLE)
        record = RECEIPT_RECORD if schema_id == 2 else "polystream.v1.DeleteUserRequest"
        return json.dumps(load_schema(record))


class FakeSource:
    """Gives out the records that a test has put into it."""

    def __init__(self) -> None:
        self.waiting: list[KafkaRecord] = []
        self.lost: set[int] = set()
        self.owned: frozenset[int] | None = frozenset({0, 1})
        self.committed: dict[int, int] = {}
        self.idles = 0
        self.on_idle: Callable[[], None] = lambda: None
        self._next: dict[int, int] = {}

    def put(self, request: Message, correlation_id: str = "", partition: int = 0) -> str:
        """Add a command's record, and return its correlation ID."""
        correlation_id = correlation_id or new_correlation_id()
        name = str(request.DESCRIPTOR.full_name)
        value = Encoder(request.DESCRIPTOR, load_schema(name), 1).encode(request)  # type: ignore[arg-type]
        self.put_raw(value, COMMAND_OF[type(request)].name, correlation_id, partition)
        return correlation_id

    def redrive(self, given_up: KafkaRecord, action: RedriveAction, stores: Sequence[str] = ()) -> None:
        """Add the record that has a parked key go on."""
        offset = self._next[given_up.partition]
        self._next[given_up.partition] = offset + 1
        headers = redrive_headers(
            given_up.headers, redrives=1, first_offset=given_up.offset, action=action, stores=stores, principal="ana"
        )
        self.waiting.append(given_up._replace(offset=offset, headers=headers))

    def put_raw(self, value: bytes, command: str, correlation_id: str, partition: int = 0) -> None:
        """Add a record."""
        offset = self._next.get(partition, 0)
        self._next[partition] = offset + 1
        headers = [(topics.CORRELATION_ID, correlation_id.encode()), (topics.COMMAND, command.encode())]
        received_ms = 1_700_000_000_000
        self.waiting.append(
            KafkaRecord(topics.COMMANDS, partition, offset, received_ms, received_ms * 1_000_000, b"7", value, headers)
        )

    def partitions(self) -> frozenset[int] | None:
        """Return what the lane has."""
        return self.owned

    def read(self, max_records: int, wait_s: float) -> list[KafkaRecord]:
        """Return the next records."""
        del wait_s
        records, self.waiting = self.waiting[:max_records], self.waiting[max_records:]
        return records

    def idle(self, wait_s: float) -> None:
        """Count the pause, and let the test do something in it."""
        del wait_s
        self.idles += 1
        self.on_idle()

    def take_lost(self) -> frozenset[int]:
        """Return what was taken away."""
        lost, self.lost = frozenset(self.lost), set()
        return lost

    def commit(self, next_offsets: Mapping[int, int]) -> None:
        """Keep the offsets."""
        self.committed.update(next_offsets)

    def close(self) -> None:
        """Do nothing."""


class FakeStore:
    """Applies everything, but what a test has planned otherwise by user ID."""

    name: str = STORE

    def __init__(self) -> None:
        self.plans: dict[int, list[BaseException | None]] = {}  # an error, or None to defer
        self.applied: list[str] = []
        self.batches: list[int] = []
        self.overdue: set[str] = set()
        self.parking, self.bounds = MemoryParking(), ParkingBounds()
        self.positions: dict[int, int] = {}
        self.on_positions: Callable[[Mapping[int, int]], None] = lambda _: None

    def ping(self) -> None:
        """Answer."""

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[Answer]:
        """Apply the batch, or raise the first planned error that it meets. What waits behind a dead letter waits."""
        known = self._known([delivery.key for delivery in batch])
        found = sort_out(batch, known, _TOPIC_ID, self.name, commands_max=self.bounds.commands_max)
        for delivery in found.wait:
            self.parking.add(waiting_record(parked_id(_TOPIC_ID, delivery), delivery))
        applied = dict(zip([d.correlation_id for d in found.go], self._apply(found.go, overdue), strict=True))
        answers = applied | found.answered | dict.fromkeys(found.passed, Unanswered.PASSED)
        return [answers[delivery.correlation_id] for delivery in batch]

    def park(self, given_up: Sequence[GivenUp]) -> Sequence[Answer]:
        """Park them."""
        known, (keys, _) = self._known([one.key for one in given_up]), self.parking.count()
        free = self.bounds.keys_max - keys
        return park_in_order(
            given_up, known, _TOPIC_ID, self.parking, keys_free=free, commands_max=self.bounds.commands_max
        )

    def parked(self, key: bytes) -> Sequence[ParkedRecord]:
        """Return what is parked under a key."""
        return self.parking.records(key)

    def discard(self, parked: ParkedRecord) -> None:
        """Let go of it."""
        self.parking.remove([parked.id])

    def remove_parked(self, key: bytes, ids: Sequence[str]) -> None:
        """Let go of them."""
        del key
        self.parking.remove(ids)

    def count_parked(self) -> tuple[int, int]:
        """Count it."""
        return self.parking.count()

    def record_positions(self, next_offsets: Mapping[int, int]) -> None:
        """Do what the test wants, and keep them."""
        self.on_positions(next_offsets)
        self.positions.update(next_offsets)

    def _known(self, keys: Sequence[bytes]) -> Known:
        return Known({}, self.parking.queues(keys), self.positions, self.bounds.records_max - self.parking.count()[1])

    def _apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> list[Answer]:
        self.batches.append(len(batch))
        self.overdue |= overdue
        for delivery in batch:
            plan = self.plans.get(delivery.request.user_id, [])  # type: ignore[attr-defined]
            if plan and plan[0] is not None:
                raise plan.pop(0) or AssertionError
        receipts: list[Answer] = []
        deferred: set[bytes] = set()
        for delivery in batch:
            plan = self.plans.get(delivery.request.user_id, [])  # type: ignore[attr-defined]
            if delivery.key in deferred or (plan and delivery.correlation_id not in overdue):
                if delivery.key not in deferred:
                    plan.pop(0)
                deferred.add(delivery.key)
                receipts.append(DEFERRED)
                continue
            self.applied.append(delivery.correlation_id)
            receipts.append(make_receipt(delivery, Outcome(result=delivery.request), self.name, 1))
        return receipts

    def close(self) -> None:
        """Do nothing."""


class FakeProducer:
    """Keeps what is sent, unless a test wants it to fail."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.fails = False

    def send(self, batch: Sequence[Outgoing], idle: Callable[[float], None]) -> None:
        """Keep the batch."""
        if self.fails:
            idle(0)
            raise SendError
        self.sent += batch

    def close(self) -> None:
        """Do nothing."""


class Rig:
    """A lane with all its surroundings."""

    def __init__(self, *, max_deferred_bytes: int = 1_000_000, max_wait_s: float = 60) -> None:
        self.source, self.store, self.producer = FakeSource(), FakeStore(), FakeProducer()
        self.schemas, self.stop = Schemas(), Event()
        self.now_s = 0.0
        self.doubts = 0
        self.progress: list[dict[int, int]] = []
        self.control = LaneControl(hears=False)
        self.store.on_positions = lambda offsets: self.progress.append(dict(offsets))
        self.health = PartHealth("lane-0", "lane-mongodb", clock_s=lambda: self.now_s)
        tracing = Tracing("processor", "lane-0", TelemetrySettings(OTEL_SDK_DISABLED=True))
        encoder = Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT_RECORD), 2)  # type: ignore[arg-type]
        spans = LaneSpans(tracing, STORE, "processor-mongodb")
        self.lane = Lane(
            source=self.source,
            decoder=CommandDecoder(STORE, CATALOG, self.schemas),
            store=self.store,
            receipts=ReceiptSender(self.producer, encoder, spans, STORE, "lane-0"),
            deferral=Deferral(max_deferred_bytes, max_wait_s, 100, lambda: self.now_s),
            health=self.health,
            control=self.control,
            stop=self.stop,
            limits=Limits(max_batch_records=100, max_read_wait_s=0.01, max_backoff_s=0.01),
            on_doubt=self.doubt,
        )

    def doubt(self) -> None:
        """Count the times at which the topic may have become another one."""
        self.doubts += 1

    def receipts(self) -> dict[str, CommandReceipt]:
        """Return the receipts sent, by correlation ID."""
        decoder = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), self.schemas)
        receipts = [decoder.decode(sent.value) for sent in self.producer.sent if sent.topic == topics.RECEIPTS]
        return {receipt.correlation_id: receipt for receipt in receipts if isinstance(receipt, CommandReceipt)}

    def dead_letters(self) -> list[dict[str, str]]:
        """Return the headers of the dead letters sent."""
        return [header_texts(sent.headers) for sent in self.producer.sent if sent.topic == topics.DEAD_LETTERS]


def delete(user_id: int) -> DeleteUserRequest:
    """Return a command about a user."""
    return DeleteUserRequest(user_id=user_id)
