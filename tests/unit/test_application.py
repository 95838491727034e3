"""How a batch is applied in parts: order within a key, waiting, repetitions; with a store in memory."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import DeleteUserRequest
from polystream.v1.views_pb2 import DeleteViewRequest, RecordViewRequest, View

from processor.application import Decided, apply_in_batches
from processor.batches import split_batch
from processor.model import Delivery, Outcome, Unanswered
from processor.parking import Known, ParkingBounds
from processor.receipts import make_receipt
from processor.users import BatchUsers, Erasure, UserDirectory
from tests.support.lanes import delivery as deliver


class OneUser:
    """A memory in which user 1 exists, and nobody else."""

    def read(self, user_ids: Sequence[int]) -> Mapping[int, Erasure | None]:
        """Know one."""
        return {1: None} if 1 in user_ids else {}

    def remember(self, user_ids: Sequence[int]) -> None:
        """Find nobody new."""
        raise AssertionError(user_ids)

    def erase(self, erasures: Mapping[int, Erasure]) -> None:
        """Erase nobody."""
        raise AssertionError(erasures)


class SilentLookup:
    """A PostgreSQL that is down."""

    def ask(self, *_: object) -> None:
        """Answer nothing."""

    def close(self) -> None:
        """Hold nothing."""


class Recorder:
    """A store that does nothing, and tells which batches it was given."""

    name = "MONGODB"
    parking_bounds = ParkingBounds()

    def __init__(self) -> None:
        self.kept: dict[str, CommandReceipt] = {}
        self.batches: list[list[str]] = []

    def topic_id(self) -> str:
        """Say that there is one topic."""
        return "topic-1"

    def read_known(self, topic_id: str, correlation_ids: Sequence[str], *_: object) -> Known:
        """Find what was kept."""
        del topic_id
        return Known({id_: self.kept[id_] for id_ in correlation_ids if id_ in self.kept}, {}, {}, 0)

    def park_waiting(self, waiting: object) -> None:
        """Park nothing."""
        raise AssertionError(waiting)

    def remove_parked(self, *parked: object) -> None:
        """Have nothing parked."""
        raise AssertionError(parked)

    def apply_decided(self, batch: Sequence[Decided], _users: BatchUsers) -> Mapping[str, CommandReceipt]:
        """Keep a receipt for each."""
        self.batches.append([decided.delivery.correlation_id for decided in batch])
        receipts = {
            d.delivery.correlation_id: make_receipt(d.delivery, d.refusal or Outcome(result=View()), "MONGODB", 0)
            for d in batch
        }
        self.kept |= receipts
        return receipts


@pytest.fixture
def store() -> Recorder:
    """Return a fresh store."""
    return Recorder()


def run(store: Recorder, batch: Sequence[Delivery], overdue: frozenset[str] = frozenset()) -> list[Any]:
    """Apply a batch, and return each answer as (reason or "ok", duplicate); None for what waits."""
    directory = UserDirectory(OneUser(), SilentLookup(), lambda: "topic-1")  # type: ignore[arg-type] # a stand-in
    receipts = apply_in_batches(batch, overdue, directory, store)
    return [None if isinstance(r, Unanswered) else (r.error.reason or "ok", r.duplicate) for r in receipts]


def record(user_id: int, name: str = "") -> Delivery:
    """Return a RecordView, under a readable correlation ID."""
    return deliver(RecordViewRequest(user_id=user_id, content_id=1), correlation_id=name)


def forget(user_id: int, name: str = "") -> Delivery:
    """Return a DeleteView, which needs no user."""
    return deliver(DeleteViewRequest(user_id=user_id, view_id="v"), correlation_id=name)


def test_runs_of_one_command_stay_together() -> None:
    """A hundred views of one user are one batch; another command of the same key begins a new one."""
    batch = [*(record(1) for _ in range(100)), forget(1), record(2), record(1), forget(2)]
    parts = split_batch(batch, keep_runs=True)
    assert [len(part) for part in parts] == [101, 2, 1]
    assert parts[1] == [batch[100], batch[103]]
    assert parts[2] == [batch[102]]


def test_parts_keep_the_order_within_every_key() -> None:
    """Whatever the mix, a key's deliveries come in order, and a part has one command of it."""
    makers = (record, forget, lambda user: deliver(DeleteUserRequest(user_id=user)))
    batch = [maker(user) for maker, user in itertools.product(makers, (1, 2, 3, 1, 2))]
    batch += [record(1), record(3), forget(1), record(1)]
    parts = split_batch(batch, keep_runs=True)
    for key in {delivery.key for delivery in batch}:
        assert [d for part in parts for d in part if d.key == key] == [d for d in batch if d.key == key]
        assert all(len({d.command.name for d in part if d.key == key}) <= 1 for part in parts)


def test_what_waits_holds_its_key_alone(store: Recorder) -> None:
    """Behind a command whose user is in doubt, everything of the key waits; other keys go on."""
    batch = [record(9, "a"), record(1, "b"), forget(9, "c"), forget(1, "d"), record(9, "e")]
    assert run(store, batch) == [None, ("ok", False), None, ("ok", False), None]
    assert store.batches == [["b"], ["d"]]


def test_what_is_overdue_is_refused_in_its_turn(store: Recorder) -> None:
    """It is answered USER_UNVERIFIED; what needs no user and has waited behind it is applied."""
    batch = [record(9, "a"), forget(9, "b"), record(8, "c"), record(1, "d")]
    answers = run(store, batch, frozenset({"a", "b"}))
    assert answers == [("USER_UNVERIFIED", False), ("ok", False), None, ("ok", False)]
    assert run(store, batch[:1]) == [("USER_UNVERIFIED", True)]


def test_a_repetition_is_answered_from_its_receipt(store: Recorder) -> None:
    """A command that was applied before is not applied again, and its answer is marked."""
    batch = [record(1, "a"), record(1, "b")]
    assert run(store, batch) == [("ok", False), ("ok", False)]
    assert run(store, [*batch, record(1, "c")]) == [("ok", True), ("ok", True), ("ok", False)]
    assert store.batches == [["a", "b"], ["c"]]


def test_a_command_twice_in_a_batch_is_applied_once(store: Recorder) -> None:
    """The second delivery repeats the first one's answer, or waits with it."""
    first, waiting = record(1, "a"), record(9, "w")
    assert run(store, [first, waiting, first, waiting]) == [("ok", False), None, ("ok", True), None]
    assert store.batches == [["a"]]


def test_a_repetition_is_answered_though_its_key_waits(store: Recorder) -> None:
    """What was answered before has its answer, whatever waits now."""
    store.kept["old"] = CommandReceipt(correlation_id="old", state=Operation.SUCCEEDED)
    assert run(store, [record(9, "new"), record(9, "old")]) == [None, ("ok", True)]
