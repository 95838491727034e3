"""A gateway's view of an operation: its acceptance here and the receipts, for the one fold. Pure."""

from collections.abc import Iterable, Mapping

from google.protobuf.any_pb2 import Any
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from mesh.catalog import Command
from mesh.dead_letters.dead_letter import RecordPosition
from mesh.envelope import MAX_NAME_CHARACTERS
from mesh.operation import TYPE_URL_PREFIX, Acceptance, StoreAnswer, answered_position, fold_answers
from mesh.store_errors import has_failed, is_unsettled, is_waiting, receipt_status


def assemble(
    commands: Mapping[str, Command],
    accepted: Operation | None,
    receipts: Iterable[CommandReceipt],
    position: RecordPosition | None = None,
) -> Operation | None:
    """Return the operation as its acceptance and its receipts tell it; None when there is neither.

    `position` is the accepted record's, where Kafka has told it.

    The rules are `mesh.operation.fold_answers`'s, so that memory, Redis and every gateway tell the same operation.
    """
    known = list(receipts)
    if accepted is not None:
        acceptance = Acceptance(
            accepted.correlation_id,
            accepted.command,
            accepted.accept_time,
            accepted.user_id if accepted.HasField("user_id") else None,
            position,
        )
    elif known:
        # All have the time of acceptance from the command's record, or else the time at which their lane had read it.
        # What a store has applied or refused is the command; what was given up, or waits, may be a foreign record with
        # its ID.
        first = min(known, key=lambda one: (is_unsettled(one), one.accept_time.ToNanoseconds()))
        acceptance = Acceptance(first.correlation_id, first.command[:MAX_NAME_CHARACTERS], first.accept_time)
    else:
        return None
    return fold_answers(acceptance, [_answer(receipt, commands) for receipt in known], commands)


def _answer(receipt: CommandReceipt, commands: Mapping[str, Command]) -> StoreAnswer:
    failed, waits = has_failed(receipt), is_waiting(receipt)
    # No door can tell in JSON of a type that the contract does not know, as a foreign receipt may name.
    prefix, name = receipt.result.type_url[: len(TYPE_URL_PREFIX)], receipt.result.type_url[len(TYPE_URL_PREFIX) :]
    has_result = prefix == TYPE_URL_PREFIX and any(command.result_type == name for command in commands.values())
    return StoreAnswer(
        command=receipt.command[:MAX_NAME_CHARACTERS],
        store=receipt.store,
        state=Operation.ACCEPTED if waits else Operation.FAILED if failed else Operation.SUCCEEDED,
        complete_time=receipt.complete_time,
        duplicate=receipt.duplicate,
        dead_lettered=receipt.dead_lettered,
        error=receipt_status(receipt) if failed else None,
        result=Any(type_url=receipt.result.type_url, value=receipt.result.value) if has_result else None,
        user_id=receipt.user_id if receipt.HasField("user_id") else None,
        position=answered_position(receipt),
        waits_behind=receipt.waits_behind if waits else "",
    )
