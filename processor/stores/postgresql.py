"""PostgreSQL as a lane's store: a batch is one transaction, with the inbox and the lane's positions in it."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

import psycopg
import structlog
from polystream.v1.events_pb2 import CommandReceipt

from mesh.envelope import KafkaRecord
from mesh.error_classes.classes import ErrorVerdict
from mesh.error_classes.postgresql import classify_postgresql
from mesh.errors import PolystreamError, Reason
from mesh.settings import PostgresSettings
from mesh.telemetry.logs import describe
from processor.batches import answer_batch, group_by_command, split_batch, without_repetitions
from processor.handlers import AnyHandler
from processor.model import Answer, Delivery, GivenUp, Outcome, ParkedRecord
from processor.parking import (
    Known,
    ParkingBounds,
    Sorted,
    may_be_marked,
    park_in_order,
    parked_id,
    sort_out,
    waiting_record,
)
from processor.receipts import make_receipt
from processor.stores.postgresql_parking import PostgresParking
from processor.stores.postgresql_tidying import Tidying

_LOG = structlog.get_logger(__name__)

_APPLICATION_NAME = "polystream-lane-postgresql"
_DEAD_PEER_TIMEOUT_MS = 10_000  # a server that vanished without a word is noticed after that
# Plans are made for the tables as they are: one kept from when they were empty would read them whole.
_SESSION = "SET statement_timeout = '20s'; SET lock_timeout = '10s'; SET plan_cache_mode = force_custom_plan"
_MAX_CONFLICTS = 5  # repetitions of a batch that met another lane's transaction

_READ_INBOX = "SELECT correlation_id::text, receipt FROM inbox WHERE correlation_id = ANY(%s::uuid[])"
_WRITE_INBOX = """
INSERT INTO inbox (correlation_id, command, receipt)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::bytea[])
"""
_LOCK_POSITIONS = """
SELECT partition, next_offset FROM lane_positions
 WHERE topic_id = %s AND partition = ANY(%s::integer[])
 ORDER BY partition FOR UPDATE
"""
_WRITE_POSITIONS = """
INSERT INTO lane_positions AS known (topic_id, partition, next_offset)
SELECT %s, * FROM unnest(%s::integer[], %s::bigint[])
    ON CONFLICT (topic_id, partition) DO UPDATE
   SET next_offset = greatest(known.next_offset, excluded.next_offset)
"""


class _ConflictError(PolystreamError):
    """Another lane, or anybody else, had its writes in the way: the same batch may succeed at once."""

    def __init__(self, cause: psycopg.Error, verdict: ErrorVerdict) -> None:
        super().__init__(Reason.STORE_UNAVAILABLE, metadata=_said(verdict))
        self.cause = cause
        self.is_waited_for = verdict.waits  # where no repetition helps


class PostgresStore:
    """The PostgreSQL lane's store. One connection, one caller at a time."""

    name = "POSTGRESQL"

    def __init__(
        self,
        settings: PostgresSettings,
        handlers: Mapping[str, AnyHandler],
        incarnation: Callable[[], str],
        *,
        inbox_ttl_s: float,
        max_batch: int = 500,
        parking_bounds: ParkingBounds = ParkingBounds(),  # noqa: B008 - it cannot be changed
    ) -> None:
        """`max_batch` is how many commands `apply` is given at once at the most."""
        self._settings = settings
        self._handlers = handlers
        self._incarnation = incarnation
        self._connection: psycopg.Connection[Any] | None = None
        self._recorded: dict[tuple[str, int], int] = {}  # next offset in the table, by topic ID and partition
        self._parking = parking_bounds
        self._tidying = Tidying(self._transaction, inbox_ttl_s, 2 * max_batch)

    def ping(self) -> None:
        """Ask the server for a sign of life, and for the tables. Raises PolystreamError."""
        with self._transaction() as cursor:
            cursor.execute(_READ_INBOX, ([],))
            PostgresParking(cursor).count()

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[Answer]:
        """Apply a batch in one transaction. No command is deferred, because PostgreSQL holds all users."""
        del overdue
        return self._whatever_conflicts(lambda: self._apply_once(batch), len(batch)) if batch else []

    def park(self, given_up: Sequence[GivenUp]) -> Sequence[Answer]:
        """Note that records are given up, in one transaction."""
        return self._whatever_conflicts(lambda: self._park_once(given_up), len(given_up))

    def parked(self, key: bytes) -> Sequence[ParkedRecord]:
        """Return what is parked under a key."""
        with self._transaction() as cursor:
            return PostgresParking(cursor).records(key)

    def discard(self, parked: ParkedRecord) -> None:
        """Let go of a record that was given up: its answer is its mark from now on."""
        with self._transaction() as cursor:
            parking = PostgresParking(cursor)
            is_marked = bool(_read_inbox(cursor, [parked.correlation_id]))
            if parked.receipt is not None and not is_marked and may_be_marked(parked, parking.records(parked.key)):
                _write_inbox(cursor, {parked.correlation_id: parked.receipt})
            parking.remove([parked.id])

    def remove_parked(self, key: bytes, ids: Sequence[str]) -> None:
        """Let go of records that were parked."""
        del key
        with self._transaction() as cursor:
            PostgresParking(cursor).remove(ids)

    def count_parked(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        with self._transaction() as cursor:
            return PostgresParking(cursor).count()

    def record_positions(self, next_offsets: Mapping[int, int]) -> None:
        """Record that every command below these offsets, one a partition, is applied: those skipped too.

        Called in every round, it tidies up besides, a step at a time. Raises PolystreamError with STORE_UNAVAILABLE;
        the next call then records these offsets too.
        """
        self._tidying.step_when_due()
        if not next_offsets:
            return
        topic_id = self._incarnation()
        news = {p: offset for p, offset in next_offsets.items() if offset > self._recorded.get((topic_id, p), 0)}
        if not news:
            return
        with self._transaction() as cursor:
            # A position lost in a crash only makes others wait for the next one.
            cursor.execute("SET LOCAL synchronous_commit = off")
            self._write_positions(cursor, topic_id, news)
        self._remember(topic_id, news)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _whatever_conflicts(self, step: Callable[[], list[Answer]], records: int) -> list[Answer]:
        for _ in range(_MAX_CONFLICTS):
            try:
                return step()
            except _ConflictError as error:
                _LOG.info("batch repeated after a conflict", error=describe(error.cause), records=records)
        try:
            return step()
        except _ConflictError as error:
            if error.is_waited_for:
                raise
            raise error.cause from None

    def _apply_once(self, batch: Sequence[Delivery]) -> list[Answer]:
        topic_id = self._incarnation()
        positions = _positions_after(batch)
        with self._transaction() as cursor:
            first = without_repetitions(batch)
            parking = PostgresParking(cursor)
            keys = {delivery.key for delivery in batch}
            known = self._read_known(cursor, keys, list(first), self._lock_positions(cursor, topic_id, positions))
            earlier = known.receipts
            found = sort_out(batch, known, topic_id, self.name, commands_max=self._parking.commands_max)
            made = self._handle(found, cursor)
            _write_inbox(cursor, made)
            for delivery in found.wait:
                parking.add(waiting_record(parked_id(topic_id, delivery), delivery))
            self._write_positions(cursor, topic_id, positions)
        self._remember(topic_id, positions)
        return answer_batch(batch, earlier, made | found.answered, found.passed)

    def _park_once(self, given_up: Sequence[GivenUp]) -> list[Answer]:
        topic_id = self._incarnation()
        positions = _positions_after([one.record for one in given_up if not one.parked_as])
        answers: list[Answer] = []
        with self._transaction() as cursor:
            parking = PostgresParking(cursor)
            keys = {one.key for one in given_up}
            ids = [one.receipt.correlation_id for one in given_up]
            known = self._read_known(cursor, keys, ids, self._lock_positions(cursor, topic_id, positions))
            keys_parked, _ = parking.count()
            answers = park_in_order(
                given_up,
                known,
                topic_id,
                parking,
                keys_free=self._parking.keys_max - keys_parked,
                commands_max=self._parking.commands_max,
            )
            self._write_positions(cursor, topic_id, positions)
        self._remember(topic_id, positions)
        return answers

    def _lock_positions(
        self, cursor: psycopg.Cursor[Any], topic_id: str, partitions: Iterable[int]
    ) -> Mapping[int, int]:
        """Return how far the store has come, and keep other lanes from coming further meanwhile."""
        return dict(cursor.execute(_LOCK_POSITIONS, (topic_id, sorted(partitions))).fetchall())

    def _read_known(
        self,
        cursor: psycopg.Cursor[Any],
        keys: Collection[bytes],
        correlation_ids: Sequence[str],
        positions: Mapping[int, int],
    ) -> Known:
        parking = PostgresParking(cursor)
        queues = parking.queues(keys)
        room = self._parking.records_max - parking.count()[1] if queues else 0
        waiting = [entry.correlation_id for queue in queues.values() for entry in queue]
        return Known(_read_inbox(cursor, [*correlation_ids, *waiting]), queues, positions, room)

    def _handle(self, found: Sorted, cursor: psycopg.Cursor[Any]) -> dict[str, CommandReceipt]:
        receipts: dict[str, CommandReceipt] = {}
        for part in split_batch(found.go, keep_runs=False):
            to_refuse = [delivery for delivery in part if delivery.correlation_id in found.refused]
            for group in group_by_command([delivery for delivery in part if delivery not in to_refuse]):
                outcomes: Sequence[Outcome] = self._handlers[group[0].command.name](group, cursor)
                complete_time_ns = time.time_ns()
                for delivery, outcome in zip(group, outcomes, strict=True):
                    receipts[delivery.correlation_id] = make_receipt(delivery, outcome, self.name, complete_time_ns)
            for delivery in to_refuse:
                refusal = found.refused[delivery.correlation_id]
                receipts[delivery.correlation_id] = make_receipt(delivery, refusal, self.name, time.time_ns())
        return receipts

    def _write_positions(self, cursor: psycopg.Cursor[Any], topic_id: str, positions: Mapping[int, int]) -> None:
        # In one order in every process, so that two lanes never wait for one another.
        ordered = sorted(positions.items())
        cursor.execute(_WRITE_POSITIONS, (topic_id, [p for p, _ in ordered], [offset for _, offset in ordered]))

    def _remember(self, topic_id: str, positions: Mapping[int, int]) -> None:
        for partition, offset in positions.items():
            self._recorded[topic_id, partition] = max(offset, self._recorded.get((topic_id, partition), 0))

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Cursor[Any]]:
        """Open a transaction, on a new connection where there is none.

        An error of the server's, or of the way to it, is raised as STORE_UNAVAILABLE and closes the connection. One of
        somebody else's writes is raised as _ConflictError.
        """
        try:
            if self._connection is None:
                self._connection = self._connect()
            with self._connection.transaction(), self._connection.cursor() as cursor:
                yield cursor
        except psycopg.Error as error:
            verdict = classify_postgresql(error)
            if verdict.at_once:
                raise _ConflictError(error, verdict) from error
            if not verdict.waits:
                raise
            self.close()
            raise _unavailable(verdict) from error

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(
            self._settings.dsn,
            autocommit=True,
            application_name=_APPLICATION_NAME,
            tcp_user_timeout=_DEAD_PEER_TIMEOUT_MS,
        )
        connection.execute(_SESSION)
        return connection


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise an error of the server's, or of the way to it, as STORE_UNAVAILABLE."""
    try:
        yield
    except psycopg.Error as error:
        verdict = classify_postgresql(error)
        if not verdict.waits:
            raise
        raise _unavailable(verdict) from error


def _unavailable(verdict: ErrorVerdict) -> PolystreamError:
    return PolystreamError(Reason.STORE_UNAVAILABLE, metadata=_said(verdict))


def _said(verdict: ErrorVerdict) -> dict[str, str]:
    return {"store": PostgresStore.name, "error": verdict.cause}


def _read_inbox(cursor: psycopg.Cursor[Any], correlation_ids: Sequence[str]) -> dict[str, CommandReceipt]:
    cursor.execute(_READ_INBOX, (list(correlation_ids),))
    return {correlation_id: CommandReceipt.FromString(receipt) for correlation_id, receipt in cursor.fetchall()}


def _write_inbox(cursor: psycopg.Cursor[Any], receipts: Mapping[str, CommandReceipt]) -> None:
    if receipts:
        columns = (
            list(receipts),
            [receipt.command for receipt in receipts.values()],
            [receipt.SerializeToString() for receipt in receipts.values()],
        )
        cursor.execute(_WRITE_INBOX, columns)


def _positions_after(batch: Iterable[Delivery | KafkaRecord]) -> dict[int, int]:
    positions: dict[int, int] = {}
    for delivery in batch:
        if isinstance(delivery, KafkaRecord) or not delivery.parked_as:
            positions[delivery.partition] = max(delivery.offset + 1, positions.get(delivery.partition, 0))
    return positions
