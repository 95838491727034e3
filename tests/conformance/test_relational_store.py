"""What the platform asks of any relational store: statements, values and transactions, through psycopg."""

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any, Final

import psycopg
import pytest

from processor.migrations.runner import load_migrations, migrate
from processor.user_lookup import PostgresUsers
from tests.support.people import person
from tests.support.store_engines import StoreServer
from tests.support.waiting import eventually

Db = psycopg.Connection[Any]
_USER_IDS: Final = count(10_000)
_TIMEOUT_S: Final = 20.0

# The shape of every insertion of the lane's: arrays in, one statement, what was inserted out.
_INSERT_USERS: Final = """
INSERT INTO usuarios (user_id, nome, email, cpf)
SELECT user_id, nome, email, cpf
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[])
       WITH ORDINALITY AS novo (user_id, nome, email, cpf, ordem)
 ORDER BY ordem
    ON CONFLICT DO NOTHING
RETURNING user_id, nome
"""


@pytest.fixture
def db(relational: StoreServer) -> Iterator[Db]:
    """A connection to the migrated database."""
    migrate(relational.url, load_migrations())
    with psycopg.connect(relational.url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def other(relational: StoreServer, db: Db) -> Iterator[Db]:
    """A second one, as another process has it."""
    del db
    with psycopg.connect(relational.url, autocommit=True) as connection:
        yield connection


def _one(db: Db, sql: str, *arguments: Any) -> Any:
    row = db.execute(sql, arguments or None).fetchone()
    assert row is not None
    return row[0] if len(row) == 1 else row


def _rows(*people: dict[str, Any]) -> tuple[list[Any], ...]:
    return tuple([given[field] for given in people] for field in ("user_id", "name", "email", "cpf"))


def _somebody(**fields: Any) -> dict[str, Any]:
    return {"user_id": next(_USER_IDS), **person(), **fields}


def _create(db: Db) -> int:
    somebody = _somebody()
    db.execute(_INSERT_USERS, _rows(somebody))
    return int(somebody["user_id"])


class TestValues:
    """What is stored is what is read."""

    @pytest.mark.parametrize(
        "text", ["", "São João", "I\u0307\u0131 ß ẞ", "e\u0301 é", "🎬\u200d🎞", "a'b\"c\\d\n\t%s;--"]
    )
    def test_text_comes_back_letter_for_letter(self, db: Db, text: str) -> None:
        """Any Unicode, neither normalised nor cut."""
        assert _one(db, "SELECT t FROM unnest(%s::text[]) AS t", [text]) == text
        assert _one(db, "SHOW server_encoding") == "UTF8"

    def test_letters_have_their_case(self, db: Db) -> None:
        """`lower` knows those of every language: addresses are unique whatever their case."""
        assert _one(db, "SELECT lower('ÉÇÃØ.Ω')") == "éçãø.ω"

    def test_identifiers_are_exact(self, db: Db) -> None:
        """64 bits with their sign, as parameters in arrays and as results; UUIDs as lower-case text."""
        values = [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]
        assert _one(db, "SELECT array_agg(v ORDER BY v) FROM unnest(%s::bigint[]) AS v", values) == values
        id_ = uuid.uuid4()
        assert _one(db, "SELECT unnest(%s::uuid[])::text", [str(id_).upper()]) == str(id_)

    def test_bytes_come_back(self, db: Db) -> None:
        """A receipt is bytes of any value."""
        value = bytes(range(256)) * 64
        assert _one(db, "SELECT unnest(%s::bytea[])", [value]) == value

    def test_money_is_exact_and_bounded(self, db: Db) -> None:
        """Cents become numeric(12, 2) without a rounding, and what has more digits is refused."""
        user_id = _create(db)
        insert = (
            "INSERT INTO pagamentos (user_id, valor, forma_pagamento, status)"
            " SELECT %s, v * 0.01, 'pix', 'aprovado' FROM unnest(%s::bigint[]) AS v RETURNING valor"
        )
        found = [valor for (valor,) in db.execute(insert, (user_id, [1, 10, 1999, 999_999_999_999]))]
        assert found == [Decimal("0.01"), Decimal("0.10"), Decimal("19.99"), Decimal("9999999999.99")]
        with pytest.raises(psycopg.errors.NumericValueOutOfRange):
            db.execute(insert, (user_id, [1_000_000_000_000]))

    def test_times_have_microseconds_and_a_zone(self, db: Db) -> None:
        """Whatever zone the server is in; a month after the 31st is the last of the next month."""
        moment = datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
        assert _one(db, "SELECT %s::timestamptz", moment) == moment
        db.execute("SET TIME ZONE 'UTC'")
        assert _one(db, "SELECT %s::timestamptz + make_interval(months => 1)", moment) == moment + timedelta(days=28)
        assert _one(db, "SELECT make_interval(secs => %s)", 1.5) == timedelta(seconds=1.5)

    def test_what_can_not_be_held_is_an_error_of_the_data(self, db: Db) -> None:
        """NUL in a text, and letters in a CPF: the command's fault, never the server's."""
        with pytest.raises(psycopg.DataError):
            db.execute(_INSERT_USERS, _rows(_somebody(name="nul\0")))
        with pytest.raises(psycopg.errors.CheckViolation):
            db.execute(_INSERT_USERS, _rows(_somebody(cpf="1234567890a")))

    def test_the_store_gives_ascending_identities(self, db: Db) -> None:
        """By itself alone: nobody can choose one."""
        user_id = _create(db)
        insert = (
            "INSERT INTO pagamentos (user_id, valor, forma_pagamento, status)"
            " SELECT %s, 1, 'pix', 'aprovado' FROM generate_series(1, 50) RETURNING id"
        )
        ids = [id_ for _ in range(3) for (id_,) in db.execute(insert, (user_id,))]
        assert ids == sorted(set(ids))
        with pytest.raises(psycopg.errors.GeneratedAlways):
            db.execute("INSERT INTO usuarios (id, user_id, nome, email, cpf) VALUES (1, 1, '', '', '00000000000')")


class TestStatements:
    """The forms of SQL that handlers and queries are written in."""

    def test_rows_in_the_way_are_passed_over(self, db: Db) -> None:
        """Of the table and of the same statement, by each unique index: the first in the batch's order wins."""
        there, first, second = _somebody(), _somebody(), _somebody()
        db.execute(_INSERT_USERS, _rows(there))
        batch = [
            _somebody(user_id=there["user_id"]),
            _somebody(email=there["email"].upper()),
            _somebody(cpf=there["cpf"]),
            first,
            _somebody(user_id=first["user_id"]),
            _somebody(email=first["email"].title()),
            second,
        ]
        inserted = db.execute(_INSERT_USERS, _rows(*batch)).fetchall()
        assert inserted == [(given["user_id"], given["name"]) for given in (first, second)]

    def test_nothing_stays_nothing(self, db: Db) -> None:
        """NULL in an array, and an array without elements."""
        sql = "SELECT a, b FROM unnest(%s::text[], %s::boolean[]) WITH ORDINALITY AS n (a, b, ordem) ORDER BY ordem"
        assert db.execute(sql, (["x", None], [None, True])).fetchall() == [("x", None), (None, True)]
        assert db.execute(sql, ([], [])).fetchall() == []
        assert db.execute("SELECT 1 WHERE 1 = ANY(%s::bigint[])", ([],)).fetchall() == []

    def test_what_is_a_users_goes_with_the_user(self, db: Db) -> None:
        """By the foreign keys; and nothing is anybody's who is not there."""
        user_id = _create(db)
        insert = "INSERT INTO preferencias (user_id, idioma, notificacoes, tema) VALUES (%s, 'pt-BR', true, 'sistema')"
        db.execute(insert, (user_id,))
        db.execute("DELETE FROM usuarios WHERE user_id = ANY(%s::bigint[])", ([user_id],))
        assert _one(db, "SELECT count(*) FROM preferencias WHERE user_id = %s", user_id) == 0
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            db.execute(insert, (user_id,))

    def test_one_of_a_kind_by_a_condition(self, db: Db) -> None:
        """A user has one subscription in force, and any number of others."""
        user_id = _create(db)
        insert = (
            "INSERT INTO assinaturas (user_id, plano, inicio, fim, status) VALUES (%s, 'premium', now(), now(), %s)"
        )
        for status in ("cancelada", "cancelada", "ativa"):
            db.execute(insert, (user_id, status))
        with pytest.raises(psycopg.errors.UniqueViolation):
            db.execute(insert, (user_id, "ativa"))

    def test_positions_never_go_back(self, db: Db) -> None:
        """Several rows of one upsert, each the greater of what was there and what is new."""
        topic = str(uuid.uuid4())
        upsert = (
            "INSERT INTO lane_positions AS known (topic_id, partition, next_offset)"
            " SELECT %s, * FROM unnest(%s::integer[], %s::bigint[]) ON CONFLICT (topic_id, partition) DO UPDATE"
            " SET next_offset = greatest(known.next_offset, excluded.next_offset)"
        )
        db.execute(upsert, (topic, [0, 1], [10, 10]))
        db.execute(upsert, (topic, [0, 1, 2], [5, 20, 1]))
        found = db.execute("SELECT partition, next_offset FROM lane_positions WHERE topic_id = %s", (topic,)).fetchall()
        assert dict(found) == {0: 10, 1: 20, 2: 1}

    @pytest.mark.usefixtures("db")
    def test_a_reading_session_writes_nothing(self, relational: StoreServer) -> None:
        """The options in the start of a session hold, and are no fault of the server's."""
        options = "-c default_transaction_read_only=on -c statement_timeout=200"
        with psycopg.connect(relational.url, autocommit=True, options=options) as reader:
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                reader.execute("DELETE FROM lane_positions")
            with pytest.raises(psycopg.errors.QueryCanceled):
                reader.execute("SELECT pg_sleep(5)")
            assert _one(reader, "SELECT 1") == 1


class TestTransactions:
    """What one transaction sees of another, and what stays of it."""

    def test_all_or_nothing(self, db: Db, other: Db) -> None:
        """Effect and inbox are there together at the end, and not at all after an error, nor before, for others."""
        inbox = "INSERT INTO inbox (correlation_id, command, receipt) VALUES (%s, 'X', '')"
        kept, lost = uuid.uuid4(), uuid.uuid4()
        with db.transaction():
            user_id = _create(db)
            db.execute(inbox, (kept,))
            assert _one(other, "SELECT count(*) FROM usuarios WHERE user_id = %s", user_id) == 0
        with suppress(psycopg.errors.DivisionByZero), db.transaction():
            gone = _create(db)
            db.execute(inbox, (lost,))
            db.execute("SELECT 1 / 0")
        assert _one(other, "SELECT count(*) FROM usuarios WHERE user_id = ANY(%s)", [user_id, gone]) == 1
        assert other.execute(
            "SELECT correlation_id FROM inbox WHERE correlation_id = ANY(%s)", ([kept, lost],)
        ).fetchall() == [(kept,)]

    def test_a_collision_with_another_transaction_waits_for_its_end(self, db: Db, other: Db) -> None:
        """The same correlation ID in two: the second learns what became of the first, and of the constraint's name."""
        inbox = "INSERT INTO inbox (correlation_id, command, receipt) VALUES (%s, 'X', '')"
        for commits in (True, False):
            id_ = uuid.uuid4()
            with ThreadPoolExecutor(1) as pool:
                with db.transaction(force_rollback=not commits):
                    db.execute(inbox, (id_,))
                    second = pool.submit(other.execute, inbox, (id_,))
                    _wait_for_a_lock(db, other)
                    assert not second.done()
                if commits:
                    with pytest.raises(psycopg.errors.UniqueViolation) as raised:
                        second.result(_TIMEOUT_S)
                    assert raised.value.diag.constraint_name == "inbox_pkey"
                else:
                    second.result(_TIMEOUT_S)

    def test_a_deadlock_is_found(self, db: Db, other: Db) -> None:
        """One of the two is told within seconds, and the other goes on."""
        first, second = _create(db), _create(db)
        touch = "UPDATE usuarios SET nome = nome WHERE user_id = %s"
        met = threading.Barrier(2)

        def cross(connection: Db, *order: int) -> bool:
            try:
                with connection.transaction():
                    connection.execute(touch, (order[0],))
                    met.wait(_TIMEOUT_S)
                    connection.execute(touch, (order[1],))
            except psycopg.errors.DeadlockDetected:
                return False
            return True

        with ThreadPoolExecutor(2) as pool:
            ends = [pool.submit(cross, db, first, second), pool.submit(cross, other, second, first)]
            assert sorted(end.result(_TIMEOUT_S) for end in ends) == [False, True]

    def test_waiting_has_bounds(self, db: Db, other: Db) -> None:
        """A lock, and a statement: after either, the session is of use again."""
        user_id = _create(db)
        with db.transaction():
            db.execute("UPDATE usuarios SET nome = '' WHERE user_id = %s", (user_id,))
            other.execute("SET lock_timeout = '100ms'; SET statement_timeout = '5s'")
            with pytest.raises(psycopg.errors.LockNotAvailable), other.transaction():
                other.execute("UPDATE usuarios SET nome = '' WHERE user_id = %s", (user_id,))
        other.execute("SET statement_timeout = '100ms'")
        with pytest.raises(psycopg.errors.QueryCanceled), other.transaction():
            other.execute("SELECT pg_sleep(5)")
        assert _one(other, "SELECT 1") == 1

    def test_what_others_have_locked_is_left(self, db: Db, other: Db) -> None:
        """Two lanes that tidy up at the same time do not wait for one another."""
        ids = [_create(db) for _ in range(4)]
        take = "SELECT user_id FROM usuarios WHERE user_id = ANY(%s) ORDER BY user_id LIMIT 2 FOR UPDATE SKIP LOCKED"
        with db.transaction(), other.transaction():
            found = [[id_ for (id_,) in connection.execute(take, (ids,))] for connection in (db, other)]
        assert found == [ids[:2], ids[2:]]

    def test_one_statement_is_one_moment(self, relational: StoreServer, db: Db) -> None:
        """Users and positions that are written together are read together, whatever is committed meanwhile."""
        topic, ids = str(uuid.uuid4()), [next(_USER_IDS) for _ in range(300)]
        done = threading.Event()

        def write() -> None:
            try:
                for offset, user_id in enumerate(ids):
                    with db.transaction():
                        db.execute(_INSERT_USERS, _rows(_somebody(user_id=user_id)))
                        db.execute(
                            "INSERT INTO lane_positions VALUES (%s, 0, %s)"
                            " ON CONFLICT (topic_id, partition) DO UPDATE SET next_offset = excluded.next_offset",
                            (topic, offset + 1),
                        )
            finally:
                done.set()

        users, seen = PostgresUsers(relational.postgres), []
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write)
            while not done.is_set():
                answer = users.ask(ids, topic)
                assert answer is not None
                seen.append((len(answer.found), answer.next_offsets.get(0, 0)))
            writing.result(_TIMEOUT_S)
        users.close()
        assert len({found for found, _ in seen}) > 5
        assert all(found == position for found, position in seen)


class TestMigrations:
    """The platform's tables."""

    def test_processes_that_start_together_migrate_once(self, relational: StoreServer, db: Db) -> None:
        """Two at the same time, on an empty schema: one of them applies every file; and again, nothing is to do."""
        schema = f"migrated_{uuid.uuid4().hex}"
        db.execute(f"CREATE SCHEMA {schema}")
        separator = "&" if "?" in relational.url else "?"
        dsn = f"{relational.url}{separator}options=-csearch_path%3D{schema}"
        program = (
            "import sys\n"
            "from processor.migrations.runner import load_migrations, migrate\n"
            "print('ready', flush=True)\n"
            "sys.stdin.readline()\n"
            "print(len(migrate(sys.argv[1], load_migrations())))\n"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", program, dsn],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for _ in range(2)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=_TIMEOUT_S)[0] for process in processes]
        assert sorted(map(int, answers)) == [0, len(load_migrations())]
        assert migrate(dsn, load_migrations()) == []
        db.execute(f"DROP SCHEMA {schema} CASCADE")


def _wait_for_a_lock(db: Db, other: Db) -> None:
    sql = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    pid = other.info.backend_pid
    eventually(lambda: _one(db, sql, pid), _TIMEOUT_S, interval_s=0.01)
