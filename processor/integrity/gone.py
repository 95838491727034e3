"""Effects that are gone though their marks are there: rows, documents and hashes that somebody has taken away.

The marks are walked twice, and the store is looked at each time: what a later command has ended, and what has expired,
is gone rightly.
"""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, Protocol

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import User

from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.told_effects import ToldEffect, effect_of

PAGE_MARKS: Final = 1000
_GONE_MAX: Final = 20_000  # they are held in memory; the rest is found once these are repaired
_EXPIRY_MARGIN_MS: Final = 10_000  # clocks differ
_LOOKS: Final = 2

Place = tuple[str, str]  # a place, and a key there


class MarkedStore(Protocol):
    """A store's marks, and whether what they tell of is there. Its methods raise PolystreamError."""

    name: str

    def mark_page(self, after: Any, marks_max: int) -> tuple[Sequence[CommandReceipt], Any]:
        """Return some marks, and where the next page begins: None where these were the last."""
        ...

    def absent(self, effects: Sequence[ToldEffect]) -> set[Place]:
        """Return of effects, which have one place, the keys that are not there."""
        ...


def marks_of(store: MarkedStore) -> Iterator[list[CommandReceipt]]:
    """Yield all marks, a page at a time."""
    after: Any = None
    while True:
        page, after = store.mark_page(after, PAGE_MARKS)
        yield list(page)
        if after is None:
            return


def find_gone(
    store: MarkedStore,
    existing: Callable[[Collection[int]], Collection[int]],
    lanes_catch_up: Callable[[], None],
) -> list[Finding]:
    """Return the effects of marks that are not there. `existing` says which users there are.

    Raises PolystreamError, and what `lanes_catch_up` raises.
    """
    suspects: set[Place] = set()
    for page in marks_of(store):
        suspects |= _absent(store, [effect for effect in map(effect_of, page) if effect and not effect.is_end])
        if len(suspects) >= _GONE_MAX:
            break
    told: dict[Place, list[ToldEffect]] = {}
    for _ in range(_LOOKS):
        if not suspects:
            return []
        lanes_catch_up()
        told = _still_due(store, suspects)
        suspects = _absent(store, [effects[-1] for effects in told.values()])
    found = {place: told[place] for place in suspects}
    others = [effects[-1].user_id for (at, _), effects in found.items() if at != "usuarios"]
    there = set(existing([user_id for user_id in others if user_id is not None]))
    gone_users = {effects[-1].user_id for (at, _), effects in found.items() if at == "usuarios"}
    return [
        Finding(
            DriftKind.ROW_GONE,
            store.name,
            place,
            key,
            _repair_of(effects[-1]),
            receipts=tuple(effect.receipt for effect in effects),
        )
        for (place, key), effects in sorted(found.items())
        # A user who is gone is PostgreSQL's loss, and what is the user's elsewhere waits for it.
        if place == "usuarios"
        or effects[-1].user_id is None
        or effects[-1].user_id in there
        or (store.name == "POSTGRESQL" and effects[-1].user_id in gone_users)
    ]


def tell_of(store: MarkedStore, places: Collection[Place]) -> dict[Place, list[ToldEffect]]:
    """Return what the marks tell of some places, in order, an end included."""
    wanted, told = set(places), dict[Place, list[ToldEffect]]()
    for page in marks_of(store):
        for effect in map(effect_of, page):
            if effect is not None and (effect.place, effect.key) in wanted:
                told.setdefault((effect.place, effect.key), []).append(effect)
    for effects in told.values():
        effects.sort(key=lambda effect: effect.receipt.complete_time.ToNanoseconds())
    return told


def _still_due(store: MarkedStore, suspects: Collection[Place]) -> dict[Place, list[ToldEffect]]:
    """Return what has to be there of the suspects: what nothing has ended, and what has not expired."""
    told = tell_of(store, suspects)
    users = {effect.user_id for effects in told.values() for effect in effects if effect.user_id is not None}
    erasures: dict[int, ToldEffect] = {}
    for page in marks_of(store):
        for effect in map(effect_of, page):
            if effect is not None and effect.receipt.command == "DeleteUser" and effect.user_id in users:
                known = erasures.get(effect.user_id or 0)
                erasures[effect.user_id or 0] = effect if known is None or effect.is_after(known) else known
    limit_ms = time.time_ns() // 1_000_000 + _EXPIRY_MARGIN_MS
    due: dict[Place, list[ToldEffect]] = {}
    for place, effects in told.items():
        last = next((one for one in reversed(effects) if not one.is_end), None)
        ends = [one for one in effects if one.is_end]
        erasure = erasures.get(last.user_id or 0) if last is not None else None
        if last is None or any(end.is_after(last) for end in ends) or (erasure and erasure.is_after(last)):
            continue
        if last.expire_ms is None or last.expire_ms > limit_ms:
            due[place] = [one for one in effects if not one.is_end]
    return due


def _absent(store: MarkedStore, effects: Sequence[ToldEffect]) -> set[Place]:
    by_place: dict[str, list[ToldEffect]] = {}
    for effect in effects:
        by_place.setdefault(effect.place, []).append(effect)
    found: set[Place] = set()
    for group in by_place.values():
        for start in range(0, len(group), PAGE_MARKS):
            found |= store.absent(group[start : start + PAGE_MARKS])
    return found


def _repair_of(effect: ToldEffect) -> str:
    if isinstance(effect.result, User):
        return "put back from what Kafka has of the user's commands"
    return "put back from the mark of the command that made it"
