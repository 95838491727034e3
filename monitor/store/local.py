"""The event store of a platform without OpenSearch: one SQLite file."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.catalog import Catalog
from mesh.error_classes.event_store import classify_sqlite
from mesh.errors import PolystreamError, Reason
from monitor.records import TracedEvent
from monitor.store.port import OperationFilter, Position
from monitor.store.set_apart import SetApartFile
from monitor.story import fold

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    event_id TEXT PRIMARY KEY,
    correlation_id TEXT NOT NULL,
    timestamp_us INTEGER NOT NULL,
    sampled INTEGER NOT NULL,
    document BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_correlation_id ON events (correlation_id);
CREATE INDEX IF NOT EXISTS events_by_time ON events (timestamp_us);
CREATE TABLE IF NOT EXISTS operations (
    correlation_id TEXT PRIMARY KEY,
    accept_time_us INTEGER NOT NULL,
    state INTEGER NOT NULL,
    command TEXT NOT NULL,
    user_id INTEGER,
    document BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS operations_by_time ON operations (accept_time_us DESC, correlation_id DESC);
CREATE INDEX IF NOT EXISTS operations_by_user ON operations (user_id, accept_time_us DESC);
CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    start_us INTEGER NOT NULL,
    document BLOB NOT NULL,
    PRIMARY KEY (trace_id, span_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spans_by_time ON spans (start_us);
"""
T = TypeVar("T")

_BUSY_TIMEOUT_S = 10.0
_VARIABLES_MAX = 500  # bound parameters a statement


class LocalEventStore:
    """Events and spans in a SQLite file. See `monitor.store.port.EventStore`."""

    def __init__(self, folder: Path, catalog: Catalog, on_set_apart: Callable[[], None] = lambda: None) -> None:
        """`on_set_apart` is called for each event or span that can never be kept."""
        self._catalog = catalog
        self._set_apart = SetApartFile(folder, on_set_apart)
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            folder / "events.sqlite", timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        # WAL with NORMAL keeps every committed row over the process's death, which is what is promised.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def append(self, events: Sequence[TracedEvent]) -> None:
        """Keep events, and bring the operations they belong to up to date, in one transaction.

        One that can never be kept is set apart.
        """
        self._isolate(events, self._append, lambda traced: (f"event/{traced.event.event_id}", str(traced.event)))

    def _append(self, events: Sequence[TracedEvent]) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO events VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        traced.event.event_id,
                        traced.event.correlation_id,
                        traced.event.timestamp.ToMicroseconds(),
                        traced.sampled,
                        traced.event.SerializeToString(),
                    )
                    for traced in events
                ],
            )
            touched = {traced.event.correlation_id for traced in events}
            operations = [fold(found, self._catalog) for found in _events_by_command(db, sorted(touched))]
            db.executemany(
                "INSERT OR REPLACE INTO operations VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (
                        operation.correlation_id,
                        operation.accept_time.ToMicroseconds(),
                        operation.state,
                        operation.command,
                        operation.user_id if operation.HasField("user_id") else None,
                        operation.SerializeToString(),
                    )
                    for operation in operations
                ],
            )

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans in one transaction. One that can never be kept is set apart."""
        self._isolate(spans, self._add_spans, lambda span: (f"span/{span.trace_id}:{span.span_id}", str(span)))

    def _add_spans(self, spans: Sequence[Span]) -> None:
        with self._transaction() as db:
            db.executemany(
                "INSERT OR IGNORE INTO spans VALUES (?, ?, ?, ?)",
                [(s.trace_id, s.span_id, s.start_time.ToMicroseconds(), s.SerializeToString()) for s in spans],
            )

    def events_of(self, correlation_id: str) -> Sequence[TracedEvent]:
        """Return the events of a command, in no order."""
        rows = self._read("SELECT document, sampled FROM events WHERE correlation_id = ?", (correlation_id,))
        return [TracedEvent(Event.FromString(document), bool(sampled)) for document, sampled in rows]

    def spans_of(self, trace_id: str) -> Sequence[Span]:
        """Return the spans of a trace, in no order."""
        return [
            Span.FromString(row[0]) for row in self._read("SELECT document FROM spans WHERE trace_id = ?", (trace_id,))
        ]

    def operations(self, only: OperationFilter, after: Position | None, limit: int) -> Sequence[Operation]:
        """Return operations, newest first."""
        wanted = {"state": only.state, "command": only.command, "user_id": only.user_id}
        clauses = [f"{column} = ?" for column, value in wanted.items() if value]
        values: list[object] = [value for value in wanted.values() if value]
        if after is not None:
            clauses.append("(accept_time_us, correlation_id) < (?, ?)")
            values += [after.accept_time_us, after.correlation_id]
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        rows = self._read(
            # The columns are named above; every value is a parameter.
            f"SELECT document FROM operations {where}"  # noqa: S608
            "ORDER BY accept_time_us DESC, correlation_id DESC LIMIT ?",
            (*values, limit),
        )
        return [Operation.FromString(row[0]) for row in rows]

    def purge(self, *, before_us: int, max_spans: int) -> int:
        """Forget what is older than a time, and the oldest spans over a number."""
        with _unavailable(), self._transaction() as db:
            gone = db.execute("DELETE FROM events WHERE timestamp_us < ?", (before_us,)).rowcount
            gone += db.execute("DELETE FROM operations WHERE accept_time_us < ?", (before_us,)).rowcount
            gone += db.execute("DELETE FROM spans WHERE start_us < ?", (before_us,)).rowcount
            over = db.execute("SELECT count(*) FROM spans").fetchone()[0] - max_spans
            if over > 0:
                gone += db.execute(
                    "DELETE FROM spans WHERE (trace_id, span_id) IN "
                    "(SELECT trace_id, span_id FROM spans ORDER BY start_us LIMIT ?)",
                    (over,),
                ).rowcount
        return int(gone)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _isolate(
        self, items: Sequence[T], write: Callable[[Sequence[T]], None], told: Callable[[T], tuple[str, str]]
    ) -> None:
        """Write items, in halves where one of them is at fault, until that one is found and set apart.

        `told` returns an item's identifier and its text.
        """
        try:
            write(items)
        except (sqlite3.Error, OverflowError, ValueError) as error:
            verdict = classify_sqlite(error)
            if verdict.waits:
                raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": verdict.cause}) from error
            if len(items) == 1:
                identifier, document = told(items[0])
                self._set_apart.keep(identifier, document, verdict.cause)
                return
            middle = len(items) // 2
            self._isolate(items[:middle], write, told)
            self._isolate(items[middle:], write, told)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk has ended it already.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _read(self, statement: str, values: Sequence[object]) -> list[tuple[bytes, int]]:
        with self._lock, _unavailable():
            return self._db.execute(statement, values).fetchall()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        cause = classify_sqlite(error).cause
        raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": cause}) from error


def _events_by_command(db: sqlite3.Connection, correlation_ids: Sequence[str]) -> Iterator[list[Event]]:
    """Yield the events of each command, a bounded number of commands a statement."""
    for start in range(0, len(correlation_ids), _VARIABLES_MAX):
        some = correlation_ids[start : start + _VARIABLES_MAX]
        marks = ", ".join("?" * len(some))
        found: dict[str, list[Event]] = {}
        for correlation_id, document in db.execute(
            f"SELECT correlation_id, document FROM events WHERE correlation_id IN ({marks})",  # noqa: S608 # marks only
            some,
        ):
            found.setdefault(correlation_id, []).append(Event.FromString(document))
        yield from found.values()
