"""Looks for what is wrong in each store, and between them: all kinds that are told by place and key.

What a lane has yet to apply explains much: whatever looks wrong is looked at again once the lanes have passed what
is on `user_events` at that moment.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.topic_reader import Extent, TopicReader
from processor.integrity.contents import ContentWalk
from processor.integrity.gone import MarkedStore, Place, find_gone, marks_of, tell_of
from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.lost import AppliedPart
from processor.integrity.mongodb_door import MongoDoor
from processor.integrity.postgresql_door import PostgresDoor
from processor.integrity.redis_door import RedisDoor

_PAGE_ROWS: Final = 1000
_FOUND_MAX: Final = 20_000  # of a kind and a store; the rest is found once these are repaired
_POSITION_WAIT_S: Final = 5.0  # MongoDB's lane notes its position once a second
_POSITION_PAUSE_S: Final = 0.5
BEHIND_MAX_S: Final = 3600.0  # how old a record may be that a lane has passed, and its store says nothing of
_USERS: Final = "usuarios"


class BackDoor(MarkedStore, Protocol):
    """A store's back door."""

    walks: Sequence[ContentWalk]

    def key_of_marks(self, place: str, key: str) -> str:
        """Return the key that marks have of what a walk calls so."""
        ...

    def positions(self, topic_id: str) -> Mapping[int, int]:
        """Return how far the store says that it has come, by partition."""
        ...


class LanePositions(Protocol):
    """How far lanes have come on `user_events`. Its methods raise TopicError."""

    def committed(self) -> Mapping[str, Mapping[int, int]]:
        """Return what each lane has committed, by store and partition."""
        ...

    def ends(self) -> Mapping[int, int]:
        """Return the offsets of the next records to come."""
        ...

    def age_s(self, partition: int, offset: int) -> float:
        """Return how old the record at an offset is; infinite where it is gone."""
        ...


class DriftSearch:
    """The look at everything. `existing` says which users there are, `lanes_catch_up` waits for the lanes."""

    def __init__(
        self,
        doors: Sequence[PostgresDoor | MongoDoor | RedisDoor],
        existing: Callable[[Collection[int]], Collection[int]],
        lanes_catch_up: Callable[[], None],
    ) -> None:
        self._doors = doors
        self._others = [door for door in doors if not isinstance(door, PostgresDoor)]
        self._existing = existing
        self._lanes_catch_up = lanes_catch_up
        self.unknown = 0  # contents without a hash: an earlier version wrote them

    def contents(self) -> list[Finding]:
        """Return what is not as it was written."""
        found: list[Finding] = []
        self.unknown = 0
        for door in self._doors:
            for walk in door.walks:
                changed = list(islice(self._changed_in(walk), _FOUND_MAX))
                places = {key: (walk.place, door.key_of_marks(walk.place, key)) for key in changed}
                told = tell_of(door, list(places.values())) if places else {}
                found += [
                    Finding(
                        DriftKind.CONTENT_CHANGED,
                        door.name,
                        walk.place,
                        key,
                        "given back the content that its hash tells of",
                        receipts=tuple(one.receipt for one in told.get(places[key], ()) if not one.is_end),
                    )
                    for key in changed
                ]
        return found

    def gone(self) -> list[Finding]:
        """Return what is not there though its mark is."""
        return [finding for door in self._doors for finding in find_gone(door, self._existing, self._lanes_catch_up)]

    def erased_left(self, left: Mapping[str, Collection[int]]) -> list[Finding]:
        """Return what is left of erased people; `left` are users who are not in PostgreSQL, by store."""
        postgresql = next(door for door in self._doors if isinstance(door, PostgresDoor))
        others = self._others
        suspects = {user_id for user_ids in left.values() for user_id in user_ids}
        erased = {user_id for door in others for user_id in door.erased(suspects)} if suspects else set()
        found = []
        for page in marks_of(postgresql):
            found += [
                Finding(
                    DriftKind.ERASED_LEFT, postgresql.name, _USERS, str(one.user_id), "erased again", receipts=(one,)
                )
                for one in postgresql.erased_again(page)
            ]
            erased |= {one.user_id for one in page if one.command == "DeleteUser" and one.user_id in suspects}
        return found + [
            Finding(DriftKind.ERASED_LEFT, store, _USERS, str(user_id), "erased again")
            for store, user_ids in left.items()
            for user_id in sorted(erased.intersection(user_ids))
        ]

    def sources(self) -> list[Finding]:
        """Return what differs from what it is made from: users who are remembered, and indexes."""
        others = self._others
        suspects = {door.name: (self._unknown_users(door), set(door.unindexed())) for door in others}
        if any(users or places for users, places in suspects.values()):
            self._lanes_catch_up()
        found = []
        for door in others:
            users, places = suspects[door.name]
            users &= self._unknown_users(door) if users else set()
            places &= set(door.unindexed()) if places else set()
            found += [
                Finding(
                    DriftKind.SOURCE_DIFFERS, door.name, _USERS, str(user_id), "forgotten: PostgreSQL has no such user"
                )
                for user_id in sorted(users)
            ]
            found += [
                Finding(DriftKind.SOURCE_DIFFERS, door.name, place, key, "put into its index")
                for place, key in sorted(places)
            ]
        return found

    def positions(self, topic_id: str, lanes: LanePositions) -> list[Finding]:
        """Return the positions that cannot be right: behind the topic's end, or far short of what the lane committed.

        One that is a little short is lost with a process that is killed, and the marks tell of what is above it.
        """
        give_up_s = time.monotonic() + _POSITION_WAIT_S
        while True:
            done = lanes.committed()
            recorded = {door.name: door.positions(topic_id) for door in self._doors}
            ends = lanes.ends()
            wrong = [
                (store, partition, done[store].get(partition, 0))
                for store, positions in recorded.items()
                for partition, end in sorted(ends.items())
                if positions.get(partition, 0) > end
                or (
                    done[store].get(partition, 0) > positions.get(partition, 0)
                    and lanes.age_s(partition, positions.get(partition, 0)) > BEHIND_MAX_S
                )
            ]
            if not wrong or time.monotonic() > give_up_s:
                break
            time.sleep(_POSITION_PAUSE_S)
        kind = DriftKind.POSITION_WRONG
        return [
            Finding(kind, store, topics.COMMANDS, str(partition), f"set to {right}", position=right)
            for store, partition, right in wrong
        ]

    def answers(self, applied: Sequence[AppliedPart], reader: TopicReader) -> list[Finding]:
        """Return what stores have applied, and `response_events` has no answer of."""
        waiting = {(part.store, part.correlation_id): part.time_ms for part in applied}
        if not waiting:
            return []
        since_ms = _read_answers(reader, waiting)
        if waiting:
            self._lanes_catch_up()
            since_ms = _read_answers(reader, waiting)
        missing = {place for place, time_ms in waiting.items() if time_ms >= since_ms}
        found = []
        for door in self._doors:
            wanted = {correlation_id for store, correlation_id in missing if store == door.name}
            marks = _marks(door, wanted) if wanted else {}
            found += [
                Finding(
                    DriftKind.RECEIPT_MISSING,
                    door.name,
                    topics.RECEIPTS,
                    correlation_id,
                    "sent again as the store has it",
                    receipts=(marks[correlation_id],),
                )
                for correlation_id in sorted(marks)
            ]
        return found

    def _changed_in(self, walk: ContentWalk) -> Iterator[str]:
        after: Any = None
        while True:
            page = walk.page(after, _PAGE_ROWS)
            self.unknown += page.unknown
            yield from (key for key in page.changed if walk.changed(key))
            after = page.after
            if after is None:
                return

    def _unknown_users(self, door: MongoDoor | RedisDoor) -> set[int]:
        users, found = door.known_users(), set[int]()
        while batch := list(islice(users, _PAGE_ROWS)):
            found |= set(batch).difference(self._existing(batch))
            if len(found) >= _FOUND_MAX:
                break
        return found


def _read_answers(reader: TopicReader, waiting: dict[Place, int]) -> int:
    """Take out what is answered. Return since when answers are kept, in milliseconds since the epoch."""
    there: Mapping[int, Extent] = reader.extents(topics.RECEIPTS)
    # Of what retention has taken from, the time of the oldest that is left: of an earlier one nothing can be told.
    begun = {partition: time.time_ns() // 1_000_000 for partition, extent in there.items() if extent.begin}
    unseen = set(begun)
    for record in reader.read(topics.RECEIPTS, there):
        if record.partition in unseen:
            unseen.remove(record.partition)
            begun[record.partition] = record.timestamp_ms
        headers = record.read_headers()
        waiting.pop((headers.text(topics.STORE), headers.correlation_id), None)
    return max(begun.values(), default=0)


def _marks(door: MarkedStore, correlation_ids: Collection[str]) -> dict[str, CommandReceipt]:
    found: dict[str, CommandReceipt] = {}
    for page in marks_of(door):
        found.update({one.correlation_id: one for one in page if one.correlation_id in correlation_ids})
        if len(found) == len(correlation_ids):
            break
    return found
