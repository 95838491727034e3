"""Why a store's part failed, in the forms in which that travels: in a receipt, and in the text of an event.

What is written and what is read stand together here, so that every door gives the same `google.rpc.Status` for the
same failure.
"""

from typing import Final

from google.rpc import code_pb2, status_pb2
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation

from mesh.envelope import MAX_NAME_CHARACTERS
from mesh.errors import FieldFault, PolystreamError, Reason, build_status
from mesh.ids import CORRELATION_ID
from mesh.personal_data import redact

# Anybody may write a receipt. A list has a hundred operations in one message, each with an error for each store, and
# gRPC takes messages of 4 MiB: the platform's own errors are much shorter.
_MAX_TEXT_CHARACTERS: Final = 1000
_MAX_STATUS_BYTES: Final = 8192
_MAX_RETRY_DELAY_S: Final = 86_400


def fail(receipt: CommandReceipt, cause: PolystreamError) -> None:
    """Say in a receipt why the store's part failed."""
    receipt.state = Operation.FAILED
    error = receipt.error
    error.code = cause.reason.value.code
    error.reason = cause.reason.name
    error.message = cause.message
    error.field = cause.faults[0].field if cause.faults else ""
    error.metadata.update(cause.metadata)
    for fault in cause.faults:
        error.faults.add(field=fault.field, description=fault.description, rule=fault.rule)
    if cause.retry_delay_s is not None:
        error.retry_delay.FromMicroseconds(round(cause.retry_delay_s * 1e6))


def has_failed(receipt: CommandReceipt) -> bool:
    """Whether a receipt tells of a failure: one that claims no end, as no lane writes it, tells of no success."""
    return receipt.state != Operation.SUCCEEDED and not is_waiting(receipt)


def is_waiting(receipt: CommandReceipt) -> bool:
    """Whether a receipt tells of no end yet: the command waits in the store behind another one."""
    return receipt.state == Operation.ACCEPTED and CORRELATION_ID.fullmatch(receipt.waits_behind) is not None


def is_unsettled(receipt: CommandReceipt) -> bool:
    """Whether the store has neither applied nor refused the command: it was given up, or waits."""
    return receipt.dead_lettered or is_waiting(receipt)


def receipt_status(receipt: CommandReceipt) -> status_pb2.Status:
    """Return the error of a failed receipt as clients get it, with the store among its metadata.

    A receipt of an earlier version names one field, with the error's message for its description, and no delay: that
    of the reason's row holds. One that does not say why it failed reads as INTERNAL. Of one that is far larger than
    the platform's own the details are left out, a code or a delay that means nothing is not passed on, and e-mail
    addresses and CPFs are masked.
    """
    error = receipt.error
    if not error.reason:
        return _status(Reason.INTERNAL.name, "", _store_name(receipt.store))
    code = error.code if error.code in code_pb2.Code.values() and error.code != code_pb2.OK else code_pb2.UNKNOWN
    reason, message = redact(error.reason[:MAX_NAME_CHARACTERS]), redact(error.message[:_MAX_TEXT_CHARACTERS])
    store, delay_s = {"store": _store_name(receipt.store)}, _told_delay_s(error)
    if error.ByteSize() > _MAX_STATUS_BYTES:
        return build_status(code, reason, message, metadata=store, retry_delay_s=delay_s)
    faults = [FieldFault(*map(redact, (fault.field, fault.description, fault.rule))) for fault in error.faults]
    if not faults and error.field:
        faults = [FieldFault(redact(error.field), message)]
    metadata = store | {redact(name): redact(value) for name, value in error.metadata.items()}
    status = build_status(code, reason, message, faults=faults, metadata=metadata, retry_delay_s=delay_s)
    if status.ByteSize() <= _MAX_STATUS_BYTES:
        return status
    return build_status(code, reason, message, metadata=store, retry_delay_s=delay_s)


def error_text(receipt: CommandReceipt) -> str:
    """Return the error of a failed receipt as `REASON: message`, as people search for it; empty where it has none."""
    error = receipt.error
    if not error.reason:
        return ""
    return redact(f"{error.reason[:MAX_NAME_CHARACTERS]}: {error.message[:_MAX_TEXT_CHARACTERS]}")[
        :_MAX_TEXT_CHARACTERS
    ]


def text_status(text: str, store: str) -> status_pb2.Status:
    """Return what `error_text` has left of an error: without fields, and with the code and delay of the reason's row.

    A text without a reason reads as INTERNAL.
    """
    reason, _, message = text.partition(": ")
    return _status(reason or Reason.INTERNAL.name, message, store)


def _status(reason: str, message: str, store: str) -> status_pb2.Status:
    row = Reason.__members__.get(reason, Reason.INTERNAL).value
    return build_status(
        row.code, reason, message or row.message, metadata={"store": store}, retry_delay_s=_delay_s(reason)
    )


def _told_delay_s(error: CommandReceipt.Error) -> float | None:
    if error.HasField("retry_delay"):
        told_s = error.retry_delay.ToMicroseconds() / 1e6
        if 0 <= told_s <= _MAX_RETRY_DELAY_S:
            return told_s
    return _delay_s(error.reason)


def _delay_s(reason: str) -> float | None:
    known = Reason.__members__.get(reason)
    return known.value.retry_delay_s if known is not None else None


def _store_name(number: int) -> str:
    return Store.Name(number) if number in Store.values() else str(number)
