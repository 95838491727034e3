"""Whether a user exists: every case that `processor.users` tells apart, without an engine."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from polystream.v1.users_pb2 import DeleteUserRequest
from polystream.v1.views_pb2 import RecordViewRequest

from mesh.errors import PolystreamError, Reason
from processor.model import Delivery
from processor.user_lookup import PostgresUsers, UserSnapshot
from processor.users import Erasure, UserDirectory, Verdict
from tests.support.lanes import delivery as deliver

TOPIC = "topic-1"
USER = 77
PARTITION = 2


class Memory:
    """What a lane's store remembers, in memory."""

    def __init__(self, known: Mapping[int, Erasure | None]) -> None:
        self.known = dict(known)
        self.reads = 0

    def read(self, user_ids: Sequence[int]) -> Mapping[int, Erasure | None]:
        """Find who is known."""
        self.reads += 1
        return {user_id: self.known[user_id] for user_id in user_ids if user_id in self.known}

    def remember(self, user_ids: Sequence[int]) -> None:
        """Know them."""
        self.known.update(dict.fromkeys(user_ids))

    def erase(self, erasures: Mapping[int, Erasure]) -> None:
        """Keep the tombstones."""
        self.known.update(erasures)


@dataclass
class Lookup(PostgresUsers):
    """PostgreSQL, in memory."""

    snapshot: UserSnapshot | None
    asked: list[list[int]] = field(default_factory=list)

    def ask(self, user_ids: Collection[int], topic_id: str) -> UserSnapshot | None:
        """Answer as prepared."""
        assert topic_id == TOPIC
        self.asked.append(sorted(user_ids))
        return self.snapshot

    def close(self) -> None:
        """Hold nothing."""


def snapshot(*found: int, next_offset: int | None = None) -> UserSnapshot:
    """Return what PostgreSQL says, its lane at `next_offset` of the partition."""
    return UserSnapshot(frozenset(found), {} if next_offset is None else {PARTITION: next_offset})


def view_at(offset: int, user_id: int = USER) -> Delivery:
    """Return a command that names the user."""
    return deliver(RecordViewRequest(user_id=user_id, content_id=1), partition=PARTITION, offset=offset)


def erased_at(offset: int, topic_id: str = TOPIC, partition: int = PARTITION) -> dict[int, Erasure | None]:
    """Return the memory of a lane that has erased the user."""
    return {USER: Erasure(topic_id, partition, offset)}


EXISTS, MISSING, UNTOLD = Verdict.EXISTS, Verdict.MISSING, Verdict.UNTOLD
CASES = {
    "remembered: PostgreSQL may be down": ({USER: None}, None, EXISTS),
    "unknown, PostgreSQL down": ({}, None, UNTOLD),
    "unknown, row there": ({}, snapshot(USER), EXISTS),
    "unknown, row there, PostgreSQL's lane ahead": ({}, snapshot(USER, next_offset=1000), EXISTS),
    "unknown, no row, PostgreSQL's lane never came to the partition": ({}, snapshot(), UNTOLD),
    "unknown, no row, PostgreSQL's lane just before the command": ({}, snapshot(next_offset=100), UNTOLD),
    "unknown, no row, PostgreSQL's lane just past the command": ({}, snapshot(next_offset=101), MISSING),
    "erased, PostgreSQL down": (erased_at(50), None, UNTOLD),
    "erased, row there that is yet to be deleted": (erased_at(50), snapshot(USER, next_offset=50), UNTOLD),
    "erased, row there, PostgreSQL's lane nowhere": (erased_at(50), snapshot(USER), UNTOLD),
    "erased and created anew": (erased_at(50), snapshot(USER, next_offset=51), EXISTS),
    "erased, row gone, perhaps about to be created anew": (erased_at(50), snapshot(next_offset=100), UNTOLD),
    "erased, row gone, nobody created it before the command": (erased_at(50), snapshot(next_offset=101), MISSING),
    "erased after the command": (erased_at(150), snapshot(USER, next_offset=200), MISSING),
    "erased after the command, PostgreSQL down": (erased_at(150), None, MISSING),
    "erased on a topic of before, row there": (erased_at(150, topic_id="topic-0"), snapshot(USER), EXISTS),
    "erased on a topic of before, row gone": (
        erased_at(150, topic_id="topic-0"),
        snapshot(next_offset=101),
        MISSING,
    ),
    "erased in another partition, PostgreSQL's lane not past it": (
        erased_at(5, partition=0),
        snapshot(USER, next_offset=1000),
        UNTOLD,
    ),
}


@pytest.mark.parametrize(("known", "told", "expected"), CASES.values(), ids=CASES.keys())
def test_verdict(known: dict[int, Erasure | None], told: UserSnapshot | None, expected: Verdict) -> None:
    """The command at offset 100 meets what the lane remembers and what PostgreSQL says."""
    memory = Memory(known)
    command = view_at(100)
    users = UserDirectory(memory, Lookup(told), lambda: TOPIC).open([command])
    assert users.judge([command]) == [expected]
    if expected is EXISTS:
        assert memory.known == {USER: None}
    else:
        assert memory.known == known


def test_what_is_remembered_is_not_asked_for() -> None:
    """PostgreSQL is asked once a batch, for the users in doubt alone; the memory is read once."""
    memory, lookup = Memory({1: None, 2: None}), Lookup(snapshot(3))
    commands = [view_at(offset, user_id) for offset, user_id in enumerate([1, 2, 3, 3, 1])]
    users = UserDirectory(memory, lookup, lambda: TOPIC).open(commands)
    assert users.judge(commands) == [EXISTS] * 5
    assert users.judge([view_at(9, 3)]) == [EXISTS]
    assert lookup.asked == [[3]]
    assert memory.reads == 1


def test_a_known_user_is_in_doubt_after_deletion_in_the_same_batch() -> None:
    """The tombstone is there for what comes later in the batch, and PostgreSQL is asked then."""
    memory, lookup = Memory({USER: None}), Lookup(snapshot(USER, next_offset=0))
    before, deletion, after = (
        view_at(10),
        deliver(DeleteUserRequest(user_id=USER), partition=PARTITION, offset=11),
        view_at(12),
    )
    users = UserDirectory(memory, lookup, lambda: TOPIC).open([before, after])
    assert users.judge([before]) == [EXISTS]
    users.erase([deletion])
    assert memory.known == erased_at(11)
    assert users.judge([after]) == [UNTOLD]
    assert lookup.asked == [[USER]]


def test_known_users_need_no_broker() -> None:
    """Without the topic's ID, offsets cannot be compared: known users go on, others wait."""

    def no_broker() -> str:
        raise PolystreamError(Reason.KAFKA_UNAVAILABLE)

    memory, lookup = Memory({1: None}), Lookup(snapshot(2, next_offset=1000))
    commands = [view_at(1, 1), view_at(2, 2)]
    users = UserDirectory(memory, lookup, no_broker).open(commands)
    assert users.judge(commands) == [EXISTS, UNTOLD]
    assert lookup.asked == []
    with pytest.raises(PolystreamError) as raised:
        users.erase([deliver(DeleteUserRequest(user_id=1))])
    assert raised.value.reason is Reason.KAFKA_UNAVAILABLE


def test_a_batch_without_users_reads_nothing() -> None:
    """Where no command names a user, neither the memory nor PostgreSQL is asked."""
    memory, lookup = Memory({}), Lookup(snapshot())
    users = UserDirectory(memory, lookup, lambda: TOPIC).open([])
    assert users.judge([]) == []
    assert (memory.reads, lookup.asked) == (0, [])
