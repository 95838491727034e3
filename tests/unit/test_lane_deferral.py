"""Commands that wait: bounded, in order within their key, tried again with growing pauses."""

import itertools
import tracemalloc

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import DeleteUserRequest

from mesh.envelope import KafkaRecord
from mesh.errors import PolystreamError, Reason
from mesh.topics import COMMANDS
from processor.lanes.applying import Applied
from processor.lanes.decoding import Item, Reject
from processor.lanes.deferral import Deferral
from tests.support.lanes import delivery

_MAX_BYTES = 1_000_000
_MAX_TRIES = 10
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


class Bench:
    """A deferral, and a lane's part in it: records are decoded, applied or put off, and settled."""

    def __init__(self, max_bytes: int = _MAX_BYTES, max_wait_s: float = 60, max_tries: int = _MAX_TRIES) -> None:
        self.clock = Clock()
        self.deferral = Deferral(max_bytes, max_wait_s, max_tries, self.clock)
        self._items: dict[tuple[int, int], Item] = {}

    def arrive(self, *items: Item) -> list[Item]:
        """Give it new commands of which nothing can be told, and return those that were not held back."""
        self._items |= {(i.partition, i.record.offset): i for i in items}
        others = self.deferral.hold_back(items)
        self.deferral.settle([Applied(i, None, is_deferred=True) for i in others])
        return [i for i in others if isinstance(i, Item)]

    def attempt(self, *told: Item, spoilt: bool = False) -> tuple[list[Item], set[str]]:
        """Try what is due, where only `told` can be answered; return what was due, and which of it was overdue.

        With `spoilt`, that is because they can no longer be decoded.
        """
        due = self.deferral.due()
        again = [Item(record, self._items[record.partition, record.offset].delivery) for record in due.records]
        overdue = set(due.overdue(again))
        ids = {i.delivery.correlation_id for i in told} | overdue
        answered = [i for i in again if i.delivery.correlation_id in ids]
        cause = PolystreamError(Reason.UNDECODABLE)
        rejects = [Applied(Reject(i.record, cause, None, None), None, cause) for i in answered if spoilt]
        applied = [
            Applied(i, CommandReceipt()) if i in answered else Applied(i, None, is_deferred=True)
            for i in again
            if not spoilt
        ]
        self.deferral.settle([*applied, *rejects])
        return [self._items[record.partition, record.offset] for record in due.records], overdue


def id_of(*items: Item) -> set[str]:
    """Return the correlation IDs."""
    return {i.delivery.correlation_id for i in items}


def test_later_commands_of_a_key_wait_behind_it() -> None:
    """Those of other keys go on; when the key is tried again, its commands come in their order."""
    bench = Bench()
    first, second, other = item(1), item(1), item(2)
    bench.arrive(first)
    assert bench.deferral.hold_back([other]) == [other]
    assert bench.arrive(second) == []
    assert bench.attempt() == ([], set())
    bench.clock.now_s += 1
    assert bench.attempt() == ([first, second], set())


def test_what_waits_comes_back_as_it_came() -> None:
    """Key, value, headers and times of its record are those that were read."""
    bench = Bench()
    waiting = item(1)
    headers = [("correlation_id", b"x"), ("odd", None), ("text", "y")]
    record = waiting.record._replace(key=None, value=b"\x00\xff", headers=headers, has_readable_headers=False)
    bench.arrive(Item(record, waiting.delivery))
    bench.clock.now_s += 1
    assert bench.deferral.due().records == [record]


def test_what_is_answered_no_longer_waits() -> None:
    """The first command of a key may be answered while the next one has to wait on."""
    bench = Bench()
    first, second = item(1), item(1)
    bench.arrive(first, second)
    bench.clock.now_s += 1
    assert bench.attempt(first) == ([first, second], set())
    bench.clock.now_s += 1
    assert bench.attempt(second) == ([second], set())
    assert len(bench.deferral) == 0
    assert bench.deferral.hold_back([item(1)]) != []


def test_what_can_no_longer_be_decoded_no_longer_waits() -> None:
    """It is answered as a dead letter, and what is behind it goes on."""
    bench = Bench()
    first, second = item(1), item(1)
    bench.arrive(first, second)
    bench.clock.now_s += 1
    bench.attempt(first, spoilt=True)
    bench.clock.now_s += 1
    assert bench.attempt(second) == ([second], set())


def test_a_long_queue_of_one_key_drains_in_order_once_its_user_is_told_of() -> None:
    """At first a few are tried, then one, then ever more: no round is filled by one key in vain."""
    bench = Bench()
    items = [item(1) for _ in range(100)]
    bench.arrive(*items)
    bench.clock.now_s += 1
    assert len(bench.attempt()[0]) == 8
    bench.clock.now_s += 1
    assert len(bench.attempt()[0]) == 1
    seen: list[Item] = []
    rounds = 0
    bench.clock.now_s += 1
    while len(bench.deferral):
        due, _ = bench.attempt(*items)
        seen += due
        rounds += 1
    assert seen == items
    assert rounds <= 15  # 1, 4, then ten a round


def test_pauses_grow_to_a_bound() -> None:
    """A key is tried at once at first, and every second in the end."""
    bench = Bench()
    waiting = item(1)
    bench.arrive(waiting)
    pauses = []
    for _ in range(10):
        pause_s = bench.deferral.next_try_in_s()
        assert pause_s is not None
        pauses.append(pause_s)
        bench.clock.now_s += pause_s
        assert bench.attempt() == ([waiting], set())
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.05
    assert pauses[-1] == 1.0


def test_a_command_is_overdue_when_it_has_waited_long_enough() -> None:
    """Each by its own time: the one behind it has its own."""
    bench = Bench()
    first, second = item(1), item(1)
    bench.arrive(first)
    bench.clock.now_s += 30
    bench.arrive(second)
    bench.clock.now_s += 30
    assert bench.attempt() == ([first, second], id_of(first))
    bench.clock.now_s += 29.5
    assert bench.attempt() == ([second], set())
    bench.clock.now_s += 0.5
    assert bench.attempt() == ([second], id_of(second))


def test_beyond_the_bound_those_that_waited_longest_are_answered_early() -> None:
    """In order within their key, and no more of them than are too many."""
    bench = Bench(max_bytes=10_000)
    items = [item(number // 2) for number in range(40)]
    bench.arrive(*items)
    assert bench.deferral.size_bytes > 10_000
    assert bench.deferral.next_try_in_s() == 0.0
    early: list[Item] = []
    while bench.deferral.size_bytes > 10_000:
        due, overdue = bench.attempt()
        early += [i for i in due if i.delivery.correlation_id in overdue]
    assert early == items[: len(early)]
    assert 10 < len(early) < 40
    assert bench.deferral.size_bytes > 9000
    assert bench.attempt()[1] == set()


def test_what_many_have_overtaken_is_answered_early() -> None:
    """Their marks may give way to newer ones, and all of them would be read again as long as it waits."""
    bench = Bench()
    bench.deferral = Deferral(_MAX_BYTES, 60, _MAX_TRIES, bench.clock, max_overtaking_bytes=2600)
    first, second, *others = (item(user_id) for user_id in range(1, 14))
    bench.arrive(first)
    bench.deferral.settle([Applied(one, CommandReceipt()) for one in others[:6]])
    bench.arrive(second)
    bench.clock.now_s += 1
    assert bench.attempt()[1] == set()
    bench.deferral.settle([Applied(one, CommandReceipt()) for one in others[6:]])
    assert bench.attempt()[1] == id_of(first)
    assert len(bench.deferral) == 1


def test_the_youngest_are_tried_though_many_have_waited_long() -> None:
    """Thousands of old keys take a bounded part of a round, and their turns; a new key is tried within its pause."""
    bench = Bench(max_bytes=100_000_000, max_tries=100)
    bench.arrive(*[item(user_id) for user_id in range(3000)])
    seen: set[str] = set()
    for _ in range(600):  # until all are old
        bench.clock.now_s += 0.02
        due, _ = bench.attempt()
        assert len(due) <= 100
        seen |= id_of(*due)
    assert len(seen) == 3000
    young = item(20_000)
    bench.arrive(young)
    bench.clock.now_s += 0.02
    due, _ = bench.attempt()
    assert young in due
    assert len(due) <= 64


def test_old_keys_are_all_tried_as_soon_as_one_of_them_is_told_of() -> None:
    """Then rounds are full of them, without pauses."""
    bench = Bench(max_bytes=100_000_000, max_tries=100)
    items = [item(user_id) for user_id in range(1000)]
    bench.arrive(*items)
    for _ in range(100):
        bench.clock.now_s += 0.1
        bench.attempt()
    assert len(bench.deferral) == 1000
    bench.clock.now_s += 1
    rounds = 0
    while len(bench.deferral):
        bench.attempt(*items)
        rounds += 1
    assert rounds <= 15
    assert bench.deferral.next_try_in_s() is None


def test_what_waits_takes_the_memory_that_is_said() -> None:
    """So that the bound in bytes is one of memory: measured with small records, where the rest weighs most."""
    bench = Bench(max_bytes=1 << 40)
    tracemalloc.start()
    try:
        for start in range(0, 20_000, 500):
            items = [item(start + number) for number in range(500)]
            bench.deferral.settle([Applied(i, None, is_deferred=True) for i in items])
        del items
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.7 < bench.deferral.size_bytes / taken < 1.5


def test_offsets_from_the_lowest_that_waits_are_held() -> None:
    """Partition by partition."""
    bench = Bench()
    low, high, other = item(1, 0), item(1, 0), item(2, 3)
    bench.arrive(low, high, other)
    assert bench.deferral.lowest_offsets() == {0: low.record.offset, 3: other.record.offset}
    bench.clock.now_s += 1
    bench.attempt(low)
    assert bench.deferral.lowest_offsets() == {0: high.record.offset, 3: other.record.offset}


def test_what_is_put_off_after_others_may_hold_a_lower_offset() -> None:
    """In one round, what is held back is listed before what the store has put off."""
    bench = Bench()
    first = item(1)
    bench.arrive(first)
    low, high = item(2), item(1)
    bench.arrive(high)
    bench.arrive(low)
    bench.clock.now_s += 1
    bench.attempt(first)
    assert bench.deferral.lowest_offsets() == {0: low.record.offset}


def test_partitions_that_are_taken_away_are_forgotten() -> None:
    """Their commands are another lane's by now, wherever in the queue they stand."""
    bench = Bench()
    gone, kept, behind = item(1, 0), item(2, 1), [item(2, number % 2) for number in range(30)]
    bench.arrive(gone, kept, *behind)
    bench.deferral.drop({0})
    bench.clock.now_s += 1
    due, _ = bench.attempt()
    assert due[0] == kept
    assert {i.partition for i in due} == {1}
    assert len(bench.deferral) == 16
    assert bench.deferral.lowest_offsets() == {1: kept.record.offset}


def test_a_partition_may_be_taken_away_in_the_middle_of_a_round() -> None:
    """What was tried of it is nobody's here any more."""
    bench = Bench()
    gone, kept = item(1, 0), item(2, 1)
    bench.arrive(gone, kept)
    bench.clock.now_s += 1
    due = bench.deferral.due()
    bench.deferral.drop({0})
    bench.deferral.settle([Applied(Item(due.records[1], kept.delivery), None, is_deferred=True)])
    assert len(bench.deferral) == 1
    assert bench.deferral.lowest_offsets() == {1: kept.record.offset}
    bench.clock.now_s += 1
    assert bench.attempt(kept) == ([kept], set())
    assert bench.deferral.size_bytes == 0


def test_nothing_waits_at_first() -> None:
    """Then there is no time to wait for either."""
    bench = Bench()
    assert bench.deferral.next_try_in_s() is None
    bench.deferral.settle([Applied(item(1), CommandReceipt())])
    assert (len(bench.deferral), bench.deferral.oldest(), bench.deferral.lowest_offsets()) == (0, None, {})
    assert bench.attempt() == ([], set())
