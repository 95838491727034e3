"""What a lane does with all that it has taken: apply it, give it up, or have a parked key go on; in its order."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from itertools import groupby
from typing import Final

from polystream.v1.events_pb2 import CommandReceipt

from mesh.envelope import KafkaRecord, RedriveAction
from mesh.store_errors import is_waiting
from processor.lanes.applying import Applied, Applying
from processor.lanes.decoding import CommandDecoder, Item, Redrive, Reject, Taken
from processor.lanes.retry import LaneRetry
from processor.model import Answer, GivenUp, ParkedRecord, Store, Unanswered
from processor.receipts import repeat

_DRAINED_AT_ONCE: Final = 100  # parked records

Send = Callable[[Sequence[Applied]], None]


class Settling:
    """Settles what was taken, whatever it is."""

    def __init__(self, store: Store, decoder: CommandDecoder, applying: Applying, retry: LaneRetry, send: Send) -> None:
        """`send` sends answers, and returns once Kafka has them."""
        self._send = send
        self._store = store
        self._store_name = store.name.lower()
        self._decoder = decoder
        self._applying = applying
        self._retry = retry

    def settle(self, taken: Sequence[Taken], overdue: AbstractSet[str]) -> list[Applied]:
        """Return what became of each that was taken, but for those whose partition was taken away meanwhile.

        Of a key that goes on there is more: what had waited in the store. Raises Stopped.
        """
        settled: list[Applied] = []
        deferred: set[bytes] = set()
        for run in _runs(taken):
            settled += [Applied(one, None, is_deferred=True) for one in run if one.key in deferred]
            ready = [one for one in run if one.key not in deferred]
            done = self._settle_run(ready, overdue)
            deferred.update(one.taken.key for one in done if one.is_deferred)
            settled += done
        return settled

    def _settle_run(self, run: Sequence[Taken], overdue: AbstractSet[str]) -> list[Applied]:
        items = [one for one in run if isinstance(one, Item)]
        rejects = [one for one in run if isinstance(one, Reject)]
        settled = self._applying.apply(items, overdue) + self._give_up(rejects)
        for one in run:
            if isinstance(one, Redrive):
                settled += self._go_on(one, is_overdue=one.correlation_id in overdue)
        return settled

    def _give_up(self, rejects: Sequence[Reject]) -> list[Applied]:
        """Give rejects up. Only those that a gateway may have sent park their keys."""
        parked = [one for one in rejects if one.parks]
        answered = [Applied(one, one.receipt, one.cause) for one in rejects if not one.parks]

        def step(rest: Sequence[Reject]) -> list[Applied]:
            answers = self._store.park([_given_up(one) for one in rest]) if rest else []
            return [_rejected(one, answer) for one, answer in zip(rest, answers, strict=True)]

        return answered + (self._retry.until_done(parked, step, of=self._store_name) if parked else [])

    def _go_on(self, redrive: Redrive, *, is_overdue: bool) -> list[Applied]:
        """Redrive or discard what was given up, and then all that waits behind it.

        Where one is given up again, those behind it are told that they wait for that one now.
        """
        queue = self._parked(redrive)
        first = queue[0] if queue else None
        settled: list[Applied] = []
        if first is None or (first.receipt is not None and first.correlation_id != redrive.correlation_id):
            return self._repeat(redrive)
        if redrive.action is RedriveAction.DISCARD and first.receipt is not None:
            self._retry.until_done([redrive], partial(self._discard, first), of=self._store_name)
            queue = queue[1:]
            settled = [Applied(redrive, _still_given_up(first.receipt, redrive.record))]
        for begin in range(0, len(queue), _DRAINED_AT_ONCE):
            drained = self._drain(redrive, queue[begin : begin + _DRAINED_AT_ONCE], is_overdue=is_overdue)
            self._let_go(redrive, [one for one in drained if not one.is_deferred])
            if any(one.is_deferred for one in drained):
                return [*settled, Applied(redrive, None, is_deferred=True)]
        return [*settled, Applied(redrive, None)]

    def _let_go(self, redrive: Redrive, drained: Sequence[Applied]) -> None:
        """Answer what was parked, and only then let go of it: after a crash it is found, and answered again."""
        self._send(drained)
        ids = [
            one.taken.delivery.parked_as
            for one in drained
            if isinstance(one.taken, Item) and one.receipt is not None and _is_settled(one.receipt)
        ]

        def step(rest: Sequence[Redrive]) -> None:
            if rest:
                self._store.remove_parked(redrive.key, ids)

        self._retry.until_done([redrive], step, of=self._store_name)

    def _discard(self, parked: ParkedRecord, rest: Sequence[Redrive]) -> None:
        if rest:
            self._store.discard(parked)

    def _parked(self, redrive: Redrive) -> Sequence[ParkedRecord]:
        """Return what is parked under a key; nothing where its partition has been taken away."""
        found = self._retry.until_done(
            [redrive], lambda rest: [self._store.parked(one.key) for one in rest], of=self._store_name
        )
        return found[0] if found else ()

    def _drain(self, redrive: Redrive, queue: Sequence[ParkedRecord], *, is_overdue: bool) -> list[Applied]:
        """Apply parked records in order; what comes behind one that is given up again waits, as the store says."""
        taken = self._retry.until_done(
            [redrive],
            lambda rest: [self._decoder.decode_parked(one) for one in queue] if rest else [],
            of="schema_registry",
        )
        overdue = frozenset(one.delivery.correlation_id for one in taken if isinstance(one, Item) and is_overdue)
        settled: list[Applied] = []
        for is_item, run in groupby(taken, lambda one: isinstance(one, Item)):
            if is_item:
                settled += self._applying.apply([one for one in run if isinstance(one, Item)], overdue)
            else:
                settled += self._give_up([one for one in run if isinstance(one, Reject)])
            if any(one.is_deferred for one in settled):
                break
        return settled

    def _repeat(self, redrive: Redrive) -> list[Applied]:
        """Answer what has been settled before as the store then did; set apart what is no command."""
        taken = self._retry.until_done(
            [redrive],
            lambda rest: [self._decoder.decode_ordered(one) for one in rest],
            of="schema_registry",
        )
        items = [one for one in taken if isinstance(one, Item)]
        set_apart = [Applied(one, one.receipt, one.cause) for one in taken if isinstance(one, Reject)]
        return [*self._applying.apply(items, frozenset()), *set_apart, Applied(redrive, None)]


def _runs(taken: Sequence[Taken]) -> Iterator[Sequence[Taken]]:
    """Yield what may be settled at once: all of it, where nothing changes what is parked; else one kind at a time."""
    if all(isinstance(one, Item) or (isinstance(one, Reject) and not one.parks) for one in taken):
        yield taken
        return
    for kind, run in groupby(taken, type):
        if kind is Redrive:
            yield from ([one] for one in run)
        else:
            yield list(run)


def _is_settled(receipt: CommandReceipt) -> bool:
    """Whether a record need not be parked any more: it was applied or refused, or repeats one that was discarded."""
    return not is_waiting(receipt) and (receipt.duplicate or not receipt.dead_lettered)


def _given_up(reject: Reject) -> GivenUp:
    assert reject.receipt is not None  # noqa: S101 - what has no correlation ID parks nothing
    return GivenUp(reject.record, reject.key, reject.receipt, reject.parked_as)


def _still_given_up(receipt: CommandReceipt, order: KafkaRecord) -> CommandReceipt:
    """Return the answer to the order to discard: as it was, and read when the order was."""
    told = repeat(receipt)
    told.receive_time.FromNanoseconds(order.receive_time_ns)
    return told


def _rejected(reject: Reject, answer: Answer) -> Applied:
    if answer is Unanswered.PASSED and not reject.parked_as:
        # It was given up long ago, and is once more: nothing of its key waits for it any longer.
        return Applied(reject, reject.receipt, reject.cause)
    return Applied.answered(reject, answer)
