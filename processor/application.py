"""How a batch is applied in a store that has no transaction over all of it: split, each part with its own receipts.

The receipts of one of the smaller batches are written before the next one begins. A crash therefore leaves at the most
one with effects and without receipts, and no later command of the same key has been applied by then: its repetition
meets what its first application met, and beside it that application's own effects, which the handlers recognise.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Protocol

from polystream.v1.events_pb2 import CommandReceipt

from mesh.errors import Reason
from processor.batches import answer_batch, group_by_command, split_batch, without_repetitions
from processor.handlers import AnyHandler
from processor.model import Answer, Delivery, GivenUp, Outcome, refuse
from processor.parking import (
    Known,
    Parking,
    ParkingBounds,
    park_in_order,
    parked_id,
    sort_out,
)
from processor.users import BatchUsers, UserDirectory, Verdict


@dataclass(frozen=True, slots=True)
class Decided:
    """A delivery to apply, or to refuse where `refusal` says why."""

    delivery: Delivery
    refusal: Outcome | None = None


class DecidedStore(Protocol):
    """What a store does for a batch whose users have been looked up."""

    name: str
    parking_bounds: ParkingBounds

    def topic_id(self) -> str:
        """Return which incarnation of the topic the offsets belong to. Raises PolystreamError."""
        ...

    def read_known(
        self, topic_id: str, correlation_ids: Sequence[str], keys: Collection[bytes], partitions: Collection[int]
    ) -> Known:
        """Return what there is to know of a batch."""
        ...

    def park_waiting(self, waiting: Sequence[tuple[str, Delivery]]) -> None:
        """Put deliveries behind what is parked under their keys, by the IDs that they have there."""
        ...

    def apply_decided(self, batch: Sequence[Decided], users: BatchUsers) -> Mapping[str, CommandReceipt]:
        """Apply or refuse each command, keep its receipt, and return the receipts by correlation ID."""
        ...


def apply_in_batches(
    batch: Sequence[Delivery], overdue: AbstractSet[str], directory: UserDirectory, store: DecidedStore
) -> list[Answer]:
    """Apply a batch as `processor.model.Store.apply` promises, but for the errors of the store's client."""
    first = without_repetitions(batch)
    topic_id = store.topic_id()
    keys, partitions = {delivery.key for delivery in batch}, {delivery.partition for delivery in batch}
    known = store.read_known(topic_id, list(first), keys, partitions)
    found = sort_out(batch, known, topic_id, store.name, commands_max=store.parking_bounds.commands_max)
    if found.wait:
        store.park_waiting([(parked_id(topic_id, delivery), delivery) for delivery in found.wait])
    fresh = found.go
    users = directory.open(delivery for delivery in fresh if delivery.command.checks_user)
    held: set[bytes] = set()  # keys with a command that waits: later ones wait behind it
    made: dict[str, CommandReceipt] = {}
    for part in split_batch(fresh, keep_runs=True):
        decided = list(_decide(part, overdue, users, held, found.refused))
        if decided:
            made.update(store.apply_decided(decided, users))
    return answer_batch(batch, known.receipts, made | found.answered, found.passed)


def park_given_up(given_up: Sequence[GivenUp], store: DecidedStore, parking: Parking) -> list[Answer]:
    """Park records as `processor.model.Store.park` promises, but for the errors of the store's client."""
    topic_id = store.topic_id()
    keys, partitions = {one.key for one in given_up}, {one.record.partition for one in given_up}
    known = store.read_known(topic_id, [one.receipt.correlation_id for one in given_up], keys, partitions)
    keys_parked, records = parking.count()
    bounds = store.parking_bounds
    return park_in_order(
        given_up,
        replace(known, room=bounds.records_max - records),
        topic_id,
        parking,
        keys_free=bounds.keys_max - keys_parked,
        commands_max=bounds.commands_max,
    )


def refusals_of(batch: Sequence[Decided]) -> dict[str, Outcome]:
    """Return the outcomes of what is refused, by correlation ID."""
    return {decided.delivery.correlation_id: decided.refusal for decided in batch if decided.refusal is not None}


def run_handlers(
    batch: Sequence[Decided], users: BatchUsers, handlers: Mapping[str, AnyHandler], client: Any
) -> dict[str, Any]:
    """Run the handlers of what is not refused, and return what each said of its commands, by correlation ID.

    A command that erases its user leaves the tombstone first: what a crash interrupts must not be written again.
    """
    said: dict[str, Any] = {}
    for group in group_by_command([decided.delivery for decided in batch if decided.refusal is None]):
        command = group[0].command
        if command.erases_user:
            users.erase(group)
        outcomes = handlers[command.name](group, client)
        said |= {delivery.correlation_id: one for delivery, one in zip(group, outcomes, strict=True)}
    return said


def _decide(
    batch: Sequence[Delivery],
    overdue: AbstractSet[str],
    users: BatchUsers,
    held: set[bytes],
    refused: Mapping[str, Outcome],
) -> Iterator[Decided]:
    """Yield what can be decided of a batch, and hold the keys of the rest."""
    to_judge = [d for d in batch if d.command.checks_user and d.key not in held and d.correlation_id not in refused]
    verdicts = dict(zip([d.correlation_id for d in to_judge], users.judge(to_judge), strict=True))
    for delivery in batch:
        if delivery.correlation_id in refused:
            yield Decided(delivery, refused[delivery.correlation_id])
            continue
        is_checked = delivery.command.checks_user
        verdict = verdicts.get(delivery.correlation_id, Verdict.UNTOLD) if is_checked else Verdict.EXISTS
        if delivery.key in held:
            verdict = Verdict.UNTOLD
        if verdict is Verdict.EXISTS:
            yield Decided(delivery)
        elif verdict is Verdict.MISSING:
            yield Decided(delivery, refuse(Reason.USER_NOT_FOUND, "user_id"))
        elif delivery.correlation_id in overdue:
            # A command that needs no user has only waited for its turn.
            yield Decided(delivery, refuse(Reason.USER_UNVERIFIED, "user_id") if is_checked else None)
        else:
            held.add(delivery.key)
