"""Commands that wait: bounded, in order within their key, tried again with growing pauses."""

import itertools

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import DeleteUserRequest

from mesh.envelope import KafkaRecord
from mesh.topics import COMMANDS
from processor.lanes.applying import Applied
from processor.lanes.decoding import Item
from processor.lanes.deferral import Deferral
from tests.support.lanes import delivery

_OFFSETS = itertools.count()


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def item(user_id: int, partition: int = 0) -> Item:
    """Return a command about a user, at the next offset."""
    offset = next(_OFFSETS)
    made = delivery(DeleteUserRequest(user_id=user_id), partition=partition, offset=offset)
    return Item(KafkaRecord(COMMANDS, partition, offset, 0, made.receive_time_ns, made.key, b"", []), made)


def deferred(*items: Item) -> list[Applied]:
    """Return that nothing can be told of the items yet."""
    return [Applied(i, None) for i in items]


def answered(*items: Item) -> list[Applied]:
    """Return that the items are answered."""
    return [Applied(i, CommandReceipt()) for i in items]


def test_later_commands_of_a_key_wait_behind_it() -> None:
    """Those of other keys go on; when the key is tried again, its commands come in their order."""
    clock = Clock()
    deferral = Deferral(10, 60, clock)
    first, second, other = item(1), item(1), item(2)
    deferral.settle(deferred(first))
    assert deferral.hold_back([second, other]) == [other]
    assert deferral.due() == ([], set())
    clock.now_s += 1
    assert deferral.due() == ([first, second], set())


def test_what_is_answered_no_longer_waits() -> None:
    """The first command of a key may be answered while the next one has to wait on."""
    clock = Clock()
    deferral = Deferral(10, 60, clock)
    first, second = item(1), item(1)
    deferral.settle(deferred(first, second))
    deferral.settle([*answered(first), *deferred(second)])
    clock.now_s += 1
    assert deferral.due() == ([second], set())
    deferral.settle(answered(second))
    assert len(deferral) == 0
    assert deferral.hold_back([item(1)]) != []


def test_pauses_grow_to_a_bound() -> None:
    """A key is tried at once at first, and every second in the end."""
    clock = Clock()
    deferral = Deferral(10, 60, clock)
    waiting = item(1)
    deferral.settle(deferred(waiting))
    pauses = []
    for _ in range(10):
        pause_s = deferral.next_try_in_s()
        assert pause_s is not None
        pauses.append(pause_s)
        clock.now_s += pause_s
        due, _ = deferral.due()
        assert due == [waiting]
        deferral.settle(deferred(*due))
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.05
    assert pauses[-1] == 1.0


def test_a_command_is_overdue_when_it_has_waited_long_enough() -> None:
    """Each by its own time: the one behind it has its own."""
    clock = Clock()
    deferral = Deferral(10, 60, clock)
    first, second = item(1), item(1)
    deferral.settle(deferred(first))
    clock.now_s += 30
    deferral.hold_back([second])
    clock.now_s += 30
    assert deferral.due() == ([first, second], {first.delivery.correlation_id})


def test_offsets_from_the_lowest_that_waits_are_held() -> None:
    """Partition by partition."""
    deferral = Deferral(10, 60, Clock())
    low, high, other = item(1, 0), item(1, 0), item(2, 3)
    deferral.settle(deferred(low, high, other))
    assert deferral.lowest_offsets() == {0: low.record.offset, 3: other.record.offset}
    deferral.settle([*answered(low), *deferred(high)])
    assert deferral.lowest_offsets() == {0: high.record.offset, 3: other.record.offset}


def test_partitions_that_are_taken_away_are_forgotten() -> None:
    """Their commands are another lane's by now."""
    clock = Clock()
    deferral = Deferral(10, 60, clock)
    gone, kept = item(1, 0), item(2, 1)
    deferral.settle(deferred(gone, kept))
    deferral.drop({0})
    clock.now_s += 1
    assert deferral.due() == ([kept], set())
    assert deferral.lowest_offsets() == {1: kept.record.offset}


def test_room_shrinks_with_what_waits() -> None:
    """The lane reads no more than could come to wait."""
    deferral = Deferral(3, 60, Clock())
    assert deferral.room == 3
    deferral.settle(deferred(item(1), item(2)))
    assert deferral.room == 1
    deferral.hold_back([item(2)])
    assert deferral.room == 0
    assert len(deferral) == 3


def test_nothing_waits_at_first() -> None:
    """Then there is no time to wait for either."""
    deferral = Deferral(3, 60, Clock())
    assert deferral.next_try_in_s() is None
    deferral.settle(answered(item(1)))
    assert (len(deferral), deferral.due(), deferral.lowest_offsets()) == (0, ([], set()), {})
