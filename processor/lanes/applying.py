"""The store's step of a lane, with what cannot be applied set apart, and its key parked."""

import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog
from polystream.v1.events_pb2 import CommandReceipt

from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError, Reason
from mesh.telemetry.logs import describe
from processor.lanes.decoding import Item, Taken
from processor.lanes.metrics import LaneMetrics
from processor.lanes.retry import LaneRetry, Stopped
from processor.model import Answer, GivenUp, Store, Unanswered
from processor.receipts import make_dead_letter_receipt

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of what was taken: its receipt, with a cause where its record is dead-lettered; or neither."""

    taken: Taken
    receipt: CommandReceipt | None
    cause: PolystreamError | None = None
    is_deferred: bool = False  # it is to be tried again

    @property
    def is_passed(self) -> bool:
        """Whether it is a command that the store had answered before, nobody knows how."""
        return self.receipt is None and not self.is_deferred and isinstance(self.taken, Item)

    @classmethod
    def answered(cls, taken: Taken, answer: Answer) -> "Applied":
        """Return what an answer of the store's comes to."""
        if isinstance(answer, Unanswered):
            return cls(taken, None, is_deferred=answer is Unanswered.DEFERRED)
        return cls(taken, answer, _cause_in(answer) if answer.dead_lettered else None)


class Applying:
    """Has the store apply batches, whatever is in them."""

    def __init__(self, store: Store, retry: LaneRetry, metrics: LaneMetrics) -> None:
        self._store = store
        self._metrics = metrics
        self._store_name = store.name.lower()
        self._retry = retry

    def apply(self, items: Sequence[Item], overdue: AbstractSet[str]) -> list[Applied]:
        """Return what became of each item, in order; items whose partition was taken away meanwhile are left out.

        Waits for a store that does not answer. A batch that it can't apply is applied one by one, and the command
        at fault is given up. Raises Stopped.
        """
        if not items:
            return []

        def step(rest: Sequence[Item]) -> list[Applied]:
            if not rest:
                return []
            with self._metrics.applying(len(rest)):
                answers = self._store.apply([item.delivery for item in rest], overdue)
            return [Applied.answered(item, answer) for item, answer in zip(rest, answers, strict=True)]

        try:
            return self._retry.until_done(items, step, of=self._store_name)
        except Stopped:
            raise
        except Exception as error:  # noqa: BLE001 - one bad command must not hold up the others of its batch
            _LOG.warning("batch failed: applying its commands one by one", error=describe(error), commands=len(items))
        return self._apply_singly(items, overdue)

    def _apply_singly(self, items: Sequence[Item], overdue: AbstractSet[str]) -> list[Applied]:
        applied: list[Applied] = []
        deferred_keys: set[bytes] = set()
        for item in items:
            if item.key in deferred_keys:
                applied.append(Applied(item, None, is_deferred=True))
                continue
            singly = self._apply_or_give_up(item, overdue)
            deferred_keys.update(one.taken.key for one in singly if one.is_deferred)
            applied += singly
        return applied

    def _apply_or_give_up(self, item: Item, overdue: AbstractSet[str]) -> list[Applied]:
        """Apply a command, or give it up. Where no more may be given up, it is tried until either can be done."""

        def step(rest: Sequence[Item]) -> list[Applied]:
            return [self._try(one, overdue) for one in rest]

        return self._retry.until_done([item], step, of=self._store_name)

    def _try(self, item: Item, overdue: AbstractSet[str]) -> Applied:
        try:
            with self._metrics.applying(1):
                (answer,) = self._store.apply([item.delivery], overdue)
        except PolystreamError as error:
            if error.reason.value.error_class is ErrorClass.WAIT:
                raise
            return self._give_up(item, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this command's
            return self._give_up(item, error)
        return Applied.answered(item, answer)

    def _give_up(self, item: Item, error: Exception) -> Applied:
        cause = _cause_of(error)
        delivery = item.delivery
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
            request_fingerprint=delivery.request_fingerprint,
        )
        (answer,) = self._store.park([GivenUp(item.record, delivery.key, receipt, delivery.parked_as)])
        _LOG.error(
            "command given up",
            correlation_id=delivery.correlation_id,
            command=delivery.command.name,
            reason=cause.reason.name,
            error=describe(error),
            where=_where(error),
        )
        return Applied.answered(item, answer)


def _cause_of(error: Exception) -> PolystreamError:
    """Return what clients may know of it: its type, and none of the values that its message may hold."""
    if isinstance(error, PolystreamError) and error.reason.value.error_class is ErrorClass.SET_APART:
        return error
    return PolystreamError(Reason.HANDLER_FAILED, metadata={"exception": describe(error)})


def _cause_in(receipt: CommandReceipt) -> PolystreamError:
    """Return why a command was given up, as its receipt says."""
    error = receipt.error
    reason = Reason.__members__.get(error.reason, Reason.HANDLER_FAILED)
    return PolystreamError(reason, error.message, metadata=dict(error.metadata))


def _where(error: Exception) -> str:
    """Return the line of the platform's own code that led to the error: a traceback's text could hold values."""
    where, traceback = "", error.__traceback__
    while traceback is not None:
        module = str(traceback.tb_frame.f_globals.get("__name__"))
        if module.startswith("processor."):
            where = f"{module}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return where
