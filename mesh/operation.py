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
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Event, Operation

from mesh.catalog import Command
from mesh.dead_letters.dead_letter import RecordPosition

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
    position: RecordPosition | None = None  # of the accepted record, where Kafka or the event log has told it


@dataclass(frozen=True, slots=True)
class StoreAnswer:
    """What one store has answered to a command, once or again."""

    command: str
    store: int  # polystream.options.v1.Store
    state: Operation.State
    complete_time: Timestamp
    duplicate: bool = False
    dead_lettered: bool = False
    error: status_pb2.Status | None = None  # of a failure
    result: Any | None = None  # of a success, where whoever tells of it knows the result
    user_id: int | None = None
    position: RecordPosition | None = None  # of the answered record, before any redrive; not told by earlier versions
    waits_behind: str = ""  # while it waits: the correlation ID of the command that was given up


def is_done(operation: Operation) -> bool:
    """Whether the operation's state is final."""
    return operation.state in _DONE


def fold_answers(acceptance: Acceptance, answers: Iterable[StoreAnswer], commands: Mapping[str, Command]) -> Operation:
    """Return the operation that an acceptance and the answers to it add up to, in whatever order they came.

    - An answer to another command is none, nor is the dead letter of a record that is not the accepted one: anybody may
      write a record with a command's correlation ID. Where nobody has told which record was accepted, it is the one
      that a store has applied or refused. Any other answer counts, whichever record it is to: a command that a gateway
      sent twice is applied once.
    - Of each store one answer counts: the one that it completed first. A dead letter gives way to the answer that a
      redrive brought, whatever their times, and that the command waits to any other answer; of several that say so,
      the last one counts. An answer that names no store is none.
    - The stores that have to answer are those that the contract names for the command. An answer of another store is
      shown behind theirs, and changes nothing: the contract may have changed meanwhile. A command that the contract
      does not know has to be answered by one store, whichever it is.
    - The operation fails with the first failure of a store that has to answer: its time and its error stay, whatever
      other stores answer later.
    - It succeeds when every store that has to answer has succeeded, at the time of the last one, with the result of
      the first one in the contract's order.
    - Until either, it is ACCEPTED.
    - The user is the acceptance's; where that knows none, as of a user yet to be created, the first answer's that does.
    """
    by_store = _one_a_store(_to_the_accepted(acceptance, list(answers)))
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
    _conclude(operation, [by_store.get(store) for store in named])
    return operation


def _to_the_accepted(acceptance: Acceptance, answers: Sequence[StoreAnswer]) -> list[StoreAnswer]:
    """Return the answers that are to the accepted record, as far as can be told."""
    answers = [answer for answer in answers if answer.command == acceptance.command]
    position = acceptance.position
    if position is None:
        applied = sorted((answer for answer in answers if not _may_be_of_another(answer)), key=_precedence)
        position = next((answer.position for answer in applied if answer.position is not None), None)
    return [
        answer for answer in answers if not (_may_be_of_another(answer) and is_of_another(answer.position, position))
    ]


def _may_be_of_another(answer: StoreAnswer) -> bool:
    return answer.dead_lettered or bool(answer.waits_behind)


def is_of_another(answered: RecordPosition | None, accepted: RecordPosition | None) -> bool:
    """Whether an answer is to another record than the accepted one, as far as both are known."""
    return None not in {answered, accepted} and answered != accepted


def answered_position(answer: CommandReceipt | Event) -> RecordPosition | None:
    """Return where the record is that a receipt, or its event, answers; None where it does not say."""
    if not answer.HasField("command_partition") or not answer.HasField("command_offset"):
        return None
    return RecordPosition(answer.command_partition, answer.command_offset)


def _one_a_store(answers: Iterable[StoreAnswer]) -> dict[int, StoreAnswer]:
    chosen: dict[int, StoreAnswer] = {}
    for answer in sorted(answers, key=_precedence):
        if answer.store:
            chosen.setdefault(answer.store, answer)
    return chosen


def _precedence(answer: StoreAnswer) -> tuple[bool, bool, int, bool]:
    # A repetition has the time of what it repeats.
    time_ns = _completed_ns(answer)
    waits = bool(answer.waits_behind)
    return waits, answer.dead_lettered, -time_ns if waits else time_ns, answer.duplicate


def _receipt(answer: StoreAnswer) -> Operation.Receipt:
    return Operation.Receipt(
        store=answer.store,  # type: ignore[arg-type] # a store of a later version is a number
        state=answer.state,
        complete_time=answer.complete_time,
        duplicate=answer.duplicate,
        error=answer.error,
        waits_behind=answer.waits_behind,
    )


def _conclude(operation: Operation, expected: Sequence[StoreAnswer | None]) -> None:
    failures = [answer for answer in expected if answer is not None and answer.state == Operation.FAILED]
    if failures:
        first = min(failures, key=_completed_ns)
        operation.state = Operation.FAILED
        operation.complete_time.CopyFrom(first.complete_time)
        if first.error is not None:
            operation.error.CopyFrom(first.error)
        return
    successes = [answer for answer in expected if answer is not None and not answer.waits_behind]
    if successes and len(successes) == len(expected):
        operation.state = Operation.SUCCEEDED
        operation.complete_time.CopyFrom(max(successes, key=_completed_ns).complete_time)
        if successes[0].result is not None:
            operation.result.CopyFrom(successes[0].result)


def _completed_ns(answer: StoreAnswer) -> int:
    return answer.complete_time.ToNanoseconds()
