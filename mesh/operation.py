"""The one fold from what is known of a command to its operation. Pure.

The gateways know a command by its acceptance and its receipts, the monitor by its events. Either makes `Acceptance`
and `StoreAnswer` of what it has, and `fold_answers` makes the same operation of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from google.protobuf.any_pb2 import Any
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import status_pb2
from polystream.options.v1.options_pb2 import Store
from polystream.v1.operations_pb2 import Operation

from mesh.catalog import Command

# What stands before a message's full name in the URL of its type, as google/protobuf/any.proto has it.
TYPE_URL_PREFIX: Final = "type.googleapis.com/"

_DONE: Final = (Operation.SUCCEEDED, Operation.FAILED)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is known of a command from the moment that Kafka has it."""

    correlation_id: str
    command: str
    accept_time: Timestamp
    user_id: int | None = None


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What one store has answered to a command, once or again."""

    store: int  # polystream.options.v1.Store
    state: Operation.State
    complete_time: Timestamp
    duplicate: bool = False
    dead_lettered: bool = False
    error: status_pb2.Status | None = None  # of a failure
    result: Any | None = None  # of a success, where whoever tells of it knows the result
    user_id: int | None = None


def is_done(operation: Operation) -> bool:
    """Whether the operation's state is final."""
    return operation.state in _DONE


def fold_answers(acceptance: Acceptance, answers: Iterable[StoreAnswer], commands: Mapping[str, Command]) -> Operation:
    """Return the operation that an acceptance and the answers to it add up to, in whatever order they came.

    - Of each store one answer counts: the one that it completed first. A dead letter gives way to the answer that a
      redrive brought, whatever their times. An answer that names no store is none.
    - The stores that have to answer are those that the contract names for the command. An answer of another store is
      shown behind theirs: a foreign record may have been dead-lettered, or the contract may have changed. A command
      that the contract does not know has to be answered by one store, whichever it is.
    - The operation fails with its first failure: its time and its error stay, whatever other stores answer later.
    - It succeeds when every store that has to answer has succeeded, at the time of the last one, with the result of
      the first one in the contract's order.
    - Until either, it is ACCEPTED.
    - The user is the acceptance's; where that knows none, as of a user yet to be created, the first answer's that does.
    """
    by_store = _one_a_store(answers)
    command = commands.get(acceptance.command)
    named = [Store.Value(store) for store in command.stores] if command is not None else sorted(by_store)
    shown = [by_store[store] for store in (*named, *sorted(by_store.keys() - {*named})) if store in by_store]
    operation = Operation(
        name=f"operations/{acceptance.correlation_id}",
        correlation_id=acceptance.correlation_id,
        command=acceptance.command,
        state=Operation.ACCEPTED,
        accept_time=acceptance.accept_time,
        receipts=map(_receipt, shown),
        user_id=acceptance.user_id or next((answer.user_id for answer in shown if answer.user_id), None),
    )
    _conclude(operation, shown, [by_store.get(store) for store in named])
    return operation


def _one_a_store(answers: Iterable[StoreAnswer]) -> dict[int, StoreAnswer]:
    chosen: dict[int, StoreAnswer] = {}
    for answer in sorted(answers, key=_precedence):
        if answer.store:
            chosen.setdefault(answer.store, answer)
    return chosen


def _precedence(answer: StoreAnswer) -> tuple[bool, int, bool]:
    # A repetition has the time of what it repeats.
    return answer.dead_lettered, _completed_ns(answer), answer.duplicate


def _receipt(answer: StoreAnswer) -> Operation.Receipt:
    return Operation.Receipt(
        store=answer.store,  # type: ignore[arg-type] # a store of a later version is a number
        state=answer.state,
        complete_time=answer.complete_time,
        duplicate=answer.duplicate,
        error=answer.error,
    )


def _conclude(operation: Operation, shown: Sequence[StoreAnswer], expected: Sequence[StoreAnswer | None]) -> None:
    failures = [answer for answer in shown if answer.state == Operation.FAILED]
    if failures:
        first = min(failures, key=_completed_ns)
        operation.state = Operation.FAILED
        operation.complete_time.CopyFrom(first.complete_time)
        if first.error is not None:
            operation.error.CopyFrom(first.error)
        return
    successes = [answer for answer in expected if answer is not None]
    if successes and len(successes) == len(expected):
        operation.state = Operation.SUCCEEDED
        operation.complete_time.CopyFrom(max(successes, key=_completed_ns).complete_time)
        if successes[0].result is not None:
            operation.result.CopyFrom(successes[0].result)


def _completed_ns(answer: StoreAnswer) -> int:
    return answer.complete_time.ToNanoseconds()
