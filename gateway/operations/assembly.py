"""An operation, made of what is known of it: its acceptance and the stores' receipts.

Pure, so that memory, Redis and every gateway tell the same operation from the same receipts, in whatever order
they came.
"""

from collections.abc import Iterable, Mapping

from google.rpc import status_pb2
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from mesh.catalog import Command
from mesh.errors import FieldFault, Reason, build_status

_DONE = (Operation.SUCCEEDED, Operation.FAILED)


def is_done(operation: Operation) -> bool:
    """Whether the operation's state is final."""
    return operation.state in _DONE


def assemble(
    commands: Mapping[str, Command], accepted: Operation | None, receipts: Iterable[CommandReceipt]
) -> Operation | None:
    """Return the operation as its acceptance and its receipts tell it; None when there is neither.

    A store's first receipt counts, except that a dead letter gives way to the answer that a redrive brought. The
    operation fails with its first failure, and succeeds when every store that the command names has succeeded.
    """
    by_store = _one_a_store(receipts)
    operation = Operation()
    if accepted is not None:
        operation.CopyFrom(accepted)
    elif by_store:
        _begin(operation, next(iter(by_store.values())))
    else:
        return None
    expected = _expected_stores(commands, operation.command, by_store)
    answered = [by_store[store] for store in expected if store in by_store]
    for receipt in answered:
        operation.receipts.append(_receipt(receipt))
        if receipt.HasField("user_id") and not operation.HasField("user_id"):
            operation.user_id = receipt.user_id
    _conclude(operation, answered, complete=len(answered) == len(expected))
    return operation


def _one_a_store(receipts: Iterable[CommandReceipt]) -> dict[int, CommandReceipt]:
    chosen: dict[int, CommandReceipt] = {}
    for receipt in receipts:
        known = chosen.get(receipt.store)
        if known is None or (known.dead_lettered and not receipt.dead_lettered):
            chosen[receipt.store] = receipt
    return chosen


def _begin(operation: Operation, receipt: CommandReceipt) -> None:
    operation.name = f"operations/{receipt.correlation_id}"
    operation.correlation_id = receipt.correlation_id
    operation.command = receipt.command
    operation.state = Operation.ACCEPTED
    operation.accept_time.CopyFrom(receipt.accept_time)


def _expected_stores(commands: Mapping[str, Command], name: str, by_store: Mapping[int, CommandReceipt]) -> list[int]:
    """Return the stores that have to answer, in the contract's order.

    A store outside the contract answers only where a foreign record was dead-lettered, or after the contract
    changed: it is shown too.
    """
    command = commands.get(name)
    named = [Store.Value(store) for store in command.stores] if command is not None else []
    return [*named, *sorted(store for store in by_store if store not in named)]


def _conclude(operation: Operation, answered: list[CommandReceipt], *, complete: bool) -> None:
    failures = [receipt for receipt in answered if receipt.state == Operation.FAILED]
    if failures:
        first = min(failures, key=_complete_ns)
        operation.state = Operation.FAILED
        operation.complete_time.CopyFrom(first.complete_time)
        operation.error.CopyFrom(_status(first))
    elif complete and answered:
        operation.state = Operation.SUCCEEDED
        operation.complete_time.CopyFrom(max(answered, key=_complete_ns).complete_time)
        result = answered[0].result
        if result.type_url:
            operation.result.type_url = result.type_url
            operation.result.value = result.value


def _receipt(receipt: CommandReceipt) -> Operation.Receipt:
    shown = Operation.Receipt(store=receipt.store, state=receipt.state, duplicate=receipt.duplicate)
    shown.complete_time.CopyFrom(receipt.complete_time)
    if receipt.state == Operation.FAILED:
        shown.error.CopyFrom(_status(receipt))
    return shown


def _status(receipt: CommandReceipt) -> status_pb2.Status:
    error = receipt.error
    known = Reason.__members__.get(error.reason)
    return build_status(
        error.code,
        error.reason,
        error.message,
        faults=[FieldFault(error.field, error.message)] if error.field else (),
        metadata={"store": Store.Name(receipt.store), **error.metadata},
        retry_delay_s=known.value.retry_delay_s if known is not None else None,
    )


def _complete_ns(receipt: CommandReceipt) -> int:
    return receipt.complete_time.ToNanoseconds()
