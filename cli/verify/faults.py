"""The faults: one function each, in one table. Each returns what it did once the cause has ended."""

import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, LiteralString

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition
from psycopg import sql
from redis import Redis

from cli.verify.clock_faults import CLOCK_FAULTS
from cli.verify.connection_faults import CONNECTION_FAULTS
from cli.verify.disk_faults import DISK_FAULTS
from cli.verify.fault_world import NATIVE, STORES, FaultKind, FaultWorld, Inject
from cli.verify.member_faults import MEMBER_FAULTS
from cli.verify.platform import VerifyError
from cli.verify.point_faults import POINT_FAULTS
from cli.verify.record_faults import foreign_records, poison, records_again
from cli.verify.version_faults import VERSION_FAULTS
from mesh import topics
from mesh.kafka import QUIET_CONFIG
from mesh.topics import lane_group

_SESSION_SHARE: Final = 1.5  # how long a lane stands still, in terms of its session timeout
_ENGINE_STILL_S: Final = (2.0, 6.0)
_AGAIN_RECORDS: Final = 20
_LEFT_BYTES: Final = 16 * 1024  # of Redis's memory, where it is full
_JOIN_MAX_S: Final = 60.0
_POLL_S: Final = 0.2
# A member of a lane's group has to divide partitions up as lanes do.
_MEMBER_CONFIG: Final = {"enable.auto.commit": False, "partition.assignment.strategy": "cooperative-sticky"}
_REFUSALS: Final[Sequence[tuple[str, LiteralString]]] = (
    ("usuarios", "length(nome) % 3 > 0"),
    ("assinaturas", "user_id % 3 > 0"),
    ("pagamentos", "user_id % 3 > 0"),
    ("preferencias", "user_id % 3 > 0"),
)


def _killed(name: Callable[[FaultWorld, random.Random], str]) -> Inject:
    """SIGKILL; the supervisor starts it again."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        part = name(world, rng)
        return f"SIGKILL to {part}, ready again after {world.restart(part, signal.SIGKILL):.1f} s"

    return inject


def _still(
    name: Callable[[FaultWorld, random.Random], str], seconds: Callable[[FaultWorld, random.Random], float]
) -> Inject:
    """SIGSTOP, and SIGCONT after a while."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        part, still_s = name(world, rng), seconds(world, rng)
        with world.platform.stopped(part):
            time.sleep(still_s)
        return f"SIGSTOP to {part} for {still_s:.1f} s"

    return inject


def _everything_killed(world: FaultWorld, _rng: random.Random) -> str:
    """SIGKILL to the supervisor: every process ends with it; then a new start on the same data."""
    began_s = time.monotonic()
    world.platform.kill_everything()
    return f"everything killed and started again, ready after {time.monotonic() - began_s:.1f} s"


def _one(part: str) -> Callable[[FaultWorld, random.Random], str]:
    return lambda _world, _rng: part


def _lane(store: str) -> Callable[[FaultWorld, random.Random], str]:
    return lambda world, rng: rng.choice(world.lanes_of(store))


def _past_the_session(world: FaultWorld, rng: random.Random) -> float:
    return world.session_s * _SESSION_SHARE + rng.random()


def _a_while(_world: FaultWorld, rng: random.Random) -> float:
    return rng.uniform(*_ENGINE_STILL_S)


def _offsets_reset(store: str) -> Inject:
    """Set a lane's group back to the beginning, by a member that takes the partitions of a lane that stands still."""

    def inject(world: FaultWorld, _rng: random.Random) -> str:
        group = {"group.id": lane_group(store.upper()), "session.timeout.ms": int(world.session_s * 1000)}
        config = {**world.kafka.client_config("verify"), **QUIET_CONFIG, **group, **_MEMBER_CONFIG}
        consumer = Consumer(config)
        assigned: set[int] = set()
        try:
            with world.platform.stopped(*world.lanes_of(store)):
                consumer.subscribe(
                    [topics.COMMANDS], on_assign=lambda _, found: assigned.update(one.partition for one in found)
                )
                give_up_s = time.monotonic() + _JOIN_MAX_S
                while len(assigned) < topics.PARTITIONS:
                    if time.monotonic() > give_up_s:
                        raise VerifyError(f"the partitions of {store}'s lane were not given up in {_JOIN_MAX_S:g} s")
                    consumer.poll(_POLL_S)
                beginning = [TopicPartition(topics.COMMANDS, partition, 0) for partition in sorted(assigned)]
                consumer.commit(offsets=beginning, asynchronous=False)
                consumer.close()
        except KafkaException as error:
            raise VerifyError(f"the offsets of {store}'s lane could not be reset: {error}") from error
        return f"the group of {store}'s lane set back to offset 0 of every partition"

    return inject


def _given_up(world: FaultWorld, rng: random.Random) -> str:
    """Have PostgreSQL refuse some rows, which no handler expects, and then redrive what was given up."""
    table, condition = rng.choice(_REFUSALS)
    constraint = sql.SQL("ALTER TABLE {} ADD CONSTRAINT verify CHECK ({}) NOT VALID")
    mended = sql.SQL("ALTER TABLE {} DROP CONSTRAINT verify").format(sql.Identifier(table))
    with psycopg.connect(world.platform.endpoint("postgresql"), autocommit=True) as db:
        db.execute(constraint.format(sql.Identifier(table), sql.SQL(condition)))
        try:
            time.sleep(rng.uniform(*_ENGINE_STILL_S))
        finally:
            db.execute(mended)
    redriven = world.redrive_all()
    return f"{len(redriven)} keys parked by a rule on {table}, and redriven"


def _redis_full(world: FaultWorld, rng: random.Random) -> str:
    """Leave Redis no memory for anything new for a while."""
    still_s = rng.uniform(*_ENGINE_STILL_S)
    with Redis.from_url(world.platform.endpoint("redis"), socket_timeout=10) as client:
        limit: Any = client.config_get("maxmemory")
        used: Any = client.info("memory")
        client.config_set("maxmemory", int(used["used_memory"]) + _LEFT_BYTES)
        try:
            time.sleep(still_s)
        finally:
            client.config_set("maxmemory", limit["maxmemory"])
    return f"{_LEFT_BYTES // 1024} KiB of memory left to Redis for {still_s:.1f} s"


def _table() -> Mapping[str, FaultKind]:
    rows = [
        FaultKind("kill-gateway", _killed(_one("gateway-0")), loses_spans=True),
        *(FaultKind(f"kill-lane-{store}", _killed(_lane(store)), loses_spans=True) for store in STORES),
        FaultKind("kill-monitor", _killed(_one("monitor")), loses_spans=True),
        *(FaultKind(f"kill-{engine}", _killed(_one(engine)), touches=frozenset({engine})) for engine in STORES),
        FaultKind("kill-schema_registry", _killed(_one("schema_registry"))),
        FaultKind("kill-kafka", _killed(_one("kafka"))),
        FaultKind("kill-everything", _everything_killed, touches=frozenset(STORES), loses_spans=True),
        FaultKind("kill-opensearch", _killed(_one("opensearch")), (NATIVE,)),
        FaultKind("stop-gateway", _still(_one("gateway-0"), _a_while)),
        *(FaultKind(f"stop-lane-{store}", _still(_lane(store), _past_the_session)) for store in STORES),
        FaultKind("stop-monitor", _still(_one("monitor"), _a_while), loses_spans=True),
        *(
            FaultKind(f"stop-{engine}", _still(_one(engine), _a_while), touches=frozenset({engine}))
            for engine in (*STORES, "schema_registry", "kafka")
        ),
        FaultKind("stop-opensearch", _still(_one("opensearch"), _a_while), (NATIVE,)),
        *(FaultKind(f"reset-offsets-{store}", _offsets_reset(store), delivers_again=True) for store in STORES),
        FaultKind("give-up-postgresql", _given_up),
        FaultKind("foreign-records", foreign_records),
        FaultKind("record-again", records_again(_AGAIN_RECORDS), delivers_again=True),
        FaultKind("poison", poison),
        FaultKind("full-redis", _redis_full, touches=frozenset({"redis"})),
        *CLOCK_FAULTS,
        *CONNECTION_FAULTS,
        *DISK_FAULTS,
        *MEMBER_FAULTS,
        *POINT_FAULTS,
        *VERSION_FAULTS,
    ]
    return {row.name: row for row in rows}


FAULTS: Final = _table()


def kinds_for(engine_set: str) -> list[str]:
    """Return the names of the faults that an engine set stands, and that this machine lets be injected."""
    return [name for name, kind in FAULTS.items() if engine_set in kind.engine_sets and not kind.obstacle()]
