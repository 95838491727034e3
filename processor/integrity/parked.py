"""What is parked in the stores, as somebody from outside sees it: what `dlq` lists, redrives and discards."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from polystream.v1.events_pb2 import CommandReceipt

from mesh.dead_letters.dead_letter import DeadLetter, RecordPosition, first_position
from mesh.errors import PolystreamError
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from processor.model import ParkedRecord
from processor.stores import mongodb, postgresql, redis
from processor.stores.mongodb_parking import MongoParking
from processor.stores.postgresql_parking import PostgresParking
from processor.stores.redis_parking import RedisParking

_RECORDS_MAX: Final = 50_000  # of a store: more than it may park, if its settings say nothing else
_STATEMENT_TIMEOUT_MS: Final = 20_000


@dataclass(frozen=True, slots=True)
class ParkedKey:
    """A key that is parked in a store: what was given up, or is left of what it held up, and what waits behind it."""

    store: str
    first: ParkedRecord
    waiting: Sequence[ParkedRecord]

    def dead_letter(self) -> DeadLetter:
        """Return what was given up as a dead letter; where it stands on the dead-letter topic is not known here."""
        record, receipt = self.first.record, self.first.receipt
        headers, source = record.read_headers(), RecordPosition.of(record)
        return DeadLetter(
            position=source,
            source=source,
            first=first_position(source, headers),
            correlation_id=self.first.correlation_id,
            command=self.first.command,
            store=self.store,
            lane="",
            reason="" if receipt is None else receipt.error.reason,
            error="" if receipt is None else _told(receipt),
            time_ms=0 if receipt is None else receipt.complete_time.ToMilliseconds(),
            redrives=headers.redrives,
            omitted_bytes=0,
            key=self.first.key,
            value=record.value,
            headers=record.headers,
            receive_time_us=0 if receipt is None else receipt.receive_time.ToMicroseconds(),
        )


def _told(receipt: CommandReceipt) -> str:
    """Return what happened, as the dead-letter topic has it too: with what is known besides, which is no value."""
    details = ", ".join(f"{name}: {value}" for name, value in sorted(receipt.error.metadata.items()))
    return f"{receipt.error.message} ({details})" if details else receipt.error.message


@dataclass(frozen=True, slots=True)
class Parked:
    """What is parked in all stores that answer, and why the others do not."""

    keys: Sequence[ParkedKey]
    silent: Mapping[str, str]  # by store


def read_parked() -> Parked:
    """Ask every store that the settings name. Raises nothing for one that does not answer."""
    keys: list[ParkedKey] = []
    silent: dict[str, str] = {}
    for store, read in _READERS.items():
        try:
            keys += _by_key(store, read())
        except PolystreamError as error:
            silent[store] = error.metadata.get("error", error.message)
    return Parked(keys, silent)


def _by_key(store: str, records: Sequence[ParkedRecord]) -> list[ParkedKey]:
    queues: dict[bytes, list[ParkedRecord]] = {}
    for record in records:
        queues.setdefault(record.key, []).append(record)
    return [ParkedKey(store, queue[0], queue[1:]) for queue in queues.values()]


def _read_postgresql() -> list[ParkedRecord]:
    with postgresql.store_errors(), _postgresql() as cursor:
        return PostgresParking(cursor).all_records(_RECORDS_MAX)


@contextmanager
def _postgresql() -> Iterator[psycopg.Cursor[tuple[object, ...]]]:
    options = f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c default_transaction_read_only=on"
    with psycopg.connect(PostgresSettings().dsn, application_name="polystream-dlq", options=options) as connection:
        yield connection.cursor()


def _read_mongodb() -> list[ParkedRecord]:
    with mongodb.store_errors(), mongodb.connect(MongoSettings()) as client:
        return MongoParking(mongodb.database_of(client)).all_records(_RECORDS_MAX)


def _read_redis() -> list[ParkedRecord]:
    client = redis.connect(RedisSettings())
    try:
        with redis.store_errors():
            return RedisParking(client).all_records(_RECORDS_MAX)
    finally:
        client.close()


_READERS: Final[Mapping[str, Callable[[], list[ParkedRecord]]]] = {
    "POSTGRESQL": _read_postgresql,
    "MONGODB": _read_mongodb,
    "REDIS": _read_redis,
}
