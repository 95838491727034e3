"""Users across lanes: the MongoDB and Redis stores beside a real PostgreSQL that is behind, ahead, down or stopped."""

import itertools
import time
from collections.abc import Iterator

import pytest
import structlog
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.users_pb2 import DeleteUserRequest
from polystream.v1.views_pb2 import DeleteViewRequest, RecordViewRequest

from mesh.settings import PostgresSettings
from processor.model import Delivery, Store
from processor.user_lookup import PostgresUsers
from processor.users import UserMemory
from tests.support.engine_pool import Lease
from tests.support.freezing import frozen
from tests.support.lanes import delivery as deliver
from tests.support.platform import EngineSet
from tests.support.stores import (
    TOPIC_ID,
    Users,
    apply,
    ending,
    fresh_database,
    mongo_store,
    postgres_settings,
    redis_store,
)
from tests.support.waiting import eventually

USER_IDS = itertools.count(1000)
PARTITIONS = itertools.count()


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three stores' servers."""
    return lease("postgresql", "mongodb", "redis")


@pytest.fixture(scope="module")
def postgres(running: EngineSet) -> PostgresSettings:
    """Return how to reach PostgreSQL."""
    return postgres_settings(running)


@pytest.fixture(scope="module")
def users(postgres: PostgresSettings) -> Users:
    """Return PostgreSQL's users."""
    return Users(postgres)


@pytest.fixture(params=["mongodb", "redis"])
def store(request: pytest.FixtureRequest, running: EngineSet) -> Iterator[Store]:
    """Return each of the stores that hold no users."""
    with fresh_database(running) as db:
        opened: Store = mongo_store(running, db.name) if request.param == "mongodb" else redis_store(running)
        yield opened
        opened.close()


@pytest.fixture
def partition() -> int:
    """Return a partition of the test's own, in which PostgreSQL's lane has not been yet."""
    return next(PARTITIONS)


@pytest.fixture
def user_id() -> int:
    """Return a user who is not there."""
    return next(USER_IDS)


def naming(store: Store, user_id: int, offset: int, partition: int) -> Delivery:
    """Return a command of the store that names a user."""
    request = (
        RecordViewRequest(user_id=user_id, content_id=1, title="x", kind="MOVIE")
        if store.name == "MONGODB"
        else CreateSessionRequest(user_id=user_id, device=Session.Device.TV)
    )
    return deliver(request, offset=offset, partition=partition)


def endings(store: Store, *batch: Delivery, overdue: frozenset[str] = frozenset()) -> list[str]:
    """Apply a batch and return how each command ended."""
    return [ending(receipt) for receipt in store.apply(batch, overdue)]


def memory_of(store: Store) -> UserMemory:
    """Return what the store's lane remembers of users."""
    memory: UserMemory = store._users._memory  # type: ignore[attr-defined] # both stores have it
    return memory


def test_a_user_of_postgresql_is_found_and_remembered(
    store: Store, users: Users, running: EngineSet, user_id: int, partition: int
) -> None:
    """The first command asks; for the second one PostgreSQL may be down."""
    users.add(user_id)
    assert endings(store, naming(store, user_id, 1, partition)) == ["ok"]
    running.kill("postgresql")
    try:
        assert endings(store, naming(store, user_id, 2, partition)) == ["ok"]
    finally:
        running.start("postgresql")


def test_a_user_who_does_not_exist_is_refused(store: Store, users: Users, user_id: int, partition: int) -> None:
    """As soon as PostgreSQL's lane is past the command; the refusal names the field and is repeated as it was."""
    command = naming(store, user_id, 5, partition)
    users.lane_is_at(5, partition)
    assert endings(store, command) == ["waits"]
    users.lane_is_at(6, partition)
    (refusal,) = apply(store, command)
    assert ending(refusal) == "USER_NOT_FOUND"
    assert refusal.error.field == "user_id"
    users.add(user_id)
    (again,) = apply(store, command)
    assert ending(again) == "USER_NOT_FOUND"
    assert again.duplicate


def test_a_user_created_a_moment_ago_is_waited_for(store: Store, users: Users, user_id: int, partition: int) -> None:
    """Its commands wait in their order, others' go on, and all is applied once PostgreSQL has the row."""
    known = next(USER_IDS)
    users.add(known)
    mine = [naming(store, user_id, offset, partition) for offset in (10, 11)]
    other = naming(store, known, 12, partition)
    assert endings(store, mine[0], other, mine[1]) == ["waits", "ok", "waits"]
    users.add(user_id)
    users.lane_is_at(11, partition)
    assert endings(store, *mine) == ["ok", "ok"]


def test_who_has_waited_long_enough_is_refused(store: Store, user_id: int, partition: int) -> None:
    """It is unknown whether the user exists, and the refusal says so; later ones of the key go on waiting."""
    mine = [naming(store, user_id, offset, partition) for offset in (10, 11)]
    assert endings(store, *mine) == ["waits", "waits"]
    assert endings(store, *mine, overdue=frozenset({mine[0].correlation_id})) == ["USER_UNVERIFIED", "waits"]


def test_a_deleted_user_is_refused_and_a_new_one_of_the_same_id_accepted(
    store: Store, users: Users, user_id: int, partition: int
) -> None:
    """Deletion, a row that is yet to go, no row, and a row made anew are told apart."""
    users.add(user_id)
    deletion = deliver(DeleteUserRequest(user_id=user_id), offset=20, partition=partition)
    assert endings(store, naming(store, user_id, 19, partition), deletion) == ["ok", "ok"]
    # PostgreSQL's lane has yet to delete the row.
    users.lane_is_at(20, partition)
    after = naming(store, user_id, 21, partition)
    assert endings(store, after) == ["waits"]
    # It has, but a CreateUser could be at an offset before the command.
    users.remove(user_id)
    users.lane_is_at(21, partition)
    assert endings(store, after) == ["waits"]
    users.lane_is_at(22, partition)
    assert endings(store, after) == ["USER_NOT_FOUND"]
    # The same ID is given again.
    users.add(user_id)
    users.lane_is_at(24, partition)
    assert endings(store, naming(store, user_id, 25, partition)) == ["ok"]
    assert memory_of(store).read([user_id]) == {user_id: None}


def test_a_row_that_is_yet_to_go_does_not_revive_the_user(
    store: Store, users: Users, user_id: int, partition: int
) -> None:
    """A lane that is ahead of PostgreSQL's by a deletion is not misled by the old row, however often it asks."""
    users.add(user_id)
    deletion = deliver(DeleteUserRequest(user_id=user_id), offset=30, partition=partition)
    late = naming(store, user_id, 31, partition)
    assert endings(store, deletion, late) == ["ok", "waits"]
    assert endings(store, late) == ["waits"]
    users.remove(user_id)
    users.lane_is_at(32, partition)
    assert endings(store, late) == ["USER_NOT_FOUND"]


def test_a_late_repetition_writes_nothing_of_an_erased_person(
    store: Store, users: Users, user_id: int, partition: int
) -> None:
    """A command from before the deletion is refused, though its receipt is lost and a row is there again."""
    users.add(user_id)
    deletion = deliver(DeleteUserRequest(user_id=user_id), offset=40, partition=partition)
    assert endings(store, deletion) == ["ok"]
    users.lane_is_at(50, partition)
    assert endings(store, naming(store, user_id, 39, partition)) == ["USER_NOT_FOUND"]


def test_commands_that_need_no_user_go_on_without_postgresql(running: EngineSet, user_id: int) -> None:
    """DeleteView and DeleteUser are applied though nobody can tell whether the user exists."""
    with fresh_database(running) as db:
        opened = mongo_store(running, db.name)
        batch = [
            deliver(DeleteViewRequest(user_id=user_id, view_id="01920000-0000-7000-8000-000000000000")),
            deliver(DeleteUserRequest(user_id=user_id)),
        ]
        assert endings(opened, *batch) == ["VIEW_NOT_FOUND", "ok"]
        opened.close()


@pytest.fixture
def lookup(postgres: PostgresSettings, users: Users) -> Iterator[PostgresUsers]:
    """Return a connection that has answered."""
    users.lane_is_at(1)
    opened = PostgresUsers(postgres)
    assert eventually(lambda: opened.ask([1], TOPIC_ID), 30)
    yield opened
    opened.close()


def test_a_dead_postgresql_is_left_alone_for_a_while(running: EngineSet, lookup: PostgresUsers, users: Users) -> None:
    """The first question finds it dead, those of the next second cost nothing, and later it is asked again."""
    user_id = next(USER_IDS)
    users.add(user_id)
    running.kill("postgresql")
    with structlog.testing.capture_logs() as logs:
        assert lookup.ask([user_id], TOPIC_ID) is None
        asked_s = time.monotonic()
        assert lookup.ask([user_id], TOPIC_ID) is None
        assert time.monotonic() - asked_s < 0.5
        running.start("postgresql")
        answer = eventually(lambda: lookup.ask([user_id, user_id + 1], TOPIC_ID), 30)
    assert answer is not None
    assert answer.found == {user_id}
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]


def test_a_stopped_postgresql_is_not_waited_for(lookup: PostgresUsers) -> None:
    """A server that keeps its connections and answers nothing costs a bounded time, and a fifth of the time after."""
    assert lookup._connection is not None
    backend = lookup._connection.info.backend_pid
    with frozen(backend):
        started_s = time.monotonic()
        assert lookup.ask([1], TOPIC_ID) is None
        ended_s = time.monotonic()
    assert 1 < ended_s - started_s < 10
    assert lookup._closed_until_s - ended_s > 3 * (ended_s - started_s)


def test_a_database_without_tables_tells_nothing(postgres: PostgresSettings) -> None:
    """Before the first migration commands wait, and nothing fails."""
    lookup = PostgresUsers(postgres.model_copy(update={"db": "postgres"}))
    assert lookup.ask([1], TOPIC_ID) is None
    lookup.close()
