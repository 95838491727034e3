"""The faults: one function each, in one table. Each returns what it did once the cause has ended."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString

import psycopg
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from psycopg import sql

from cli.verify.image import ForeignRecord
from cli.verify.load import LoadRun
from cli.verify.platform import VerifiedPlatform, VerifyError
from mesh import topics
from mesh.catalog import LANE_OF_UNKNOWN_COMMANDS
from mesh.envelope import KafkaRecord
from mesh.ids import new_correlation_id
from mesh.kafka import PRODUCER_CONFIG, QUIET_CONFIG
from mesh.settings import KafkaSettings
from mesh.topic_reader import TopicReader
from mesh.topics import lane_group

EMBEDDED: Final = "embedded"
NATIVE: Final = "native"
STORES: Final = ("postgresql", "mongodb", "redis")
_SESSION_SHARE: Final = 1.5  # how long a lane stands still, in terms of its session timeout
_ENGINE_STILL_S: Final = (2.0, 6.0)
_BACK_MAX_S: Final = 240.0  # OpenSearch may take as long, killed as it wrote on a busy machine
_JOIN_MAX_S: Final = 60.0
_POLL_S: Final = 0.2
# A member of a lane's group has to divide partitions up as lanes do.
_MEMBER_CONFIG: Final = {"enable.auto.commit": False, "partition.assignment.strategy": "cooperative-sticky"}
_SEND_MAX_S: Final = 30.0
_REDRIVE_MAX_S: Final = 120.0
_REFUSALS: Final[Sequence[tuple[str, LiteralString]]] = (
    ("usuarios", "length(nome) % 3 > 0"),
    ("assinaturas", "user_id % 3 > 0"),
    ("pagamentos", "user_id % 3 > 0"),
    ("preferencias", "user_id % 3 > 0"),
)
_FOREIGN_BYTES: Final = b"\xde\xad\xbe\xef" * 4


class FaultWorld:
    """What a fault may touch."""

    def __init__(self, platform: VerifiedPlatform, load: LoadRun) -> None:
        self.platform = platform
        self.load = load
        self.kafka = KafkaSettings(bootstrap_servers=platform.endpoint("kafka"))
        self.foreign: list[ForeignRecord] = []
        self.given_up: set[str] = set()  # correlation IDs of commands that a fault had a store give up

    def lanes_of(self, store: str) -> list[str]:
        """Return the names of a store's lane processes."""
        return [f"lane-{store}-{index}" for index in range(self.platform.lanes)]

    @property
    def session_s(self) -> float:
        """How long a lane may be silent before its partitions go to another one, in seconds."""
        return int(self.platform.settings.get("KAFKA_SESSION_TIMEOUT_MS", self.kafka.session_timeout_ms)) / 1000

    def redrive_all(self) -> list[str]:
        """Redrive everything that is parked; return the correlation IDs of what was given up. Raises VerifyError."""
        command = (sys.executable, "-m", "cli", "dlq", "redrive", "--all", "--keep-going", "--json")
        try:
            done = subprocess.run(  # noqa: S603 - this command itself
                [*command, "--data-dir", str(self.platform.data_dir)],
                capture_output=True,
                timeout=_REDRIVE_MAX_S,
                check=False,
            )
            told = json.loads(done.stdout)
        except (subprocess.TimeoutExpired, ValueError) as error:
            raise VerifyError(f"what was given up could not be redriven: {error}") from error
        if done.returncode != 0:
            raise VerifyError(f"what was given up was not all redriven: {told}")
        return [one["correlation_id"] for one in told["redriven"]]

    def produce(self, record: KafkaRecord) -> tuple[int, int]:
        """Write a record to `user_events`, and return its partition and its offset. Raises VerifyError."""
        delivered: list[Message] = []
        failed: list[KafkaError] = []

        def on_delivery(error: KafkaError | None, message: Message) -> None:
            if error is None:
                delivered.append(message)
            else:
                failed.append(error)

        producer = Producer({**self.kafka.client_config("verify"), **PRODUCER_CONFIG, **QUIET_CONFIG})
        producer.produce(
            record.topic,
            record.value,
            record.key,
            partition=record.partition,
            headers=list(record.headers),
            on_delivery=on_delivery,
        )
        producer.flush(_SEND_MAX_S)
        if not delivered:
            raise VerifyError(f"Kafka did not take a record: {failed[0].str() if failed else 'it did not answer'}")
        return delivered[0].partition() or 0, delivered[0].offset() or 0


Inject = Callable[[FaultWorld, random.Random], str]


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault. To add one is to add a row to `FAULTS`."""

    name: str
    inject: Inject
    engine_sets: tuple[str, ...] = (EMBEDDED, NATIVE)
    touches: frozenset[str] = frozenset()  # the engines that do not answer meanwhile
    loses_spans: bool = False  # of what was under way: services keep spans in memory, and for some seconds only


def _killed(name: Callable[[FaultWorld, random.Random], str]) -> Inject:
    """SIGKILL; the supervisor starts it again."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        part = name(world, rng)
        before = world.platform.signal(part, signal.SIGKILL)
        began_s = time.monotonic()
        if not world.platform.wait_for(lambda: world.platform.is_back(part, before), _BACK_MAX_S):
            raise VerifyError(f"{part} was not ready again {_BACK_MAX_S:g} s after it was killed")
        return f"SIGKILL to {part}, ready again after {time.monotonic() - began_s:.1f} s"

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
    world.given_up.update(redriven)
    return f"{len(redriven)} keys parked by a rule on {table}, and redriven"


def _foreign_records(world: FaultWorld, rng: random.Random) -> str:
    """Write records that no lane can read, under keys that are nobody's."""
    kinds: Sequence[tuple[str, str | None, tuple[str, ...]]] = (
        ("undecodable bytes for postgresql", "CreatePayment", ("POSTGRESQL",)),
        ("undecodable bytes for mongodb", "RecordView", ("MONGODB",)),
        ("undecodable bytes for redis", "CacheContent", ("REDIS",)),
        ("undecodable bytes for all", "DeleteUser", ("POSTGRESQL", "MONGODB", "REDIS")),
        ("an unknown command", "DropTables", (LANE_OF_UNKNOWN_COMMANDS,)),
        ("no headers", None, (LANE_OF_UNKNOWN_COMMANDS,)),
    )
    for kind, command, stores in kinds:
        headers = [] if command is None else [(topics.CORRELATION_ID, new_correlation_id()), (topics.COMMAND, command)]
        partition, offset = world.produce(
            KafkaRecord(
                *(topics.COMMANDS, rng.randrange(topics.PARTITIONS), 0, 0, 0),
                *(f"nobody-{rng.randrange(10**9)}".encode(), _FOREIGN_BYTES, headers),
            )
        )
        world.foreign.append(ForeignRecord(kind, partition, offset, stores))
    return f"{len(kinds)} foreign records"


def _record_again(world: FaultWorld, rng: random.Random) -> str:
    """Write an acknowledged command's record once more, as a producer does that did not hear of the first."""
    chosen = [entry.correlation_id for entry in list(world.load.entries) if entry.is_acknowledged]
    wanted = set(rng.sample(chosen, min(5, len(chosen))))
    found: dict[str, KafkaRecord] = {}
    with TopicReader(world.kafka) as reader:
        for record in reader.read(topics.COMMANDS, reader.extents(topics.COMMANDS)):
            correlation_id = record.read_headers().correlation_id
            if correlation_id in wanted:
                found.setdefault(correlation_id, record)
    for record in found.values():
        world.produce(record)
    return f"{len(found)} acknowledged records written again"


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
        *(FaultKind(f"reset-offsets-{store}", _offsets_reset(store)) for store in STORES),
        FaultKind("give-up-postgresql", _given_up),
        FaultKind("foreign-records", _foreign_records),
        FaultKind("record-again", _record_again),
    ]
    return {row.name: row for row in rows}


FAULTS: Final = _table()


def kinds_for(engine_set: str) -> list[str]:
    """Return the names of the faults that an engine set stands."""
    return [name for name, kind in FAULTS.items() if engine_set in kind.engine_sets]
