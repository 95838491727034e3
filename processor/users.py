"""Which users exist, for the lanes whose store does not hold them.

Users are PostgreSQL's rows, and the PostgreSQL lane may be behind this one, ahead of it, or down. What can be told:

- All commands about a user have the user's ID as their Kafka key: they are in one partition, and this lane applies
  them in the order of their offsets. What this lane has itself seen of a user, it has seen in the right order.
- This lane's own store remembers the users that were found to exist, and each DeleteUser with its offset. A user who
  is remembered and not erased exists: PostgreSQL is not asked, and may be down.
- Anybody else is asked for in PostgreSQL, together with how far its lane has come, in one snapshot. `next_offset`
  says that every command below it is in the rows.
  - The row is there: the user exists, and is remembered. After a DeleteUser that this lane has applied, the row counts
    only once the PostgreSQL lane is past that offset too: then it is a user created anew. Before that, it is the row
    that PostgreSQL has yet to delete.
  - The row is not there, and the PostgreSQL lane is past the command: no CreateUser that was acknowledged before the
    command has made the user. It does not exist.
  - PostgreSQL has parked commands of the user, and the row is not there, or this lane has applied a DeleteUser: what
    makes the user, or erases it, may be among them. Nothing can be told until they are redriven or discarded.
  - The row is not there, and the PostgreSQL lane is not past the command, or nobody answers: the user may be about to
    be created. Nothing can be told yet, and the command waits.
- The PostgreSQL lane may be ahead, so a row may stem from a CreateUser after the command, or be gone by a DeleteUser
  after it. The first is accepted: the user does exist, and a DeleteUser in between is yet to erase what is written
  now. The second is refused: whatever the command wrote would be erased when this lane reaches that DeleteUser.
- A command from before a DeleteUser that this lane has applied (a late repetition) is refused unasked: nothing of an
  erased person is written again.
- Offsets are compared only within one incarnation of the topic, and partition by partition. A DeleteUser of an earlier
  incarnation is long applied in PostgreSQL too, or lost with that topic: the row alone decides.
"""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mesh.errors import PolystreamError
from processor.model import Delivery
from processor.user_lookup import PostgresUsers, UserSnapshot


class Verdict(enum.Enum):
    """Whether the user that a command names exists."""

    EXISTS = "exists"
    MISSING = "missing"
    UNTOLD = "untold"  # it cannot be told yet


@dataclass(frozen=True, slots=True)
class Erasure:
    """A DeleteUser that this lane has applied."""

    topic_id: str
    partition: int
    offset: int

    def is_after(self, delivery: Delivery, topic_id: str) -> bool:
        """Whether it came after a delivery of this incarnation of the topic."""
        place = (self.topic_id, self.partition)
        return place == (topic_id, delivery.partition) and delivery.offset < self.offset


class UserMemory(Protocol):
    """What a lane's store remembers of users. Its methods raise what the store's client raises."""

    def read(self, user_ids: Sequence[int]) -> Mapping[int, Erasure | None]:
        """Return the users that are remembered, the erased ones with their erasure."""
        ...

    def remember(self, user_ids: Sequence[int]) -> None:
        """Remember that the users exist, whatever was remembered before."""
        ...

    def erase(self, erasures: Mapping[int, Erasure]) -> None:
        """Remember that the users were erased."""
        ...


class UserDirectory:
    """Judges whether users exist, batch by batch."""

    def __init__(self, memory: UserMemory, lookup: PostgresUsers, incarnation: Callable[[], str]) -> None:
        self._memory = memory
        self._lookup = lookup
        self._incarnation = incarnation

    def open(self, deliveries: Iterable[Delivery]) -> "BatchUsers":
        """Read what is remembered of the users whom these deliveries name."""
        user_ids = sorted({user_of(delivery) for delivery in deliveries})
        return BatchUsers(self._memory, self._lookup, self._incarnation, user_ids)

    def close(self) -> None:
        """Close the connection to PostgreSQL."""
        self._lookup.close()


class BatchUsers:
    """What is known of a batch's users while the batch is applied."""

    def __init__(
        self, memory: UserMemory, lookup: PostgresUsers, incarnation: Callable[[], str], user_ids: Sequence[int]
    ) -> None:
        self._memory = memory
        self._lookup = lookup
        self._incarnation = incarnation
        self._remembered = dict(memory.read(user_ids)) if user_ids else {}
        self._snapshots: dict[int, UserSnapshot] = {}  # by user ID, of those that PostgreSQL was asked for

    def judge(self, deliveries: Sequence[Delivery]) -> list[Verdict]:
        """Judge the users of deliveries, and remember those that were found."""
        in_doubt = {user_of(d) for d in deliveries if not self._is_known(user_of(d))}
        if not in_doubt:
            return [Verdict.EXISTS] * len(deliveries)
        try:
            topic_id = self._incarnation()
        except PolystreamError:
            return [Verdict.EXISTS if self._is_known(user_of(d)) else Verdict.UNTOLD for d in deliveries]
        self._ask(sorted(in_doubt - self._snapshots.keys()), topic_id)
        verdicts = [self._judge_one(delivery, topic_id) for delivery in deliveries]
        found = {user_of(d) for d, verdict in zip(deliveries, verdicts, strict=True) if verdict is Verdict.EXISTS}
        if news := sorted(found & in_doubt):
            self._memory.remember(news)
            self._remembered.update(dict.fromkeys(news))
        return verdicts

    def erase(self, deliveries: Sequence[Delivery]) -> None:
        """Remember that these deliveries erase their users. Raises PolystreamError when the broker is not reached."""
        if not deliveries:
            return
        topic_id = self._incarnation()
        erasures = {user_of(d): Erasure(topic_id, d.partition, d.offset) for d in deliveries}
        self._memory.erase(erasures)
        self._remembered.update(erasures)

    def _is_known(self, user_id: int) -> bool:
        return user_id in self._remembered and self._remembered[user_id] is None

    def _ask(self, user_ids: Sequence[int], topic_id: str) -> None:
        snapshot = self._lookup.ask(user_ids, topic_id) if user_ids else None
        if snapshot is not None:
            self._snapshots.update(dict.fromkeys(user_ids, snapshot))

    def _judge_one(self, delivery: Delivery, topic_id: str) -> Verdict:
        user_id = user_of(delivery)
        if self._is_known(user_id):
            return Verdict.EXISTS
        erasure = self._remembered.get(user_id)
        if erasure is not None and erasure.topic_id != topic_id:
            erasure = None
        if erasure is not None and erasure.is_after(delivery, topic_id):
            return Verdict.MISSING
        snapshot = self._snapshots.get(user_id)
        if snapshot is None:
            return Verdict.UNTOLD
        if user_id in snapshot.parked and (erasure is not None or user_id not in snapshot.found):
            return Verdict.UNTOLD  # what makes the user, or erases it, may be among what PostgreSQL has parked
        if user_id in snapshot.found:
            reached = erasure is None or snapshot.next_offsets.get(erasure.partition, 0) > erasure.offset
            return Verdict.EXISTS if reached else Verdict.UNTOLD
        passed = snapshot.next_offsets.get(delivery.partition, 0) > delivery.offset
        return Verdict.MISSING if passed else Verdict.UNTOLD


def user_of(delivery: Delivery) -> int:
    """Return the ID of the user whom a delivery's request names."""
    user_id: int = getattr(delivery.request, "user_id")  # noqa: B009 - the request's type differs from command to command
    return user_id
