"""What each store does with records that are given up, with what comes behind them, and with what it has passed."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any, Final

import psycopg
import pytest
import redis
from google.protobuf.message import Message
from polystream.v1.contents_pb2 import CacheContentRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.users_pb2 import UpdateUserRequest
from polystream.v1.views_pb2 import RecordViewRequest
from pymongo.database import Database

from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, RedisSettings
from mesh.store_errors import is_waiting
from processor.handlers import find_handlers
from processor.model import Answer, Delivery, Store
from processor.parking import ParkingBounds
from processor.stores.mongodb import MongoStore
from processor.stores.postgresql import PostgresStore
from processor.stores.redis import RedisStore
from processor.stores.redis_markers import MarkerBounds
from tests.support.engine_pool import Lease
from tests.support.lanes import CATALOG, delivery
from tests.support.platform import EngineSet
from tests.support.stores import (
    MARKER_TTL_S,
    TOPIC_ID,
    Users,
    apply,
    ending,
    fresh_database,
    given_up,
    postgres_settings,
    receipts,
)

_KEYS: Final = count(7_000_000)
_PARTITIONS: Final = count(100)
_DAY_NS: Final = 86_400 * 10**9
_BOUNDS: Final = ParkingBounds(keys_max=2, commands_max=3)
NOBODY: Final = frozenset[str]()


class Case:
    """One store, with commands whose order shows in it."""

    def __init__(self, store: str, running: EngineSet, users: Users, mongodb: Database[dict[str, Any]]) -> None:
        self.name = store
        self._running, self._users, self._mongodb = running, users, mongodb
        self._redis = redis.Redis.from_url(running.endpoints["redis"])
        self.partition = next(_PARTITIONS)
        self._offsets = count()
        self.store = self.open()

    def open(self, bounds: ParkingBounds = ParkingBounds()) -> Store:  # noqa: B008 - it cannot be changed
        """Return the store once more, as another lane has it."""
        handlers, postgres = find_handlers(CATALOG, self.name), postgres_settings(self._running)
        if self.name == "POSTGRESQL":
            return PostgresStore(postgres, handlers, lambda: TOPIC_ID, inbox_ttl_s=MARKER_TTL_S, parking_bounds=bounds)
        if self.name == "MONGODB":
            url = f"mongodb://127.0.0.1:{self._running.context.ports.mongodb}/{self._mongodb.name}"
            return MongoStore(MongoSettings(url=url), postgres, handlers, lambda: TOPIC_ID, bounds)
        markers = MarkerBounds(MARKER_TTL_S, 1 << 30, bounds)
        settings = RedisSettings(url=self._running.endpoints["redis"])
        return RedisStore(settings, postgres, handlers, lambda: TOPIC_ID, markers)

    def new_key(self) -> int:
        """Return a user, or a content, whose commands can be applied."""
        key = next(_KEYS)
        if self.name != "REDIS":
            self._users.add(key)
        return key

    def command(self, key: int, value: int, correlation_id: str = "") -> Delivery:
        """Return the next command of a key."""
        request: Message
        if self.name == "POSTGRESQL":
            request = UpdateUserRequest(user_id=key, name=str(value))
        elif self.name == "MONGODB":
            request = RecordViewRequest(user_id=key, content_id=value, title="x", kind="MOVIE")
        else:
            request = CacheContentRequest(content_id=key, title=str(value), kind="MOVIE")
        return delivery(request, correlation_id, partition=self.partition, offset=next(self._offsets))

    def applied(self, key: int) -> list[int]:
        """Return the values that are there: of MongoDB all, in order; of the others the last one."""
        if self.name == "POSTGRESQL":
            with psycopg.connect(self._running.endpoints["postgresql"]) as db:
                row: Any = db.execute("SELECT nome FROM usuarios WHERE user_id = %s", (key,)).fetchone()
            return [int(row[0])] if row[0].isdigit() else []
        if self.name == "MONGODB":
            views = self._mongodb["historico_visualizacao"].find({"user_id": key})
            return sorted(view["conteudo_id"] for view in views)
        title: Any = self._redis.hget(f"conteudo:{key}", "titulo")
        return [] if title is None else [int(title)]

    def forget_marks(self) -> None:
        """Remove every mark, as time does."""
        if self.name == "POSTGRESQL":
            with psycopg.connect(self._running.endpoints["postgresql"], autocommit=True) as db:
                db.execute("TRUNCATE inbox")
        elif self.name == "MONGODB":
            self._mongodb["comandos_aplicados"].delete_many({})
        else:
            for marker in self._redis.scan_iter("comando:*"):
                self._redis.delete(marker)

    def expected(self, *values: int) -> list[int]:
        """Return what is there once these were applied in this order."""
        return list(values) if self.name == "MONGODB" else list(values[-1:])


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three stores' servers."""
    return lease("postgresql", "mongodb", "redis")


@pytest.fixture(scope="module")
def users(running: EngineSet) -> Users:
    """Return PostgreSQL's users."""
    return Users(postgres_settings(running))


@pytest.fixture(params=["POSTGRESQL", "MONGODB", "REDIS"])
def case(request: pytest.FixtureRequest, running: EngineSet, users: Users) -> Iterator[Case]:
    """Return each of the stores, with nothing parked in it."""
    with fresh_database(running) as mongodb, psycopg.connect(running.endpoints["postgresql"], autocommit=True) as db:
        db.execute("TRUNCATE parked_records")
        redis.Redis.from_url(running.endpoints["redis"]).flushall()
        made = Case(request.param, running, users, mongodb)
        yield made
        made.store.close()


def endings(answers: Sequence[Answer]) -> list[str]:
    """Return how commands ended."""
    return [ending(answer) for answer in answers]


def from_queue(store: Store, key: bytes, known: Sequence[Delivery]) -> list[Delivery]:
    """Return what is parked under a key, as a lane decodes it."""
    by_id = {one.correlation_id: one for one in known}
    return [replace(by_id[parked.correlation_id], parked_as=parked.id) for parked in store.parked(key)]


def drain(store: Store, queue: Sequence[Delivery]) -> list[Answer]:
    """Apply what comes from the queue, and let go of what is answered for good, as a lane does."""
    answers = list(store.apply(queue, NOBODY))
    done = [
        one.parked_as
        for one, answer in zip(queue, answers, strict=True)
        if isinstance(answer, CommandReceipt) and not is_waiting(answer)
    ]
    if done:
        store.remove_parked(queue[0].key, done)
    return answers


def behind(answers: Sequence[Answer]) -> list[str]:
    """Return what commands wait behind."""
    return [receipt.waits_behind for receipt in receipts(answers)]


def test_later_commands_of_a_key_wait_behind_the_one_that_was_given_up(case: Case) -> None:
    """Others go on; what is delivered again is answered as before; redriven, all are applied in their order."""
    key, other = case.new_key(), case.new_key()
    first, second, third = (case.command(key, value) for value in (1, 2, 3))
    assert ending(given_up(case.store, first)) == "HANDLER_FAILED"
    elsewhere = case.command(other, 9)
    batch = [second, elsewhere, third]
    answers = case.store.apply(batch, NOBODY)
    assert endings(answers) == ["behind", "ok", "behind"]
    assert behind([answers[0], answers[2]]) == [first.correlation_id] * 2
    assert (case.applied(key), case.applied(other)) == ([], case.expected(9))
    assert case.store.count_parked() == (1, 3)
    again = receipts(case.store.apply([first, *batch], NOBODY))
    assert [(ending(one), one.duplicate) for one in again] == [
        ("HANDLER_FAILED", True),
        ("behind", False),
        ("ok", True),
        ("behind", False),
    ]
    assert case.store.count_parked() == (1, 3)

    queue = from_queue(case.store, first.key, [first, second, third])
    assert [one.correlation_id for one in queue] == [one.correlation_id for one in (first, second, third)]
    assert endings(drain(case.store, queue)) == ["ok"] * 3
    assert case.applied(key) == case.expected(1, 2, 3)
    assert case.store.count_parked() == (0, 0)
    assert ending(apply(case.store, case.command(key, 4))[0]) == "ok"
    assert case.applied(key) == case.expected(1, 2, 3, 4)


def test_lanes_whose_clocks_differ_keep_the_order(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane takes a partition over from one whose clock was a day ahead."""
    key, other = case.new_key(), case.new_key()
    before, first, second = case.command(other, 9), case.command(key, 1), case.command(key, 2)
    given_up(case.store, before)
    ahead = case.open()
    with monkeypatch.context() as patch:
        now_ns = time.time_ns()
        patch.setattr("processor.stores.mongodb_parking.time", SimpleNamespace(time_ns=lambda: now_ns + _DAY_NS))
        given_up(ahead, first)
    assert endings(case.store.apply([second], NOBODY)) == ["behind"]
    parked = [one.correlation_id for one in case.store.parked(first.key)]
    assert parked == [first.correlation_id, second.correlation_id]
    ahead.close()


def test_what_another_lane_has_applied_is_not_given_up(case: Case) -> None:
    """A lane that lost its partition may fail where the other one has not: the store's mark is judged as it parks."""
    key = case.new_key()
    first, second = case.command(key, 1), case.command(key, 2)
    zombie = case.open()
    assert ending(apply(case.store, first)[0]) == "ok"
    (answer,) = receipts([given_up(zombie, first)])
    assert (ending(answer), answer.duplicate) == ("ok", True)
    assert case.store.count_parked() == (0, 0)
    assert ending(apply(case.store, second)[0]) == "ok"
    assert case.applied(key) == case.expected(1, 2)
    # Another record with its correlation ID is none of its own.
    forged = replace(case.command(key, 3), correlation_id=first.correlation_id)
    assert ending(given_up(zombie, forged)) == "HANDLER_FAILED"
    zombie.close()


def test_nothing_passes_what_is_before_it(case: Case) -> None:
    """Taken out of its turn, a record waits on; what has left the queue is not applied."""
    key = case.new_key()
    first, second, third = (case.command(key, value) for value in (1, 2, 3))
    given_up(case.store, first)
    case.store.apply([second, third], NOBODY)
    queue = from_queue(case.store, first.key, [first, second, third])
    assert behind(drain(case.store, queue[1:])) == [first.correlation_id] * 2
    assert case.applied(key) == []
    case.store.discard(case.store.parked(first.key)[0])
    assert endings(drain(case.store, queue[:1])) == ["HANDLER_FAILED"]  # its mark says so
    assert endings(drain(case.store, queue[1:])) == ["ok", "ok"]
    case.forget_marks()
    assert endings(drain(case.store, queue)) == ["passed"] * 3
    assert case.applied(key) == case.expected(2, 3)


def test_one_that_is_given_up_again_holds_up_those_behind_it(case: Case) -> None:
    """They are told of the new one, and the one before is applied for good."""
    key = case.new_key()
    first, second, third = (case.command(key, value) for value in (1, 2, 3))
    given_up(case.store, first)
    case.store.apply([second, third], NOBODY)
    queue = from_queue(case.store, first.key, [first, second, third])
    assert endings(drain(case.store, queue[:1])) == ["ok"]
    assert ending(given_up(case.store, queue[1])) == "HANDLER_FAILED"
    assert behind(drain(case.store, queue[2:])) == [second.correlation_id]
    assert [parked.receipt is not None for parked in case.store.parked(first.key)] == [True, False]
    assert endings(case.store.apply([case.command(key, 4)], NOBODY)) == ["behind"]
    assert case.applied(key) == case.expected(1)


def test_a_record_that_is_given_up_behind_another_waits(case: Case) -> None:
    """Whether it will fail once more is told in its turn."""
    key = case.new_key()
    first, second = case.command(key, 1), case.command(key, 2)
    given_up(case.store, first)
    assert behind([given_up(case.store, second)]) == [first.correlation_id]
    assert behind([given_up(case.store, second)]) == [first.correlation_id]
    assert case.store.count_parked() == (1, 2)


def test_what_may_be_parked_is_bounded(case: Case) -> None:
    """Too many behind one are refused, and a lane that would park too many keys stops, but for foreign records."""
    store = case.open(_BOUNDS)
    key = case.new_key()
    given_up(store, case.command(key, 1))
    waiting = [case.command(key, value) for value in range(2, 6)]
    answers = receipts(store.apply(waiting, NOBODY))
    assert [ending(one) for one in answers] == ["behind"] * _BOUNDS.commands_max + ["TOO_MANY_WAIT"]
    assert answers[-1].error.metadata["waits_behind"] == answers[0].waits_behind
    assert endings(store.apply(waiting[-1:], NOBODY)) == ["TOO_MANY_WAIT"]  # it was refused, once and for all
    given_up(store, case.command(case.new_key(), 1))
    with pytest.raises(PolystreamError) as raised:
        given_up(store, case.command(case.new_key(), 1))
    assert raised.value.reason is Reason.TOO_MANY_PARKED
    assert ending(given_up(store, case.command(case.new_key(), 1), must_park=False)) == "HANDLER_FAILED"
    assert store.count_parked() == (2, 2 + _BOUNDS.commands_max)
    store.close()


def test_a_replay_of_any_age_applies_nothing_twice(case: Case) -> None:
    """What is below the store's position was answered, whatever has become of its mark; what is above is applied."""
    key = case.new_key()
    old = [case.command(key, value) for value in (1, 2, 3)]
    apply(case.store, *old)
    case.store.record_positions({case.partition: old[-1].offset + 1})
    case.forget_marks()
    again = case.open()
    repair = replace(old[0], is_repair=True)
    assert endings(again.apply([*old, case.command(key, 4)], NOBODY)) == ["passed", "passed", "passed", "ok"]
    assert case.applied(key) == case.expected(1, 2, 3, 4)
    assert endings(again.apply([repair], NOBODY)) == ["ok"]
    assert case.applied(key) == (case.expected(1, 2, 3, 4) if case.name == "MONGODB" else case.expected(1))
    again.close()


def test_a_replay_leaves_what_is_parked_as_it_is(case: Case) -> None:
    """Below the position too."""
    key = case.new_key()
    first, second = case.command(key, 1), case.command(key, 2)
    given_up(case.store, first)
    case.store.apply([second], NOBODY)
    case.store.record_positions({case.partition: second.offset + 1})
    case.forget_marks()
    assert endings(case.store.apply([first, second], NOBODY)) == ["HANDLER_FAILED", "behind"]
    assert case.store.count_parked() == (1, 2)


def test_two_that_redrive_at_once_apply_each_command_once(case: Case) -> None:
    """As when a partition moves in the middle of it."""
    key = case.new_key()
    known = [case.command(key, value) for value in range(20)]
    given_up(case.store, known[0])
    case.store.apply(known[1:], NOBODY)
    queue = from_queue(case.store, known[0].key, known)
    stores, start, answers = [case.open(), case.open()], threading.Barrier(2), list[Sequence[Answer]]()

    def run(store: Store) -> None:
        store.ping()
        start.wait()
        for _ in range(5):  # where the other one came first, a lane tries again
            with suppress(PolystreamError):
                answers.append(drain(store, queue))
                return

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == len(stores)
    assert {ending(one) for told in answers for one in told} <= {"ok", "passed"}
    assert case.applied(key) == case.expected(*range(20))
    assert case.store.count_parked() == (0, 0)
    for store in stores:
        store.close()


def test_a_forged_record_with_a_commands_id_takes_nothing_from_it(case: Case) -> None:
    """Discarded, it leaves no mark that would be taken for the command's."""
    key = case.new_key()
    forged = case.command(key, 1)
    assert forged.record is not None
    forged = replace(forged, record=forged.record._replace(value=b"another one"))
    good = case.command(key, 2, forged.correlation_id)
    given_up(case.store, forged)
    assert endings(case.store.apply([good], NOBODY)) == ["behind"]
    case.store.discard(case.store.parked(good.key)[0])
    assert endings(drain(case.store, from_queue(case.store, good.key, [good]))) == ["ok"]
    assert case.applied(key) == case.expected(2)


def test_a_repetition_that_waits_is_in_nobodys_way(case: Case) -> None:
    """A client that sends its command again while it waits, or anybody who copies its record."""
    key = case.new_key()
    first, second = case.command(key, 1), case.command(key, 2)
    known = [first, second, case.command(key, 2, second.correlation_id), case.command(key, 3), case.command(key, 4)]
    given_up(case.store, first)
    assert endings(case.store.apply(known[1:2], NOBODY)) == ["behind"]
    assert endings(case.store.apply(known[2:], NOBODY)) == ["behind"] * 3
    assert case.store.count_parked() == (1, 5)
    by_id = {f"{TOPIC_ID}:{one.partition}:{one.offset}": one for one in known}
    for _ in range(3):  # where a step overtakes another, a lane tries again
        queue = [replace(by_id[one.id], parked_as=one.id) for one in case.store.parked(first.key)]
        with suppress(PolystreamError):
            drain(case.store, queue)
    assert case.applied(key) == case.expected(1, 2, 3, 4)
    assert case.store.count_parked() == (0, 0)


def test_a_discard_takes_the_repetitions_with_it(case: Case) -> None:
    """They are answered as what they repeat, and applied no more than that."""
    key = case.new_key()
    first = case.command(key, 1)
    again, later = replace(case.command(key, 1), correlation_id=first.correlation_id), case.command(key, 2)
    given_up(case.store, first)
    case.store.apply([again], NOBODY)
    case.store.apply([later], NOBODY)
    case.store.discard(case.store.parked(first.key)[0])
    queue = [
        replace(one, parked_as=parked.id)
        for one, parked in zip([again, later], case.store.parked(first.key), strict=True)
    ]
    assert endings(drain(case.store, queue)) == ["HANDLER_FAILED", "ok"]
    assert case.applied(key) == case.expected(2)
    assert case.store.count_parked() == (0, 0)


def test_a_lane_that_stood_still_parks_nothing_that_another_has_applied(case: Case) -> None:
    """Between its look and its step, the other one had redriven the key."""
    if isinstance(case.store, PostgresStore):
        return  # its look and its step are one transaction, which holds the position
    assert isinstance(case.store, MongoStore | RedisStore)
    key = case.new_key()
    first, second = case.command(key, 1), case.command(key, 2)
    given_up(case.store, first)
    case.store.apply([second], NOBODY)
    drain(case.store, from_queue(case.store, first.key, [first, second]))
    case.store.park_waiting([(f"{TOPIC_ID}:{second.partition}:{second.offset}", second)])
    assert case.store.count_parked() == (0, 0)


def test_one_is_given_up_again_while_those_before_it_are_not_let_go_of(case: Case) -> None:
    """A lane lets go of what was parked once it is answered: until then it is in nobody's way."""
    key = case.new_key()
    known = [case.command(key, value) for value in (1, 2, 3)]
    given_up(case.store, known[0])
    case.store.apply(known[1:], NOBODY)
    queue = from_queue(case.store, known[0].key, known)
    assert endings(case.store.apply(queue[:1], NOBODY)) == ["ok"]
    assert case.store.count_parked() == (1, 3)
    assert ending(given_up(case.store, queue[1])) == "HANDLER_FAILED"
    assert behind(drain(case.store, queue[2:])) == [known[1].correlation_id]
    case.store.remove_parked(known[0].key, [queue[0].parked_as])
    assert [one.receipt is not None for one in case.store.parked(known[0].key)] == [True, False]
    assert case.applied(key) == case.expected(1)
