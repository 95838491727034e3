"""How a batch is applied in a store that has no transaction over all of it: in waves, each with its own receipts.

A wave's receipts are written before the next wave begins. A crash therefore leaves at the most one wave with effects
and without receipts, and no later command of the same key has been applied by then: the repetition of the wave meets
what its first application met, and beside it that application's own effects, which the handlers recognise.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from polystream.v1.events_pb2 import CommandReceipt

from mesh.errors import Reason
from processor.handlers import AnyHandler
from processor.model import Delivery, Outcome, refuse
from processor.receipts import repeat
from processor.users import BatchUsers, UserDirectory, Verdict, checks_user, erases_user


@dataclass(frozen=True, slots=True)
class Decided:
    """A delivery to apply, or to refuse where `refusal` says why."""

    delivery: Delivery
    refusal: Outcome | None = None


class Steps(Protocol):
    """What a store does for a batch."""

    def read_receipts(self, correlation_ids: Sequence[str]) -> Mapping[str, CommandReceipt]:
        """Return the receipts of those commands that were applied before, by correlation ID."""
        ...

    def apply_wave(self, wave: Sequence[Decided], users: BatchUsers) -> Mapping[str, CommandReceipt]:
        """Apply or refuse each command, keep its receipt, and return the receipts by correlation ID."""
        ...


def apply_in_waves(
    batch: Sequence[Delivery],
    overdue: AbstractSet[str],
    handlers: Mapping[str, AnyHandler],
    directory: UserDirectory,
    steps: Steps,
) -> list[CommandReceipt | None]:
    """Apply a batch as `processor.model.Store.apply` promises, but for the errors of the store's client."""
    first_deliveries: dict[str, Delivery] = {}
    for delivery in batch:
        first_deliveries.setdefault(delivery.correlation_id, delivery)
    receipts = {id_: repeat(receipt) for id_, receipt in steps.read_receipts(list(first_deliveries)).items()}
    fresh = [delivery for id_, delivery in first_deliveries.items() if id_ not in receipts]
    checked = frozenset(name for name, handler in handlers.items() if checks_user(handler))
    users = directory.open(delivery for delivery in fresh if delivery.command.name in checked)
    held: set[bytes] = set()  # keys with a command that waits: later ones wait behind it
    for wave in split_runs(fresh):
        decided = list(_decide(wave, overdue, checked, users, held))
        if decided:
            receipts.update(steps.apply_wave(decided, users))
    return _answers(batch, receipts)


def split_runs(batch: Sequence[Delivery]) -> list[list[Delivery]]:
    """Split a batch in waves that keep the order within a key, with runs of one command left together.

    In a wave, all deliveries of a key are of the same command: a person's hundred views are one insertion.
    """
    waves: list[list[Delivery]] = []
    last: dict[bytes, tuple[int, str]] = {}  # by key: the wave and the command of its latest delivery
    for delivery in batch:
        position, command = last.get(delivery.key, (-1, ""))
        if command != delivery.command.name:
            position += 1
        last[delivery.key] = (position, delivery.command.name)
        if position == len(waves):
            waves.append([])
        waves[position].append(delivery)
    return waves


def refusals_of(wave: Sequence[Decided]) -> dict[str, Outcome]:
    """Return the outcomes of what a wave refuses, by correlation ID."""
    return {d.delivery.correlation_id: d.refusal for d in wave if d.refusal is not None}


def run_handlers(
    wave: Sequence[Decided], users: BatchUsers, handlers: Mapping[str, AnyHandler], client: Any
) -> dict[str, Any]:
    """Run the handlers of what a wave applies, and return what each said of its commands, by correlation ID.

    A command that erases its user leaves the tombstone first: what a crash interrupts must not be written again.
    """
    said: dict[str, Any] = {}
    for group in _by_command(wave):
        handler = handlers[group[0].command.name]
        if erases_user(handler):
            users.erase(group)
        said |= {d.correlation_id: one for d, one in zip(group, handler(group, client), strict=True)}
    return said


def _by_command(wave: Sequence[Decided]) -> Iterator[list[Delivery]]:
    """Yield the deliveries of a wave that are to be applied, one group a command, each in the batch's order."""
    groups: dict[str, list[Delivery]] = {}
    for decided in wave:
        if decided.refusal is None:
            groups.setdefault(decided.delivery.command.name, []).append(decided.delivery)
    yield from groups.values()


def _decide(
    wave: Sequence[Delivery],
    overdue: AbstractSet[str],
    checked: AbstractSet[str],
    users: BatchUsers,
    held: set[bytes],
) -> Iterator[Decided]:
    """Yield what can be decided of a wave, and hold the keys of the rest."""
    to_judge = [d for d in wave if d.command.name in checked and d.key not in held]
    verdicts = dict(zip([d.correlation_id for d in to_judge], users.judge(to_judge), strict=True))
    for delivery in wave:
        is_checked = delivery.command.name in checked
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


def _answers(batch: Sequence[Delivery], receipts: Mapping[str, CommandReceipt]) -> list[CommandReceipt | None]:
    """Return one answer a delivery: a command's first one as it was made, any other as its repetition."""
    answered: set[str] = set()
    answers: list[CommandReceipt | None] = []
    for delivery in batch:
        receipt = receipts.get(delivery.correlation_id)
        answers.append(repeat(receipt) if receipt is not None and delivery.correlation_id in answered else receipt)
        answered.add(delivery.correlation_id)
    return answers
