"""What MongoDB and Redis have of users who are not in PostgreSQL.

It is there after PostgreSQL was restored to an earlier moment than the others, another store was restored to a moment
before a DeleteUser, or somebody deleted rows by hand.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from mesh.backoff import Backoff
from processor.integrity.inspectors import PostgresInspector, UserDataInspector

_BATCH_USERS: Final = 1000
_LANES_WAIT_MAX_S: Final = 30.0
_PAUSE_FIRST_S: Final = 0.05  # between two looks at the lanes' positions
_PAUSE_MAX_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Orphans:
    """Users of whom a store has something, and PostgreSQL nothing."""

    store: str
    user_ids: Sequence[int]  # in their order


class LanesBehindError(Exception):
    """The lanes are busy with commands that may explain a difference."""


def find_orphans(
    users: PostgresInspector, inspectors: Sequence[UserDataInspector], lanes_catch_up: Callable[[], None]
) -> list[Orphans]:
    """Compare the stores' users, and once more what looked wrong: a DeleteUser may have been on its way.

    It may be parked in a store, too: it erases what there is once it is redriven, and nothing is wrong meanwhile.
    `lanes_catch_up` waits until every lane has passed what is on `user_events` now. Raises what it raises, and
    PolystreamError.
    """
    lanes_catch_up()
    parked = {inspector.name: inspector.parked_users() for inspector in inspectors}
    suspects = {inspector.name: set(_unknown(users, inspector.users())) for inspector in inspectors}
    if not any(suspects.values()):
        return []
    lanes_catch_up()
    found = []
    for inspector in inspectors:
        still = suspects[inspector.name].intersection(_unknown(users, inspector.users()))
        still -= parked[inspector.name] | inspector.parked_users()  # at either look
        if still:
            found.append(Orphans(inspector.name, sorted(still)))
    return found


def erase_orphans(users: PostgresInspector, inspectors: Sequence[UserDataInspector], orphans: Sequence[Orphans]) -> int:
    """Erase what is left of them, but for those who are users by now. Return how many were erased, one a store."""
    by_name = {inspector.name: inspector for inspector in inspectors}
    erased = 0
    for found in orphans:
        for batch in _batches(iter(found.user_ids)):
            gone = sorted(set(batch) - users.existing(batch))
            by_name[found.store].erase(gone)
            erased += len(gone)
    return erased


def wait_for_lanes(ends: Mapping[int, int], read_positions: Callable[[], Mapping[str, Mapping[int, int]]]) -> None:
    """Return once every lane has passed these offsets. Raises LanesBehindError after half a minute."""
    give_up_s = time.monotonic() + _LANES_WAIT_MAX_S
    pauses = Backoff(_PAUSE_FIRST_S, _PAUSE_MAX_S)
    while True:
        behind = sorted(
            store
            for store, positions in read_positions().items()
            if any(positions.get(partition, 0) < end for partition, end in ends.items())
        )
        if not behind:
            return
        if time.monotonic() > give_up_s:
            raise LanesBehindError(
                f"{', '.join(behind)}: the lane has commands to apply that may explain a difference; see `polystream "
                "status`, and try again once it has caught up"
            )
        time.sleep(pauses.next_s())


def _unknown(users: PostgresInspector, user_ids: Iterator[int]) -> Iterator[int]:
    for batch in _batches(user_ids):
        yield from set(batch) - users.existing(batch)


def _batches(user_ids: Iterator[int]) -> Iterator[list[int]]:
    while batch := list(islice(user_ids, _BATCH_USERS)):
        yield batch
