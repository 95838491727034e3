"""The MongoDB and Redis lanes' stores, and the PostgreSQL that they ask, for tests."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from pymongo.database import Database

from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from processor.handlers import find_handlers
from processor.migrations.runner import load_migrations, migrate
from processor.model import Answer, Delivery, GivenUp, Store, Unanswered
from processor.receipts import make_dead_letter_receipt
from processor.stores.mongodb import MongoStore, connect, database_of, ensure_indexes
from processor.stores.redis import RedisStore
from processor.stores.redis_markers import MarkerBounds
from tests.support.people import person
from tests.support.platform import EngineSet

MARKER_TTL_S: Final = 3600
MARKERS: Final = MarkerBounds(MARKER_TTL_S, 1 << 30)
TOPIC_ID: Final = "topic-1"
_CATALOG: Final = load_catalog()


def postgres_settings(engines: EngineSet) -> PostgresSettings:
    """Return the settings of the set's PostgreSQL; of nothing, where it has none."""
    return engines.context.postgres.model_copy(update={"host": "127.0.0.1", "port": engines.context.ports.postgresql})


def mongo_store(engines: EngineSet, database: str) -> MongoStore:
    """Return the store of a database of its own."""
    settings = MongoSettings(url=f"mongodb://127.0.0.1:{engines.context.ports.mongodb}/{database}")
    return MongoStore(settings, postgres_settings(engines), find_handlers(_CATALOG, "MONGODB"), lambda: TOPIC_ID)


@contextmanager
def fresh_database(engines: EngineSet) -> Iterator[Database[dict[str, Any]]]:
    """Give a new database with the platform's indexes."""
    url = f"mongodb://127.0.0.1:{engines.context.ports.mongodb}/test_{uuid.uuid4().hex}"
    with connect(MongoSettings(url=url)) as client:
        db = database_of(client)
        ensure_indexes(db, MARKER_TTL_S)
        yield db


def redis_store(engines: EngineSet) -> RedisStore:
    """Return the store of the set's Redis."""
    settings = RedisSettings(url=engines.endpoints["redis"])
    handlers = find_handlers(_CATALOG, "REDIS")
    return RedisStore(settings, postgres_settings(engines), handlers, lambda: TOPIC_ID, MARKERS)


class Users:
    """PostgreSQL's users, and how far its lane has come, as the test has it."""

    def __init__(self, settings: PostgresSettings) -> None:
        migrate(settings.dsn, load_migrations())
        self._dsn = settings.dsn

    def add(self, *user_ids: int) -> None:
        """Create users."""
        for user_id in user_ids:
            fields = person()
            self._execute(
                "INSERT INTO usuarios (user_id, nome, email, cpf) VALUES (%s, %s, %s, %s)",
                (user_id, fields["name"], fields["email"], fields["cpf"]),
            )

    def remove(self, *user_ids: int) -> None:
        """Delete users."""
        self._execute("DELETE FROM usuarios WHERE user_id = ANY(%s)", (list(user_ids),))

    def lane_is_at(self, next_offset: int, partition: int = 0) -> None:
        """Say that every command below an offset is in the rows."""
        self._execute(
            "INSERT INTO lane_positions VALUES (%s, %s, %s)"
            " ON CONFLICT (topic_id, partition) DO UPDATE SET next_offset = excluded.next_offset",
            (TOPIC_ID, partition, next_offset),
        )

    def _execute(self, statement: str, arguments: Sequence[Any]) -> None:
        with psycopg.connect(self._dsn) as connection:
            connection.execute(statement, arguments)


def apply(store: Store, *batch: Delivery, overdue: frozenset[str] = frozenset()) -> list[CommandReceipt]:
    """Apply a batch of which nothing waits, and return the receipts."""
    return receipts(store.apply(batch, overdue))


def receipts(answers: Iterable[Answer]) -> list[CommandReceipt]:
    """Return a store's answers, none of which says that its command waits."""
    known = list(answers)
    answered = [answer for answer in known if isinstance(answer, CommandReceipt)]
    assert len(answered) == len(known), "a command waits, or was passed before"
    return answered


def ending(receipt: Answer) -> str:
    """Return how a command ended: `ok`, the reason of its refusal, `waits`, `passed` or `behind` a dead letter."""
    if isinstance(receipt, Unanswered):
        return {Unanswered.DEFERRED: "waits", Unanswered.PASSED: "passed"}[receipt]
    if receipt.waits_behind:
        return "behind"
    return "ok" if receipt.state == Operation.SUCCEEDED else receipt.error.reason


def given_up(store: Store, one: Delivery, *, must_park: bool = True) -> Answer:
    """Have the store note that a command is given up, as a lane does."""
    receipt = make_dead_letter_receipt(
        correlation_id=one.correlation_id,
        command=one.command.name,
        store=store.name,
        position=one.first_position,
        cause=PolystreamError(Reason.HANDLER_FAILED, metadata={"exception": "ValueError"}),
        user_id=None,
        accept_time_ms=one.accept_time_ms,
        receive_time_ns=one.receive_time_ns,
        complete_time_ns=one.receive_time_ns,
        request_fingerprint=one.request_fingerprint,
    )
    assert one.record is not None
    (answer,) = store.park([GivenUp(one.record, one.key, receipt, one.parked_as, must_park=must_park)])
    return answer


def substance(receipt: CommandReceipt) -> CommandReceipt:
    """Return what must be the same in every answer to a command: all but the times, and the mark of a repetition."""
    same = CommandReceipt()
    same.CopyFrom(receipt)
    for field in ("accept_time", "receive_time", "complete_time", "duplicate"):
        same.ClearField(field)
    return same
