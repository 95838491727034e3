"""The operations that a gateway has in memory."""

import asyncio

import pytest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from gateway.operations.accepted import AcceptedOperation
from gateway.operations.memory import OperationMemory
from mesh.catalog import load_catalog

COMMANDS = load_catalog().commands


def operation(correlation_id: str) -> Operation:
    """Return an accepted operation of a command with one store."""
    return Operation(correlation_id=correlation_id, command="CreateUser", state=Operation.ACCEPTED)


def receipt(correlation_id: str, *, dead_lettered: bool = False, offset: int | None = None) -> CommandReceipt:
    """Return the store's answer, to the record of an offset where one is given."""
    return CommandReceipt(
        correlation_id=correlation_id,
        command="CreateUser",
        store="POSTGRESQL",
        state=Operation.FAILED if dead_lettered else Operation.SUCCEEDED,
        dead_lettered=dead_lettered,
        command_partition=None if offset is None else 0,
        command_offset=offset,
    )


def acknowledged(correlation_id: str, offset: int) -> AcceptedOperation:
    """Return an operation as the command path has it, once Kafka has told where its record is."""
    accepted = AcceptedOperation(correlation_id, operation(correlation_id).SerializeToString())
    accepted.partition, accepted.offset = 0, offset
    return accepted


def test_the_oldest_operation_gives_way() -> None:
    """There are never more operations than the bound, and the newest are the ones kept."""
    memory = OperationMemory(COMMANDS, max_operations=10)
    for number in range(25):
        memory.accept(operation(str(number)))
        memory.add(receipt(str(number)))
    assert len(memory) == 10
    assert memory.get("14") is None
    kept = memory.get("15")
    assert kept is not None
    assert kept.state == Operation.SUCCEEDED


def test_receipts_may_come_before_the_acceptance() -> None:
    """A lane can be quicker than Kafka's acknowledgement: the operation is the same in the end."""
    early, late = OperationMemory(COMMANDS, 10), OperationMemory(COMMANDS, 10)
    early.add(receipt("a"))
    assert not early.accepted_here("a")
    early.accept(operation("a"))
    late.accept(operation("a"))
    late.add(receipt("a"))
    assert early.accepted_here("a")
    assert early.get("a") == late.get("a")


def test_which_request_an_operation_is_of_is_known_from_its_acceptance_or_its_receipts() -> None:
    """A receipt of what was applied counts before that of what was given up, which may be a foreign record's."""
    memory = OperationMemory(COMMANDS, 10)
    assert memory.fingerprint("a") is None
    memory.add(receipt("a"))
    assert memory.fingerprint("a") is None, "of an earlier version, or of a command without a request ID"
    foreign, own = receipt("b", dead_lettered=True), receipt("b")
    foreign.request_fingerprint, own.request_fingerprint = b"f" * 16, b"o" * 16
    own.accept_time.FromSeconds(9)
    memory.add(foreign)
    assert memory.fingerprint("b") == b"f" * 16
    memory.add(own)
    assert memory.fingerprint("b") == b"o" * 16
    accepted = acknowledged("b", 7)
    accepted.fingerprint = b"a" * 32
    memory.accept(accepted)
    assert memory.fingerprint("b") == b"a" * 32


def test_a_repeated_receipt_is_told_from_news() -> None:
    """`add` says whether anything changed: a repetition does not, the answer to a redriven dead letter does."""
    memory = OperationMemory(COMMANDS, 10)
    assert memory.add(receipt("a", dead_lettered=True))
    assert not memory.add(receipt("a", dead_lettered=True))
    assert memory.add(receipt("a"))
    assert not memory.add(receipt("a"))
    assert not memory.add(receipt("a", dead_lettered=True))
    assert len(memory.receipts("a")) == 2


def test_that_a_command_waits_is_news_until_it_is_settled() -> None:
    """Behind another one it is news again; after the answer it is none."""
    memory = OperationMemory(COMMANDS, 10)

    def waits(behind: str) -> CommandReceipt:
        waiting = receipt("a")
        waiting.state, waiting.waits_behind = Operation.ACCEPTED, f"0197a1b2-0000-7000-8000-00000000000{behind}"
        return waiting

    assert memory.add(waits("1"))
    assert not memory.add(waits("1"))
    assert memory.add(waits("2"))
    assert memory.add(receipt("a"))
    assert not memory.add(waits("3"))
    kept = memory.get("a")
    assert kept is not None
    assert kept.receipts[0].waits_behind == ""


def test_a_second_acceptance_does_not_replace_the_first() -> None:
    """A command sent again under its request ID keeps the time of its first acceptance."""
    memory = OperationMemory(COMMANDS, 10)
    first, second = operation("a"), operation("a")
    first.accept_time.seconds, second.accept_time.seconds = 1, 2
    memory.accept(first)
    memory.accept(second)
    kept = memory.get("a")
    assert kept is not None
    assert kept.accept_time.seconds == 1


async def test_a_receipt_wakes_those_who_watch_its_operation_alone() -> None:
    """Each watcher has an event of its own, and no watcher is left behind."""
    memory = OperationMemory(COMMANDS, 10)
    with memory.watching("a") as one, memory.watching("a") as two, memory.watching("b") as other:
        memory.add(receipt("a"))
        assert (one.is_set(), two.is_set(), other.is_set()) == (True, True, False)
        one.clear()
        memory.add(receipt("a"))
        assert not one.is_set(), "a repetition is no change"
    memory.accept(operation("c"))
    assert memory._watchers == {}
    assert isinstance(one, asyncio.Event)


def test_large_receipts_push_out_the_oldest_operations() -> None:
    """By bytes, long before there are too many operations: a receipt may be as large as a record."""
    memory = OperationMemory(COMMANDS, max_operations=1000, max_receipts_bytes=100_000)
    for number in range(50):
        large = CommandReceipt(correlation_id=str(number), store="MONGODB", command="RecordView")
        large.result.value = b"x" * 10_000
        memory.add(large)
    kept = [number for number in range(50) if memory.receipts(str(number))]
    assert kept == list(range(50 - len(kept), 50))
    assert 8 <= len(kept) <= 10
    assert len(memory) == len(kept)


def state(memory: OperationMemory, correlation_id: str) -> int:
    """Return the state that memory tells."""
    known = memory.get(correlation_id)
    assert known is not None
    return known.state


@pytest.mark.parametrize("is_early", [False, True], ids=["behind the acceptance", "before the acceptance"])
def test_a_foreign_records_dead_letter_says_nothing_of_the_command(is_early: bool) -> None:
    """Neither that it failed, nor that its own dead letter is a repetition."""
    memory = OperationMemory(COMMANDS, 10)
    foreign, own = receipt("a", dead_lettered=True, offset=9), receipt("a", dead_lettered=True, offset=5)
    if is_early:
        memory.add(foreign)
    memory.accept(acknowledged("a", 5))
    if not is_early:
        assert not memory.add(foreign)
    assert state(memory, "a") == Operation.ACCEPTED
    assert memory.add(own)
    assert state(memory, "a") == Operation.FAILED
    assert memory.add(receipt("a", offset=5)), "a redrive's answer has the place that the command was at first"
    assert state(memory, "a") == Operation.SUCCEEDED


def test_a_broker_that_told_no_offset_hides_no_dead_letter() -> None:
    """As of a record that was there already, librdkafka knows none."""
    memory = OperationMemory(COMMANDS, 10)
    memory.accept(acknowledged("a", -1001))
    memory.add(receipt("a", dead_lettered=True, offset=5))
    assert state(memory, "a") == Operation.FAILED


def test_an_answer_to_another_command_hides_none() -> None:
    """Nor does it count: the accepted command is the one that this gateway sent."""
    memory = OperationMemory(COMMANDS, 10)
    memory.accept(acknowledged("a", 5))
    other = receipt("a")
    other.command = "UpdateUser"
    memory.add(other)
    assert state(memory, "a") == Operation.ACCEPTED
    assert memory.add(receipt("a", offset=5))
    assert state(memory, "a") == Operation.SUCCEEDED


def test_foreign_receipts_of_one_operation_are_bounded() -> None:
    """Anybody may write a million records with one correlation ID; the command's own answer is kept all the same."""
    memory = OperationMemory(COMMANDS, 10)
    for offset in range(100):
        memory.add(receipt("a", dead_lettered=True, offset=offset))
    assert len(memory.receipts("a")) == 16
    assert memory.add(receipt("a", offset=500))
    assert state(memory, "a") == Operation.SUCCEEDED
