"""The store's step of a lane, with what cannot be applied set apart."""

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog
from polystream.v1.events_pb2 import CommandReceipt

from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError, Reason
from mesh.telemetry.logs import describe
from processor.lanes.decoding import Item
from processor.lanes.retry import LaneRetry, Stopped
from processor.model import Store
from processor.receipts import make_dead_letter_receipt

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of an item: its receipt, with a cause where its record is dead-lettered; or neither, not yet."""

    item: Item
    receipt: CommandReceipt | None
    cause: PolystreamError | None = None


class Applying:
    """Has the store apply batches, whatever is in them."""

    def __init__(self, store: Store, retry: LaneRetry) -> None:
        self._store = store
        self._retry = retry

    def apply(self, items: Sequence[Item], overdue: AbstractSet[str]) -> list[Applied]:
        """Return what became of each item, in order; items whose partition was taken away meanwhile are left out.

        Waits for a store that does not answer. A batch that it can't apply is applied one by one, and the command
        at fault is answered as dead-lettered. Raises Stopped.
        """
        if not items:
            return []

        def step(rest: Sequence[Item]) -> list[Applied]:
            receipts = self._store.apply([item.delivery for item in rest], overdue) if rest else []
            return [Applied(item, receipt) for item, receipt in zip(rest, receipts, strict=True)]

        try:
            return self._retry.until_done(items, step, of=self._store.name.lower())
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - one bad command must not hold up the others of its batch
            if len(items) == 1:
                return [self._given_up(items[0], error)]
            _LOG.warning("batch failed: applying its commands one by one", error=describe(error), commands=len(items))
        return self._apply_singly(items, overdue)

    def _apply_singly(self, items: Sequence[Item], overdue: AbstractSet[str]) -> list[Applied]:
        applied: list[Applied] = []
        deferred_keys: set[bytes] = set()
        for item in items:
            key = item.delivery.key
            single = [Applied(item, None)] if key in deferred_keys else self.apply([item], overdue)
            deferred_keys.update(key for one in single if one.receipt is None)
            applied += single
        return applied

    def _given_up(self, item: Item, error: Exception) -> Applied:
        cause = _cause(error)
        delivery = item.delivery
        _LOG.error(
            "command given up",
            correlation_id=delivery.correlation_id,
            command=delivery.command.name,
            reason=cause.reason.name,
            error=describe(error),
            where=_where(error),
        )
        receipt = make_dead_letter_receipt(
            correlation_id=delivery.correlation_id,
            command=delivery.command.name,
            store=self._store.name,
            position=delivery.first_position,
            cause=cause,
            user_id=getattr(delivery.request, "user_id", None) if delivery.command.about_user else None,
            accept_time_ms=delivery.accept_time_ms,
            receive_time_ns=delivery.receive_time_ns,
            complete_time_ns=time.time_ns(),
        )
        return Applied(item, receipt, cause)


def _cause(error: Exception) -> PolystreamError:
    """Return what clients may know of it: its type, and none of the values that its message may hold."""
    if isinstance(error, PolystreamError) and error.reason.value.error_class is ErrorClass.SET_APART:
        return error
    return PolystreamError(Reason.HANDLER_FAILED, metadata={"exception": describe(error)})


def _where(error: Exception) -> str:
    """Return the line of the platform's own code that led to the error: a traceback's text could hold values."""
    where, traceback = "", error.__traceback__
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__"))
        if module.startswith("processor."):
            where = f"{module}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return where
