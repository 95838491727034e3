"""The PostgreSQL store's promises, on a real server: one effect a command, and errors that say whose fault they are."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest

from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from processor.handlers import AnyHandler, find_handlers
from processor.migrations.runner import Migration, MigrationError, load_migrations, migrate
from processor.model import Answer
from processor.stores.postgresql import PostgresStore
from tests.support.engine_pool import Lease
from tests.support.lanes import CATALOG, delivery
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.stores import receipts
from tests.support.waiting import eventually

_USER_IDS = itertools.count(1)
NOTHING: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def engine(lease: Lease) -> EngineSet:
    """Run PostgreSQL, with the platform's tables."""
    running = lease("postgresql")
    migrate(running.endpoints["postgresql"], load_migrations())
    return running


@pytest.fixture
def db(engine: EngineSet) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection to look at the rows with."""
    with psycopg.connect(engine.endpoints["postgresql"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def store(engine: EngineSet) -> Iterator[PostgresStore]:
    """Return the lane's store."""
    opened = open_store(engine)
    yield opened
    opened.close()


def open_store(engine: EngineSet, handlers: dict[str, AnyHandler] | None = None) -> PostgresStore:
    """Open a store on a topic of its own, some of its handlers replaced."""
    settings = engine.context.postgres.model_copy(update={"port": engine.context.ports.postgresql})
    all_handlers = {**find_handlers(CATALOG, "POSTGRESQL"), **(handlers or {})}
    topic_id = new_correlation_id()
    return PostgresStore(settings, all_handlers, lambda: topic_id, inbox_ttl_s=3600)


def new_user(**fields: Any) -> CreateUserRequest:
    """Return a request for a user that is not there."""
    return CreateUserRequest(**({"user_id": next(_USER_IDS)} | person() | fields))


def user_rows(db: psycopg.Connection[Any], user_id: int) -> int:
    """Count a user's rows."""
    row = db.execute("SELECT count(*) FROM usuarios WHERE user_id = %s", (user_id,)).fetchone()
    assert row is not None
    return int(row[0])


def positions(db: psycopg.Connection[Any], store: PostgresStore) -> dict[int, int]:
    """Return what the table says of the store's topic."""
    topic_id = store._incarnation()
    return dict(
        db.execute("SELECT partition, next_offset FROM lane_positions WHERE topic_id = %s", (topic_id,)).fetchall()
    )


def test_a_command_delivered_again_gets_its_first_answer(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """The receipt differs in nothing but `duplicate`, and there is one effect."""
    user = delivery(new_user())
    (first,) = receipts(store.apply([user], NOTHING))
    (again,) = receipts(store.apply([user], NOTHING))
    assert (first.duplicate, again.duplicate) == (False, True)
    again.duplicate = False
    assert again == first
    assert user_rows(db, int(user.key)) == 1


def test_a_refusal_is_an_answer_that_stands(store: PostgresStore) -> None:
    """A command refused once is refused when it is delivered again, although it would succeed by now."""
    user = new_user()
    premature = delivery(DeleteUserRequest(user_id=user.user_id))
    store.apply([premature, delivery(user)], NOTHING)
    (again,) = receipts(store.apply([premature], NOTHING))
    assert (again.error.reason, again.duplicate) == ("USER_NOT_FOUND", True)


def test_duplicates_within_a_batch_have_one_effect(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """The first delivery is applied in its place, the others repeat its answer."""
    correlation_id, user = new_correlation_id(), new_user()
    delete = DeleteUserRequest(user_id=user.user_id)
    answered = receipts(
        store.apply(
            [
                delivery(user, correlation_id),
                delivery(user, correlation_id),
                delivery(delete),
                delivery(user, correlation_id),
            ],
            NOTHING,
        )
    )
    assert [receipt.duplicate for receipt in answered] == [False, True, False, True]
    assert {receipt.error.reason for receipt in answered} == {""}
    assert user_rows(db, user.user_id) == 0


def test_a_batch_is_applied_whole_or_not_at_all(engine: EngineSet, db: psycopg.Connection[Any]) -> None:
    """An exception in one handler leaves nothing of the commands beside it, nor of their answers."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    store = open_store(engine, {"DeleteUser": broken})
    user = delivery(new_user())
    with pytest.raises(ZeroDivisionError):
        store.apply([user, delivery(DeleteUserRequest(user_id=1))], NOTHING)
    assert user_rows(db, int(user.key)) == 0
    (receipt,) = receipts(store.apply([user], NOTHING))
    assert not receipt.duplicate
    store.close()


def test_a_value_that_the_server_can_not_hold_is_the_commands_fault(store: PostgresStore) -> None:
    """It is raised as it is, not as a store that is down: waiting would not help."""
    with pytest.raises(psycopg.DataError):
        store.apply([delivery(new_user(name="nul\0"))], NOTHING)


def test_positions_stand_in_the_batchs_transaction(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """One a partition, the highest offset plus one; they never go back."""
    store.apply([delivery(new_user(), partition=p, offset=o) for p, o in ((0, 7), (0, 8), (3, 41))], NOTHING)
    assert positions(db, store) == {0: 9, 3: 42}
    store.apply([delivery(new_user(), partition=0, offset=2)], NOTHING)
    assert positions(db, store) == {0: 9, 3: 42}


def test_positions_pass_over_what_the_lane_skips(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """Otherwise other lanes would wait for commands that are none of this lane's."""
    store.apply([delivery(new_user(), partition=0, offset=7)], NOTHING)
    store.record_positions({0: 20, 1: 5})
    assert positions(db, store) == {0: 20, 1: 5}
    store.record_positions({0: 12, 1: 5})
    assert positions(db, store) == {0: 20, 1: 5}


def test_two_lanes_with_the_same_batch_have_one_effect(engine: EngineSet, db: psycopg.Connection[Any]) -> None:
    """As when a partition moves while its last batch is under way: each answers, one of them as a duplicate."""
    batch = [delivery(new_user()) for _ in range(20)]
    stores = [open_store(engine), open_store(engine)]
    answers: list[Sequence[Answer]] = []
    start = threading.Barrier(2)

    def run(store: PostgresStore) -> None:
        store.ping()
        start.wait()
        answers.append(store.apply(batch, NOTHING))
        store.close()

    threads = [threading.Thread(target=run, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    duplicates = sorted(all(receipt.duplicate for receipt in receipts(answer)) for answer in answers)
    assert duplicates == [False, True]
    assert [user_rows(db, int(user.key)) for user in batch] == [1] * 20


def test_a_lane_waits_for_the_transaction_of_another_and_sees_its_rows(
    engine: EngineSet, store: PostgresStore, db: psycopg.Connection[Any]
) -> None:
    """A user whose e-mail address another lane is about to commit is refused, not dead-lettered."""
    user = new_user()
    answers: list[Sequence[Answer]] = []
    with psycopg.connect(engine.endpoints["postgresql"]) as other:
        other.execute(
            "INSERT INTO usuarios (user_id, nome, email, cpf) VALUES (%s, 'Outra', %s, '11144477735')",
            (next(_USER_IDS), user.email),
        )
        thread = threading.Thread(target=lambda: answers.append(store.apply([delivery(user)], NOTHING)))
        thread.start()
        eventually(lambda: db.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone(), 30)
    thread.join()
    ((receipt,),) = map(receipts, answers)
    assert receipt.error.reason == "EMAIL_ALREADY_EXISTS"


def test_a_connection_that_the_server_ends_is_opened_again(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """The batch under way is reported as not applied, and the next attempt succeeds."""
    store.ping()
    db.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'polystream-lane-postgresql'"
    )
    user = delivery(new_user())
    with pytest.raises(PolystreamError) as raised:
        store.apply([user], NOTHING)
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    (receipt,) = receipts(store.apply([user], NOTHING))
    assert not receipt.duplicate


def test_a_server_that_is_not_there_is_unavailable(engine: EngineSet) -> None:
    """Wrong port, wrong password, no tables: all of it is waited for."""
    right = engine.context.postgres.model_copy(update={"port": engine.context.ports.postgresql})
    for wrong in ({"port": 1}, {"db": "no_such_database"}, {"db": "postgres"}):
        store = PostgresStore(right.model_copy(update=wrong), {}, lambda: "topic", inbox_ttl_s=3600)
        with pytest.raises(PolystreamError) as raised:
            store.ping()
        assert raised.value.reason is Reason.STORE_UNAVAILABLE
        store.close()


def test_the_inbox_forgets_in_time(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """What was applied longer ago than the setting says is removed, and nothing else."""
    old, young = delivery(new_user()), delivery(new_user())
    store.apply([old, young], NOTHING)
    db.execute(
        "UPDATE inbox SET complete_time = now() - interval '2 hours' WHERE correlation_id = %s", (old.correlation_id,)
    )
    store._tidying.next_step_s = 0.0
    store.record_positions({})
    left = db.execute(
        "SELECT correlation_id::text FROM inbox WHERE correlation_id = ANY(%s::uuid[])",
        ([old.correlation_id, young.correlation_id],),
    ).fetchall()
    assert left == [(young.correlation_id,)]


def test_an_empty_batch_is_nothing(store: PostgresStore) -> None:
    """No transaction, no answer."""
    assert store.apply([], NOTHING) == []


def test_migrations_keep_tables_that_are_there(engine: EngineSet, db: psycopg.Connection[Any]) -> None:
    """A schema of its own stands for the database of somebody who has the inherited tables, with rows in them."""
    dsn = engine.endpoints["postgresql"] + "&options=-csearch_path%3Dinherited"
    db.execute("CREATE SCHEMA inherited")
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "CREATE TABLE usuarios (id serial PRIMARY KEY, user_id bigint, nome text, email text, cpf text, "
            "data_criacao timestamptz DEFAULT now())"
        )
        connection.execute("INSERT INTO usuarios (user_id, nome, email, cpf) VALUES (7, 'A', 'a@example.com', '1')")
    assert [migration.version for migration in migrate(dsn, load_migrations())] == [1, 2, 3, 4, 5]
    assert migrate(dsn, load_migrations()) == []
    with psycopg.connect(dsn) as connection:
        assert connection.execute("SELECT user_id FROM usuarios").fetchall() == [(7,)]
        assert connection.execute("SELECT count(*) FROM preferencias").fetchone() == (0,)


def test_migrations_that_were_changed_or_lost_are_refused(engine: EngineSet, db: psycopg.Connection[Any]) -> None:
    """The message says what to do; nothing is applied then."""
    dsn = engine.endpoints["postgresql"] + "&options=-csearch_path%3Dchanged"
    db.execute("CREATE SCHEMA changed")
    one, two = Migration(1, "0001_one.sql", "CREATE TABLE one ()"), Migration(2, "0002_two.sql", "CREATE TABLE two ()")
    migrate(dsn, [one, two])
    with pytest.raises(MigrationError, match="put the change in a new one"):
        migrate(dsn, [Migration(1, "0001_one.sql", "CREATE TABLE other ()"), two])
    with pytest.raises(MigrationError, match="does not know"):
        migrate(dsn, [one])


def test_migrations_run_side_by_side_are_applied_once(engine: EngineSet, db: psycopg.Connection[Any]) -> None:
    """As when several machines start at the same time."""
    dsn = engine.endpoints["postgresql"] + "&options=-csearch_path%3Dtogether"
    db.execute("CREATE SCHEMA together")
    applied: list[list[Migration]] = []
    threads = [threading.Thread(target=lambda: applied.append(migrate(dsn, load_migrations()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(migrations) for migrations in applied) == [0, 0, 0, len(load_migrations())]
