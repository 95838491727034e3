"""The operations that a gateway has in memory."""

import asyncio

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from gateway.operations.memory import OperationMemory
from mesh.catalog import load_catalog

COMMANDS = load_catalog().commands


def operation(correlation_id: str) -> Operation:
    """Return an accepted operation of a command with one store."""
    return Operation(correlation_id=correlation_id, command="CreateUser", state=Operation.ACCEPTED)


def receipt(correlation_id: str, *, dead_lettered: bool = False) -> CommandReceipt:
    """Return the store's answer."""
    return CommandReceipt(
        correlation_id=correlation_id,
        command="CreateUser",
        store="POSTGRESQL",
        state=Operation.FAILED if dead_lettered else Operation.SUCCEEDED,
        dead_lettered=dead_lettered,
    )


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


def test_a_repeated_receipt_is_told_from_news() -> None:
    """`add` says whether anything changed: a repetition does not, the answer to a redriven dead letter does."""
    memory = OperationMemory(COMMANDS, 10)
    assert memory.add(receipt("a", dead_lettered=True))
    assert not memory.add(receipt("a", dead_lettered=True))
    assert memory.add(receipt("a"))
    assert not memory.add(receipt("a"))
    assert not memory.add(receipt("a", dead_lettered=True))
    assert len(memory.receipts("a")) == 2


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
