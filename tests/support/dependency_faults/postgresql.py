"""PostgreSQL's states."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from stack.engines.native.folders import data_folder
from tests.support.dependency_faults.world import World
from tests.support.waiting import eventually

_REJECT = "host all all 127.0.0.1/32 reject\n"
_TIMEOUT_S = 30.0
_END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
)


@contextmanager
def logins_are_refused(world: World) -> Iterator[None]:
    """Let the server answer each login with 28000, and end the sessions that there are."""
    rules = data_folder(world.engines.context, "postgresql") / "cluster" / "pg_hba.conf"
    usual = rules.read_text(encoding="utf-8")
    with _connect(world) as admin:
        rules.write_text(_REJECT, encoding="utf-8")
        _reload(world)
        eventually(lambda: _is_refused(world), _TIMEOUT_S)
        admin.execute(_END_OTHERS)
    try:
        yield
    finally:
        rules.write_text(usual, encoding="utf-8")
        _reload(world)


@contextmanager
def has_no_room(world: World) -> Iterator[None]:
    """Have each insert into the inbox fail as on a full disk, with 53100."""
    with _connect(world) as admin:
        admin.execute(
            "CREATE OR REPLACE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"
        )
        admin.execute("CREATE TRIGGER no_room BEFORE INSERT ON inbox FOR EACH ROW EXECUTE FUNCTION no_room()")
    try:
        yield
    finally:
        with _connect(world) as admin:
            admin.execute("DROP TRIGGER no_room ON inbox")


def _connect(world: World) -> psycopg.Connection:
    return psycopg.connect(world.postgresql, autocommit=True)


def _reload(world: World) -> None:
    lines = (data_folder(world.engines.context, "postgresql") / "cluster" / "postmaster.pid").read_text().splitlines()
    os.kill(int(lines[0]), signal.SIGHUP)


def _is_refused(world: World) -> bool:
    try:
        psycopg.connect(world.postgresql, connect_timeout=3).close()
    except psycopg.OperationalError:
        return True
    return False
