"""What is wrong with a store or with Kafka is told by every door within ten seconds, with its cause and its lag."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import psycopg
import pytest
import redis
from confluent_kafka.admin import AdminClient
from polystream.v1.system_pb2 import Health
from psycopg import sql

from mesh.topics import COMMANDS
from processor.migrations.runner import load_migrations, migrate
from tests.support.engine_pool import Lease
from tests.support.freezing import frozen
from tests.support.lanes import run_module
from tests.support.parts import Parts
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

_TOLD_WITHIN_S = 10.0
_MENDED_WITHIN_S = 30.0
_START_S = 180.0  # five processes, on a machine that has other work
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def parts(lease: Lease, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    """Run all parts, on engines of all kinds; users 1 and 2 are there."""
    engines = lease("postgresql", "mongodb", "redis", "kafka", "schema_registry")
    run_module(engines, "stack.provision")
    migrate(engines.endpoints["postgresql"], load_migrations())
    made = Parts(engines, tmp_path_factory.mktemp("parts"))
    with made.running():
        eventually(made.is_healthy, _START_S)
        yield made


@contextmanager
def _statements(engines: EngineSet, harm: str, mend: str, *, ends_sessions: bool = False) -> Iterator[None]:
    with psycopg.connect(engines.endpoints["postgresql"], autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        names = {"database": sql.Identifier(connection.info.dbname), "role": sql.Identifier(connection.info.user)}

        def run(statement: str) -> None:
            connection.execute(sql.SQL(statement).format(**names))

        run(harm)
        if ends_sessions:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = current_user AND pid <> pg_backend_pid()"
            )
        try:
            yield
        finally:
            run(mend)


@contextmanager
def _locked(engines: EngineSet) -> Iterator[None]:
    with psycopg.connect(engines.endpoints["postgresql"]) as holder:
        holder.execute("LOCK TABLE pagamentos IN ACCESS EXCLUSIVE MODE")
        yield


@contextmanager
def _redis(engines: EngineSet, harm: tuple[str, ...], mend: tuple[str, ...]) -> Iterator[None]:
    with redis.Redis.from_url(engines.endpoints["redis"]) as client:
        client.execute_command(*harm)
        try:
            yield
        finally:
            client.execute_command(*mend)


def _renamed(engines: EngineSet) -> AbstractContextManager[None]:
    return _statements(
        engines, "ALTER TABLE pagamentos RENAME TO guardados", "ALTER TABLE guardados RENAME TO pagamentos"
    )


def _revoked(engines: EngineSet) -> AbstractContextManager[None]:
    return _statements(engines, "REVOKE INSERT ON pagamentos FROM {role}", "GRANT INSERT ON pagamentos TO {role}")


def _read_only(engines: EngineSet) -> AbstractContextManager[None]:
    return _statements(
        engines,
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "ALTER DATABASE {database} RESET default_transaction_read_only",
        ends_sessions=True,
    )


def _replica(engines: EngineSet) -> AbstractContextManager[None]:
    return _redis(engines, ("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE"))


def _full(engines: EngineSet) -> AbstractContextManager[None]:
    return _redis(engines, ("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"))


def _forbidden(engines: EngineSet) -> AbstractContextManager[None]:
    return _redis(
        engines, ("ACL", "SETUSER", "default", "-evalsha", "-eval"), ("ACL", "SETUSER", "default", "+evalsha", "+eval")
    )


@dataclass(frozen=True)
class Fault:
    """What is done to one store, and the words that health is to say of it."""

    store: str
    command: str  # the path of a command that meets it
    harm: Callable[[EngineSet], AbstractContextManager[None]]
    words: str


def _of_postgresql(harm: Callable[[EngineSet], AbstractContextManager[None]], words: str) -> Fault:
    return Fault("postgresql", "/usuarios/{user_id}/pagamento", harm, words)


def _of_redis(harm: Callable[[EngineSet], AbstractContextManager[None]], words: str) -> Fault:
    return Fault("redis", "/cache/conteudo/1001", harm, words)


# Lanes are independent: each case harms two stores at once.
_CASES: Mapping[str, tuple[Fault, ...]] = {
    "renamed-and-replica": (_of_postgresql(_renamed, "42P01"), _of_redis(_replica, "READONLY")),
    "locked-and-full": (_of_postgresql(_locked, "a call to it has not been answered"), _of_redis(_full, "OOM")),
    "revoked-and-forbidden": (_of_postgresql(_revoked, "42501"), _of_redis(_forbidden, "NOPERM")),
    "read-only": (_of_postgresql(_read_only, "25006"),),
}


@pytest.fixture
def user_id(parts: Parts) -> str:
    """Return the ID of a user whom all lanes know."""
    created = parts.send("/usuarios")
    eventually(lambda: parts.operation(created).get("state") == "SUCCEEDED", _MENDED_WITHIN_S)
    return str(parts.operation(created)["user_id"])


@pytest.mark.parametrize("case", _CASES)
def test_a_store_that_takes_nothing_is_told_by_every_door(parts: Parts, user_id: str, case: str) -> None:
    """With lag and cause, while the other lanes go on; what was acknowledged is applied once the store takes it."""
    faults = _CASES[case]
    lanes = {f"lane-{fault.store}" for fault in faults}
    eventually(parts.is_healthy, _MENDED_WITHIN_S)
    with ExitStack() as harmed:
        for fault in faults:
            harmed.enter_context(fault.harm(parts.engines))
        sent = [parts.send(fault.command.format(user_id=user_id)) for fault in faults]
        began_s = time.monotonic()
        eventually(lambda: all(_is_told(parts.health()[f"lane-{fault.store}"], fault) for fault in faults), 30)
        assert time.monotonic() - began_s < _TOLD_WITHIN_S

        assert parts.health()[""]["status"] == "DEGRADED"
        others = {f"lane-{store}" for store in parts.lanes} - lanes
        assert {parts.health()[name]["status"] for name in others} == {"HEALTHY"}
        by_grpc = {component.name: component for component in parts.grpc_health().components}
        for fault in faults:
            name = f"lane-{fault.store}"
            assert by_grpc[name].status == Health.DEGRADED
            assert by_grpc[name].lag_records >= 1
            assert by_grpc[name].HasField("oldest_command_age")
            assert _is_told(parts.dashboard_health()[name], fault)
            assert not parts.serves(name)
            told = parts.lanes[fault.store].told()
            assert (told["state"], fault.words in told["cause"]) == ("DEGRADED", True)
        assert not parts.serves("polystream")
        assert all(parts.serves(name) for name in ("", "polystream.v1.UserService", *others))
    mended_s = time.monotonic()
    eventually(lambda: {parts.operation(id_).get("state") for id_ in sent} == {"SUCCEEDED"}, 60)
    eventually(parts.is_healthy, 60)
    assert time.monotonic() - mended_s < _MENDED_WITHIN_S
    assert parts.serves("polystream")
    eventually(lambda: {parts.health()[name]["lag_records"] for name in lanes} == {0}, _MENDED_WITHIN_S)


def _is_told(component: Mapping[str, Any], fault: Fault) -> bool:
    return (
        component["status"] == "DEGRADED"
        and component["detail"].startswith(f"waits for {fault.store} since ")
        and fault.words in component["detail"]
        and component["lag_records"] >= 1
        and bool(component["since_time"])
    )


def test_a_store_that_hangs_is_told_though_nothing_is_to_be_applied(parts: Parts) -> None:
    """Its lane asks it for a sign of life: whoever looks learns of it before a command has to wait."""
    eventually(parts.is_healthy, _MENDED_WITHIN_S)
    began_s = time.monotonic()
    with frozen(parts.engines.pid("mongodb")):
        eventually(lambda: parts.health()["lane-mongodb"]["status"] == "DEGRADED", 30)
        assert time.monotonic() - began_s < _TOLD_WITHIN_S + 2.0  # every answer takes as long as a probe may
        health = parts.health()
        assert health["mongodb"]["status"] == "UNHEALTHY"
        assert health["lane-mongodb"]["detail"].startswith("waits for mongodb since ")
        assert {health[f"lane-{store}"]["status"] for store in ("postgresql", "redis")} == {"HEALTHY"}
    eventually(parts.is_healthy, _MENDED_WITHIN_S)


def test_a_broker_that_hangs_is_told_by_every_part_that_needs_it(parts: Parts) -> None:
    """Lanes and monitor say that they wait for Kafka, and so does a gateway that has a command to send.

    That Kafka does not answer is told at once; they notice by what they ask it, and by the end of their session.
    """
    eventually(parts.is_healthy, _MENDED_WITHIN_S)
    began_s = time.monotonic()
    waiting = ("lane-postgresql", "lane-mongodb", "lane-redis", "monitor")
    with frozen(parts.engines.pid("kafka")):
        eventually(lambda: parts.health()["kafka"]["status"] == "UNHEALTHY", 30)
        assert parts.health()[""]["status"] == "DEGRADED"
        assert time.monotonic() - began_s < _TOLD_WITHIN_S
        eventually(lambda: all("waits for kafka since " in parts.health()[name]["detail"] for name in waiting), 30)
        assert time.monotonic() - began_s < 2 * _TOLD_WITHIN_S
        assert parts.rest.post("/usuarios").status_code == 503
        eventually(lambda: "waits for kafka since " in parts.health()["gateway"]["detail"], _TOLD_WITHIN_S)
        assert parts.serves("")
    eventually(parts.is_healthy, 60)


def test_a_part_that_dies_is_missed_and_heard_again(parts: Parts) -> None:
    """A lane that nobody hears of is UNHEALTHY within ten seconds, and one that stops leaves no lane of its store."""
    eventually(parts.is_healthy, _MENDED_WITHIN_S)
    lane = parts.lanes["redis"]
    lane.kill()
    eventually(lambda: parts.health()["lane-redis"]["status"] == "UNHEALTHY", _TOLD_WITHIN_S)
    assert parts.health()["lane-redis"]["detail"].startswith("not heard of for ")
    lane.start()
    eventually(parts.is_healthy, _MENDED_WITHIN_S)
    assert lane.stop() == 0
    eventually(lambda: parts.health()["lane-redis"]["detail"] == "no lane of redis reports", _TOLD_WITHIN_S)
    lane.start()
    eventually(parts.is_healthy, _MENDED_WITHIN_S)


def test_nothing_is_taken_while_the_commands_topic_is_missing_and_all_goes_on_in_a_new_one(parts: Parts) -> None:
    """What was acknowledged before is gone with the topic, as its deletion says; what is after it is applied."""
    eventually(parts.is_healthy, _MENDED_WITHIN_S)
    admin = AdminClient({"bootstrap.servers": parts.engines.endpoints["kafka"]})
    admin.delete_topics([COMMANDS])[COMMANDS].result(_TOLD_WITHIN_S)
    eventually(lambda: parts.rest.post("/usuarios").status_code == HTTPStatus.SERVICE_UNAVAILABLE, _TOLD_WITHIN_S)
    eventually(lambda: f"there is no topic {COMMANDS}" in parts.health()["gateway"]["detail"], _TOLD_WITHIN_S)
    (info,) = (detail for detail in parts.rest.post("/usuarios").json()["details"] if "reason" in detail)
    assert "python -m stack.provision" in info["metadata"]["error"]
    assert {parts.rest.post("/usuarios").status_code for _ in range(50)} == {HTTPStatus.SERVICE_UNAVAILABLE}

    run_module(parts.engines, "stack.provision")
    sent: list[str] = []

    def is_taken() -> bool:
        answer = parts.rest.post("/usuarios")
        sent.extend([answer.json()["correlation_id"]] if answer.is_success else [])
        return len(sent) > 50  # so that every partition has some

    eventually(is_taken, 60)
    # librdkafka was seen to fetch nothing of the new topic: after 24 s another consumer reads.
    eventually(lambda: {parts.operation(id_).get("state") for id_ in sent} == {"SUCCEEDED"}, 90)
    eventually(parts.is_healthy, 60)
