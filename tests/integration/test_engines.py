"""Every embedded engine: ready when it says so, kept data, clean stop."""

import os
import pwd
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymongo
import pytest
import redis
from confluent_kafka.admin import AdminClient
from pymongo.errors import PyMongoError

from stack.engines import EMBEDDED
from stack.engines import process as processes
from stack.engines import redis as redis_engine
from stack.engines.spec import StackError
from tests.support.ordinary_user import folder_for_everybody
from tests.support.platform import EngineSet, engines


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineSet]:
    """Run the three stores for this module."""
    with engines({"postgresql", "mongodb", "redis"}, tmp_path_factory.mktemp("stores"), EMBEDDED) as running:
        yield running


def test_postgresql_gives_the_role_its_database(stores: EngineSet) -> None:
    """The role of the settings logs in by password, owns the database, and is no superuser."""
    with psycopg.connect(stores.endpoints["postgresql"]) as connection:
        row = connection.execute(
            "SELECT current_user, current_database(), rolsuper, lower('É'), current_setting('fsync')"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == ("user", "streaming_db", False, "é", "on")


def test_postgresql_refuses_a_wrong_password_and_its_own_admin(stores: EngineSet) -> None:
    """A login without the right password fails, and the cluster's owner cannot log in at all."""
    for user, password in (("user", "wrong"), ("postgres", "postgres")):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(
                host="127.0.0.1",
                port=stores.context.ports.postgresql,
                user=user,
                password=password,
                dbname="streaming_db",
            )


def test_postgresql_keeps_its_data_over_a_kill(stores: EngineSet) -> None:
    """What was committed before a SIGKILL is there after the next start."""
    with psycopg.connect(stores.endpoints["postgresql"]) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept SELECT generate_series(1, 1000)")
    stores.kill("postgresql")
    stores.start("postgresql")
    with psycopg.connect(stores.endpoints["postgresql"]) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1000,)


def test_postgresql_writes_no_values_into_its_log(stores: EngineSet) -> None:
    """A violated constraint is logged without the values that violate it."""
    with psycopg.connect(stores.endpoints["postgresql"], autocommit=True) as connection:
        connection.execute("CREATE TABLE secret (email text PRIMARY KEY)")
        connection.execute("INSERT INTO secret VALUES ('ana@example.com')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO secret VALUES ('ana@example.com')")
    assert "duplicate key value" in stores.log("postgresql")
    assert "ana@example.com" not in stores.log("postgresql")


def test_redis_keeps_its_data_over_a_kill(stores: EngineSet) -> None:
    """What was acknowledged before a SIGKILL is there after the next start, time to live included."""
    client = redis.Redis.from_url(stores.endpoints["redis"])
    for number in range(500):
        client.set(f"kept:{number}", number, ex=1000)
    stores.kill("redis")
    stores.start("redis")
    assert client.get("kept:499") == b"499"
    assert 0 < client.ttl("kept:0") <= 1000
    assert client.dbsize() == 500
    client.close()


def test_mongodb_keeps_every_acknowledged_document_over_a_kill(stores: EngineSet) -> None:
    """A SIGKILL in the middle of writing loses no document whose insert was acknowledged."""
    acknowledged: list[int] = []
    enough = threading.Event()

    def write() -> None:
        with pymongo.MongoClient[dict[str, Any]](stores.endpoints["mongodb"], serverSelectionTimeoutMS=100) as client:
            try:
                for batch in range(100_000):
                    numbers = range(batch * 10, batch * 10 + 10)
                    client.streaming_db.kept.insert_many([{"_id": number, "text": "x" * 200} for number in numbers])
                    acknowledged.extend(numbers)
                    if batch == 200:
                        enough.set()
            except PyMongoError:
                return

    writer = threading.Thread(target=write)
    writer.start()
    assert enough.wait(30)
    stores.kill("mongodb")
    writer.join(30)
    stores.start("mongodb")
    with pymongo.MongoClient[dict[str, Any]](stores.endpoints["mongodb"]) as client:
        kept = {document["_id"] for document in client.streaming_db.kept.find({}, {"_id": 1})}
    assert set(acknowledged) - kept == set()


def test_stores_stop_cleanly_when_asked(stores: EngineSet) -> None:
    """Asked to stop, each store ends by itself with success, within its bound, and starts again."""
    for name in ("postgresql", "mongodb", "redis"):
        process, command = stores._running[name]
        processes.send(process, command.stop_signal)
        assert process.wait(command.stop_timeout_s) == 0, stores.log(name)
        stores.start(name)


def test_kafka_answers_its_clients(tmp_path: Path) -> None:
    """The broker is known to clients under the address that the settings give."""
    with engines({"kafka"}, tmp_path, EMBEDDED) as running:
        admin = AdminClient({"bootstrap.servers": running.settings["KAFKA_BOOTSTRAP_SERVERS"]})
        brokers = admin.list_topics(timeout=5).brokers
        assert [f"{broker.host}:{broker.port}" for broker in brokers.values()] == [running.endpoints["kafka"]]


def test_other_credentials_reach_the_same_database(tmp_path: Path) -> None:
    """A password that was changed in the settings is the role's password after the next start."""
    first = EngineSet({"postgresql"}, tmp_path, EMBEDDED)
    first.start_all()
    first.stop_all()
    second = EngineSet({"postgresql"}, tmp_path, EMBEDDED)
    secret = type(second.context.postgres.password)("it's \\new\n")
    changed = second.context.postgres.model_copy(update={"password": secret})
    second.context = type(second.context)(second.context.data_dir, second.context.ports, changed)
    try:
        second.start_all()
        with psycopg.connect(second.endpoints["postgresql"]) as connection:
            assert connection.execute("SELECT current_user").fetchone() == ("user",)
    finally:
        second.stop_all()


def test_a_cluster_of_another_version_is_left_alone(tmp_path: Path) -> None:
    """A data folder of another PostgreSQL is refused with a remedy, and not touched."""
    other = EngineSet({"postgresql"}, tmp_path, EMBEDDED)
    cluster = tmp_path / "postgresql" / "cluster"
    cluster.mkdir(parents=True)
    (cluster / "PG_VERSION").write_text("15\n")
    with pytest.raises(StackError, match="made by PostgreSQL 15 and this is 18"):
        other.start_all()
    assert [path.name for path in cluster.iterdir()] == ["PG_VERSION"]


def test_postgresql_is_never_root(tmp_path: Path) -> None:
    """It runs as an ordinary user without privileges; only below a closed folder it may pass through folders."""
    with folder_for_everybody() as folder, engines({"postgresql"}, folder / "data", EMBEDDED) as running:
        assert _uid_and_capabilities(running.pid("postgresql")) == (_expected_uid(), 0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with engines({"postgresql"}, closed / "data", EMBEDDED) as running:
        may_pass = 1 << 1 if os.geteuid() == 0 else 0
        assert _uid_and_capabilities(running.pid("postgresql")) == (_expected_uid(), may_pass)


def _expected_uid() -> int:
    return os.geteuid() or pwd.getpwnam("nobody").pw_uid


def _uid_and_capabilities(pid: int) -> tuple[int, int]:
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["Uid"].split()[1]), int(status["CapEff"], 16)


def test_nothing_starts_for_a_parent_that_is_gone(tmp_path: Path) -> None:
    """The launcher starts no program when its parent died before it could tie itself to it."""
    context = EngineSet({"redis"}, tmp_path, EMBEDDED).context
    argv = processes.launcher_argv(redis_engine.ENGINE.command(context))
    argv[argv.index(str(os.getpid()))] = "1"  # another parent than the one that starts it
    assert subprocess.run(argv, timeout=10, check=False).returncode == 1
