"""The lane's loop, with a source, a store and an outbox that a test steers."""

import json
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from threading import Event

import pytest
from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import DeleteUserRequest

from mesh import topics
from mesh.codec import Decoder, Encoder
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.schemas import load_schema
from mesh.settings import TelemetrySettings
from mesh.telemetry.tracing import Tracing
from processor.lanes.deferral import Deferral
from processor.lanes.intake import Intake
from processor.lanes.lane import Lane, Limits
from processor.lanes.outbox import SendError
from processor.lanes.ready import ReadyFile
from processor.lanes.records import Outgoing, Record
from processor.lanes.replies import Replies
from processor.lanes.spans import LaneSpans
from processor.model import Delivery, Outcome
from processor.receipts import make_receipt
from tests.support.lanes import CATALOG, COMMAND_OF, RECEIPT_RECORD

STORE = "MONGODB"
UNAVAILABLE = PolystreamError(Reason.STORE_UNAVAILABLE)


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
        self.waiting: list[Record] = []
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

    def put_raw(self, value: bytes, command: str, correlation_id: str, partition: int = 0) -> None:
        """Add a record."""
        offset = self._next.get(partition, 0)
        self._next[partition] = offset + 1
        headers = [(topics.CORRELATION_ID, correlation_id.encode()), (topics.COMMAND, command.encode())]
        self.waiting.append(Record(partition, offset, b"7", value, headers, 1_700_000_000_000_000_000))

    def partitions(self) -> frozenset[int] | None:
        """Return what the lane has."""
        return self.owned

    def read(self, max_records: int, wait_s: float) -> list[Record]:
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

    name = STORE

    def __init__(self) -> None:
        self.plans: dict[int, list[BaseException | None]] = {}  # an error, or None to defer
        self.applied: list[str] = []
        self.batches: list[int] = []
        self.overdue: set[str] = set()

    def ping(self) -> None:
        """Answer."""

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[CommandReceipt | None]:
        """Apply the batch, or raise the first planned error that it meets."""
        self.batches.append(len(batch))
        self.overdue |= overdue
        for delivery in batch:
            plan = self.plans.get(delivery.request.user_id, [])  # type: ignore[attr-defined]
            if plan and plan[0] is not None:
                raise plan.pop(0) or AssertionError
        receipts: list[CommandReceipt | None] = []
        deferred: set[bytes] = set()
        for delivery in batch:
            plan = self.plans.get(delivery.request.user_id, [])  # type: ignore[attr-defined]
            if delivery.key in deferred or (plan and delivery.correlation_id not in overdue):
                if delivery.key not in deferred:
                    plan.pop(0)
                deferred.add(delivery.key)
                receipts.append(None)
                continue
            self.applied.append(delivery.correlation_id)
            receipts.append(make_receipt(delivery, Outcome(result=delivery.request), STORE, 1))
        return receipts

    def close(self) -> None:
        """Do nothing."""


class FakeOutbox:
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

    def __init__(self, folder: Path, *, max_deferred: int = 100, max_wait_s: float = 60) -> None:
        self.source, self.store, self.outbox = FakeSource(), FakeStore(), FakeOutbox()
        self.schemas, self.stop = Schemas(), Event()
        self.now_s = 0.0
        self.doubts = 0
        self.progress: list[dict[int, int]] = []
        self.ready_file = folder / "ready.json"
        tracing = Tracing("processor", "lane-0", TelemetrySettings(OTEL_SDK_DISABLED=True))  # type: ignore[call-arg]
        encoder = Encoder(CommandReceipt.DESCRIPTOR, load_schema(RECEIPT_RECORD), 2)  # type: ignore[arg-type]
        self.lane = Lane(
            source=self.source,
            intake=Intake(STORE, CATALOG, self.schemas),
            store=self.store,
            replies=Replies(self.outbox, encoder, LaneSpans(tracing, STORE, "processor-mongodb"), STORE, "lane-0"),
            deferral=Deferral(max_deferred, max_wait_s, lambda: self.now_s),
            ready=ReadyFile(self.ready_file, STORE),
            stop=self.stop,
            limits=Limits(max_batch_records=100, max_read_wait_s=0.01, max_backoff_s=0.01),
            on_doubt=self.doubt,
            on_progress=lambda offsets: self.progress.append(dict(offsets)),
        )

    def doubt(self) -> None:
        """Count the times at which the topic may have become another one."""
        self.doubts += 1

    def receipts(self) -> dict[str, CommandReceipt]:
        """Return the receipts sent, by correlation ID."""
        decoder = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), self.schemas)
        receipts = [decoder.decode(sent.value) for sent in self.outbox.sent if sent.topic == topics.RECEIPTS]
        return {receipt.correlation_id: receipt for receipt in receipts if isinstance(receipt, CommandReceipt)}

    def dead_letters(self) -> list[dict[str, str]]:
        """Return the headers of the dead letters sent."""
        return [topics.header_text(sent.headers) for sent in self.outbox.sent if sent.topic == topics.DEAD_LETTERS]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """Return a lane that has partitions 0 and 1."""
    return Rig(tmp_path)


def delete(user_id: int) -> DeleteUserRequest:
    """Return a command about a user."""
    return DeleteUserRequest(user_id=user_id)


def test_a_round_applies_answers_and_commits(rig: Rig) -> None:
    """The receipt has the command's key and the headers of the contract; skipped records count as done."""
    done = rig.source.put(delete(7))
    rig.source.put_raw(b"?", "CreateUser", new_correlation_id())
    rig.lane.run_once()
    (sent,) = rig.outbox.sent
    assert (sent.topic, sent.key) == (topics.RECEIPTS, b"7")
    assert topics.header_text(sent.headers) == {
        topics.CORRELATION_ID: done,
        topics.COMMAND: "DeleteUser",
        topics.STORE: STORE,
    }
    assert rig.receipts()[done].state == Operation.SUCCEEDED
    assert rig.source.committed == {0: 2}
    assert rig.progress[-1] == {0: 2}


def test_a_command_that_is_not_traced_passes_its_context_on(rig: Rig) -> None:
    """The receipt belongs to the same trace, and says that nothing is recorded."""
    rig.source.put(delete(7))
    record = rig.source.waiting.pop()
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    headers = [*record.headers, (topics.TRACEPARENT, traceparent), (topics.TRACESTATE, "vendor=1")]
    rig.source.waiting.append(
        Record(record.partition, record.offset, record.key, record.value, headers, record.receive_time_ns)
    )
    rig.lane.run_once()
    sent = topics.header_text(rig.outbox.sent[0].headers)
    assert (sent[topics.TRACEPARENT], sent[topics.TRACESTATE]) == (traceparent, "vendor=1")


def test_nothing_is_committed_before_its_receipt_is_acknowledged(rig: Rig) -> None:
    """A lane that can't send ends, and its commands are delivered again."""
    rig.source.put(delete(7))
    rig.outbox.fails = True
    with pytest.raises(SendError):
        rig.lane.run_once()
    assert rig.source.committed == {}


def test_a_store_that_is_down_stops_the_lane_where_it_stands(rig: Rig) -> None:
    """The batch is kept and repeated whole; the lane stays in its group meanwhile."""
    ids = [rig.source.put(delete(7)), rig.source.put(delete(8))]
    rig.store.plans[8] = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]
    rig.lane.run_once()
    assert rig.store.batches == [2, 2, 2, 2]
    assert rig.source.idles >= 3
    assert rig.store.applied == ids
    assert list(rig.receipts()) == ids


def test_a_registry_that_is_down_stops_the_lane_where_it_stands(rig: Rig) -> None:
    """Nothing is dead-lettered for a schema that can't be had now."""
    done = rig.source.put(delete(7))
    rig.schemas.failures = 2
    rig.lane.run_once()
    assert rig.dead_letters() == []
    assert rig.store.applied == [done]


def test_partitions_taken_away_while_the_store_is_down_are_dropped(rig: Rig) -> None:
    """Whoever has them now answers; what is left of the batch is applied."""
    rig.source.put(delete(7), partition=0)
    kept = rig.source.put(delete(8), partition=1)
    rig.store.plans[8] = [UNAVAILABLE]
    rig.source.on_idle = lambda: rig.source.lost.add(0)
    rig.lane.run_once()
    assert rig.store.applied == [kept]
    assert rig.source.committed == {1: 1}
    assert rig.doubts > 0


def test_a_batch_that_fails_is_applied_one_by_one(rig: Rig) -> None:
    """The command at fault is dead-lettered with its cause, the others are applied in their order."""
    first, bad, last = (rig.source.put(delete(user_id)) for user_id in (7, 8, 9))
    fault = ValueError("secret value")
    rig.store.plans[8] = [fault, fault]
    rig.lane.run_once()
    assert rig.store.applied == [first, last]
    receipt = rig.receipts()[bad]
    assert (receipt.state, receipt.dead_lettered) == (Operation.FAILED, True)
    assert (receipt.error.reason, receipt.user_id) == ("HANDLER_FAILED", 8)
    assert receipt.error.metadata == {"exception": "ValueError"}
    (letter,) = rig.dead_letters()
    assert letter[topics.DLQ_REASON] == "HANDLER_FAILED"
    assert "ValueError" in letter[topics.DLQ_ERROR]
    assert "secret" not in str(letter)
    assert (letter[topics.DLQ_PARTITION], letter[topics.DLQ_OFFSET]) == ("0", "1")
    assert (letter[topics.DLQ_TOPIC], letter[topics.DLQ_LANE]) == (topics.COMMANDS, "lane-0")
    assert letter[topics.CORRELATION_ID] == bad
    assert rig.source.committed == {0: 3}


def test_a_store_that_goes_down_in_the_middle_of_one_by_one_is_waited_for(rig: Rig) -> None:
    """What is applied already is not applied again."""
    ids = [rig.source.put(delete(user_id)) for user_id in (7, 8, 9)]
    fault = ValueError()
    rig.store.plans[8] = [fault, fault]
    rig.store.plans[9] = [UNAVAILABLE, UNAVAILABLE]
    rig.store.plans[7] = []
    rig.lane.run_once()
    assert rig.store.applied == [ids[0], ids[2]]
    assert len(rig.receipts()) == 3


def test_a_record_that_can_not_be_read_is_dead_lettered_and_the_lane_goes_on(rig: Rig) -> None:
    """The record is kept as it came, and the operation says that it failed."""
    bad = new_correlation_id()
    rig.source.put_raw(b"\xff\xfe", "DeleteUser", bad)
    done = rig.source.put(delete(7))
    rig.lane.run_once()
    assert rig.store.applied == [done]
    letter = next(sent for sent in rig.outbox.sent if sent.topic == topics.DEAD_LETTERS)
    assert (letter.key, letter.value) == (b"7", b"\xff\xfe")
    receipt = rig.receipts()[bad]
    assert (receipt.state, receipt.dead_lettered, receipt.user_id) == (Operation.FAILED, True, 7)
    assert rig.source.committed == {0: 2}


def test_a_record_too_large_for_the_dead_letters_is_pointed_to(rig: Rig) -> None:
    """The lane does not stand still over it: the letter says where the record is, and how large."""
    rig.source.put_raw(b"\xff" * 1_000_000, "DeleteUser", new_correlation_id())
    rig.lane.run_once()
    letter = next(sent for sent in rig.outbox.sent if sent.topic == topics.DEAD_LETTERS)
    headers = topics.header_text(letter.headers)
    assert (letter.value, headers[topics.DLQ_OFFSET]) == (None, "0")
    assert int(headers["dlq.omitted_bytes"]) > 1_000_000


def test_a_deferred_command_holds_its_key_and_its_offset(rig: Rig) -> None:
    """Others go on. When it can be told, it is applied before what came behind it, and the offset moves."""
    waiting = rig.source.put(delete(7))
    other = rig.source.put(delete(8))
    rig.store.plans[7] = [None, None]
    rig.lane.run_once()
    behind = rig.source.put(delete(7))
    rig.lane.run_once()
    assert rig.store.applied == [other]
    assert rig.source.committed == {0: 0}
    for _ in range(2):
        rig.now_s += 1
        rig.lane.run_once()
    assert rig.store.applied == [other, waiting, behind]
    assert rig.source.committed == {0: 3}


def test_a_deferred_command_keeps_its_order_when_a_batch_is_taken_apart(rig: Rig) -> None:
    """Applied one by one, a command does not overtake one of its key that waits."""
    waiting = rig.source.put(delete(7))
    bad = rig.source.put(delete(8))
    behind = rig.source.put(delete(7))
    fault = ValueError()
    rig.store.plans = {7: [None], 8: [fault, fault]}
    rig.lane.run_once()
    assert rig.store.applied == []
    assert list(rig.receipts()) == [bad]
    rig.now_s += 1
    rig.lane.run_once()
    assert rig.store.applied == [waiting, behind]


def test_a_command_that_has_waited_long_enough_is_named_overdue(rig: Rig) -> None:
    """The store then answers it, whatever it can tell."""
    waiting = rig.source.put(delete(7))
    rig.store.plans[7] = [None] * 1000
    rig.lane.run_once()
    rig.now_s += 59
    rig.lane.run_once()
    assert rig.store.overdue == set()
    rig.now_s += 2
    rig.lane.run_once()
    assert rig.store.overdue == {waiting}
    assert rig.store.applied == [waiting]


def test_a_lane_full_of_waiting_commands_reads_no_more(tmp_path: Path) -> None:
    """What waits is bounded; the lane stays in its group, and reads on as soon as there is room."""
    rig = Rig(tmp_path, max_deferred=2)
    for user_id in (7, 8, 9):
        rig.source.put(delete(user_id))
        rig.store.plans[user_id] = [None]
    rig.lane.run_once()
    rig.lane.run_once()
    assert len(rig.source.waiting) == 1
    assert rig.source.idles == 1
    rig.now_s += 1
    for _ in range(2):
        rig.lane.run_once()
    rig.now_s += 1
    rig.lane.run_once()
    assert len(rig.store.applied) == 3
    assert rig.source.committed == {0: 3}


def test_deferred_commands_of_a_partition_taken_away_are_dropped(rig: Rig) -> None:
    """They are never tried again here, and hold no offset."""
    rig.source.put(delete(7))
    rig.store.plans[7] = [None]
    rig.lane.run_once()
    rig.source.lost.add(0)
    rig.now_s += 1
    rig.lane.run_once()
    assert rig.store.applied == []
    assert rig.progress[-1] == {}


def test_offsets_that_go_back_raise_doubt_about_the_topic(rig: Rig) -> None:
    """A topic made anew starts over: whoever compares offsets is told to ask which topic it is."""
    rig.source.put(delete(7))
    first = rig.source.waiting[0]
    rig.lane.run_once()
    assert rig.doubts == 0
    rig.source.waiting.append(first)
    rig.lane.run_once()
    assert rig.doubts == 1


def test_progress_that_can_not_be_recorded_stops_nothing(rig: Rig) -> None:
    """It is recorded with the next round."""
    calls: list[Mapping[int, int]] = []

    def fail_once(offsets: Mapping[int, int]) -> None:
        calls.append(dict(offsets))
        if len(calls) == 1:
            raise UNAVAILABLE

    rig.lane._on_progress = fail_once
    done = rig.source.put(delete(7))
    rig.lane.run_once()
    rig.lane.run_once()
    assert rig.store.applied == [done]
    assert calls == [{0: 1}, {0: 1}]


def test_the_ready_file_tells_the_partitions_until_the_lane_ends(rig: Rig) -> None:
    """It is there once the group has given partitions and the store has answered, and not afterwards."""
    rig.source.owned = None
    rig.lane.run_once()
    assert not rig.ready_file.exists()
    rig.source.owned = frozenset({4, 1})
    rig.lane.run_once()
    content = json.loads(rig.ready_file.read_text())
    assert (content["store"], content["partitions"]) == (STORE, [1, 4])
    rig.stop.set()
    rig.lane.run()
    assert not rig.ready_file.exists()


def test_a_lane_that_is_told_to_stop_while_it_waits_stops(rig: Rig) -> None:
    """The batch under way is neither answered nor committed: it will be delivered again."""
    rig.source.put(delete(7))
    rig.store.plans[7] = [UNAVAILABLE] * 1000
    rig.source.on_idle = rig.stop.set
    rig.lane.run()
    assert (rig.store.applied, rig.outbox.sent, rig.source.committed) == ([], [], {})
