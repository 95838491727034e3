"""The inbox shrinks as fast as it grows, in short steps, whatever else goes wrong."""

import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg
import pytest
from polystream.v1.users_pb2 import UpdateUserRequest

from mesh.ids import new_correlation_id
from processor.handlers import find_handlers
from processor.migrations.runner import load_migrations, migrate
from processor.stores.postgresql import PostgresStore
from processor.stores.postgresql_tidying import EXPIRE_SUBSCRIPTIONS, FORGET_APPLIED, STEP_ROWS
from tests.support.engine_pool import Lease
from tests.support.lanes import CATALOG, delivery
from tests.support.platform import EngineSet

_NOTHING: Final[frozenset[str]] = frozenset()
_TTL_S: Final = 3600
_OFFSETS = itertools.count(1)
_FILL = """
INSERT INTO inbox (correlation_id, command, receipt, complete_time)
SELECT gen_random_uuid(), 'UpdateUser', %s, now() - make_interval(secs => %s) - number * interval '1 millisecond'
  FROM generate_series(1, %s) AS number
"""


@pytest.fixture(scope="module")
def engine(lease: Lease) -> EngineSet:
    """Run PostgreSQL, with the platform's tables."""
    running = lease("postgresql")
    migrate(running.endpoints["postgresql"], load_migrations())
    return running


@pytest.fixture
def db(engine: EngineSet) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection to look at the rows with; there are none at first."""
    with psycopg.connect(engine.endpoints["postgresql"], autocommit=True) as connection:
        connection.execute("TRUNCATE inbox")
        yield connection
        connection.execute("TRUNCATE inbox")


@pytest.fixture
def store(engine: EngineSet) -> Iterator[PostgresStore]:
    """Return the lane's store."""
    settings = engine.context.postgres.model_copy(update={"port": engine.context.ports.postgresql})
    topic_id = new_correlation_id()
    opened = PostgresStore(settings, find_handlers(CATALOG, "POSTGRESQL"), lambda: topic_id, inbox_ttl_s=_TTL_S)
    yield opened
    opened.close()


def count(db: psycopg.Connection[Any], where: str = "true") -> int:
    """Return how many rows the inbox has."""
    row = db.execute(f"SELECT count(*) FROM inbox WHERE {where}").fetchone()
    assert row is not None
    return int(row[0])


def work(store: PostgresStore, commands: int) -> None:
    """Take a round as the lane does: a batch is applied, and how far it has come is recorded."""
    batch = [delivery(UpdateUserRequest(user_id=1, name="Ana"), offset=next(_OFFSETS)) for _ in range(commands)]
    store.apply(batch, _NOTHING)
    store.record_positions({0: batch[-1].offset + 1})


def test_it_shrinks_while_whole_batches_come_in(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """In every round at least twice a batch goes, as long as there is more."""
    db.execute(_FILL, (b"x" * 200, _TTL_S, 8000))
    for _ in range(12):
        work(store, 100)
    assert count(db, f"complete_time < now() - interval '{_TTL_S} seconds'") == 0
    assert count(db) == 1200


def test_it_shrinks_while_nothing_comes_in(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """A lane without work goes on tidying in its empty rounds, and then seldom."""
    db.execute(_FILL, (b"x", _TTL_S, 3 * STEP_ROWS))
    for _ in range(5):
        store.record_positions({})
    assert count(db) == 0
    assert store._tidying.next_step_s > time.monotonic() + 5


def test_a_step_is_short_and_reads_no_more_than_it_deletes(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """Of a large inbox, the index by time leads to the oldest; nothing is read whole."""
    db.execute(_FILL, (b"x" * 100, 0, 100_000))
    db.execute(_FILL, (b"x" * 100, _TTL_S, 5000))
    db.execute("ANALYZE inbox")
    for statement, values in ((FORGET_APPLIED, (_TTL_S, STEP_ROWS)), (EXPIRE_SUBSCRIPTIONS, (STEP_ROWS,))):
        with db.transaction(force_rollback=True):
            db.execute("SET LOCAL enable_seqscan = off" if statement is EXPIRE_SUBSCRIPTIONS else "SELECT 1")
            plan = db.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values).fetchone()
        text = json.dumps(plan)
        assert "inbox_por_tempo" in text or "assinaturas_ativas_por_fim" in text
        assert "Seq Scan" not in text
    began_s = time.monotonic()
    store.record_positions({})
    assert time.monotonic() - began_s < 2
    assert count(db) == 105_000 - STEP_ROWS


def test_what_is_locked_or_refused_holds_up_no_command(store: PostgresStore, db: psycopg.Connection[Any]) -> None:
    """Tidying that fails is left for later: commands are applied, and their positions recorded."""
    db.execute(_FILL, (b"x", _TTL_S, 10))
    work(store, 1)
    db.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$")
    db.execute("CREATE TRIGGER refuse BEFORE DELETE ON inbox FOR EACH ROW EXECUTE FUNCTION refuse()")
    try:
        db.execute(_FILL, (b"x", _TTL_S, 10))
        store._tidying.next_step_s = 0.0
        work(store, 5)
        assert count(db) == 16
        assert store._tidying.next_step_s > time.monotonic() + 20
    finally:
        db.execute("DROP FUNCTION refuse CASCADE")
    store._tidying.next_step_s = 0.0
    store.record_positions({})
    assert count(db) == 6
