"""Which request an operation's receipts are of. Pure."""

from collections.abc import Iterable

from polystream.v1.events_pb2 import CommandReceipt

from mesh.store_errors import is_unsettled


def first_fingerprint(receipts: Iterable[CommandReceipt]) -> bytes | None:
    """Return the fingerprint of the request that was accepted first; None where no receipt has one.

    What a store has applied or refused is the command; what was given up, or waits, may be a foreign record with its
    ID. Receipts of earlier versions, and those of commands without a `request_id`, have no fingerprint.
    """
    told = [receipt for receipt in receipts if receipt.request_fingerprint]
    if not told:
        return None
    return min(told, key=lambda one: (is_unsettled(one), one.accept_time.ToNanoseconds())).request_fingerprint
