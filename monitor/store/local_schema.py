"""The tables of the event store in a file, and how a file of an earlier version gets them.

Each table has an index of all that its entries are searched by, in the order of time: a search reads that index alone,
and of the table only the documents that it has found. The oldest are first, though lists begin with the newest: what
comes at an index's end fills its pages, and what comes at its beginning leaves each of them half empty.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from polystream.v1.operations_pb2 import Event, Operation, Span

from monitor.listing.conditions import All, Condition, Equals
from monitor.listing.fields import (
    EVENTS,
    OPERATIONS,
    SPANS,
    FieldValues,
    ListKind,
    event_values,
    operation_values,
    span_values,
)
from monitor.listing.listing import Listing
from monitor.listing.sqlite import SqlValue, column_values, listing_clauses

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS events (
    event_id TEXT PRIMARY KEY,
    correlation_id TEXT NOT NULL,
    timestamp_us INTEGER NOT NULL,
    sampled INTEGER NOT NULL,
    document BLOB NOT NULL
) WITHOUT ROWID;
DROP INDEX IF EXISTS events_by_correlation_id;
CREATE INDEX IF NOT EXISTS events_by_command ON events (correlation_id, timestamp_us);
DROP INDEX IF EXISTS events_by_time;
CREATE TABLE IF NOT EXISTS operations (
    correlation_id TEXT PRIMARY KEY,
    accept_time_us INTEGER NOT NULL,
    state TEXT NOT NULL,
    command TEXT NOT NULL,
    user_id INTEGER,
    document BLOB NOT NULL
) WITHOUT ROWID;
DROP INDEX IF EXISTS operations_by_time;
DROP INDEX IF EXISTS operations_by_user;
-- By row ID, so that the oldest stand together: pages are free for others as soon as they are deleted.
CREATE TABLE IF NOT EXISTS command_spans (
    id INTEGER PRIMARY KEY,
    trace_id TEXT NOT NULL,
    span_id TEXT NOT NULL,
    correlation_id TEXT,
    start_us INTEGER NOT NULL,
    document BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS command_spans_by_place ON command_spans (trace_id, span_id);
CREATE INDEX IF NOT EXISTS command_spans_by_command ON command_spans (correlation_id, start_us);
DROP INDEX IF EXISTS command_spans_by_time;
-- The spans of earlier versions, which could not be found by their command.
DROP TABLE IF EXISTS spans;
"""
_TYPES: Final = {
    **dict.fromkeys(("timestamp", "accept_time", "complete_time", "start_time", "user_id"), "INTEGER"),
    "duration_ms": "REAL",
}
_VERSION: Final = 1  # of the columns that are searched; 0 had none
_BATCH_ROWS: Final = 1000


class SearchTable:
    """A table with what its entries are searched by: the columns, and the index of them."""

    def __init__(self, name: str, key: str, kind: ListKind) -> None:
        """`key` is the column by which a row is read."""
        self.name = name
        self._key = key
        self._kind = kind
        self._index = f"{name}_by_values"
        kept = ["store_states" if field == "store" and kind is OPERATIONS else field for field in kind.fields]
        self.columns = tuple(dict.fromkeys([kind.time, *kind.ties, *kept]))

    def values(self, values: FieldValues) -> tuple[SqlValue, ...]:
        """Return what stands in the columns of an entry."""
        return column_values(values, self.columns)

    def query(self, listing: Listing) -> tuple[str, list[SqlValue]]:
        """Return the statement that reads the documents of a listing, and its parameters."""
        clauses, values = listing_clauses(listing, self._kind)
        hint = "" if _names_command(listing.where) else f"INDEXED BY {self._index}"
        # All names are those of the kind's fields; every value is a parameter.
        statement = (
            f"SELECT (SELECT document FROM {self.name} AS whole WHERE whole.{self._key} = found.{self._key}) "  # noqa: S608
            f"FROM (SELECT {self._key} FROM {self.name} {hint} {clauses}) AS found"
        )
        return statement, values

    def add_columns(self, db: sqlite3.Connection) -> None:
        """Add the columns that the table has not got."""
        there = {row[1] for row in db.execute(f"PRAGMA table_info({self.name})")}
        for column in self.columns:
            if column not in there:
                db.execute(f"ALTER TABLE {self.name} ADD COLUMN {column} {_TYPES.get(column, 'TEXT')}")

    def fill(self, db: sqlite3.Connection, read: Callable[[bytes, str], FieldValues]) -> None:
        """Fill the columns of the rows that an earlier version has kept; `read` gets a document and its row's key."""
        marks = ", ".join(f"{column} = ?" for column in self.columns)
        last: str | int = "" if self._key != "id" else 0
        while True:
            rows = db.execute(
                f"SELECT {self._key}, document FROM {self.name} WHERE {self._key} > ? ORDER BY {self._key} LIMIT ?",  # noqa: S608
                (last, _BATCH_ROWS),
            ).fetchall()
            if not rows:
                return
            db.executemany(
                f"UPDATE {self.name} SET {marks} WHERE {self._key} = ?",  # noqa: S608
                [(*self.values(read(document, key)), key) for key, document in rows],
            )
            last = rows[-1][0]

    def add_index(self, db: sqlite3.Connection) -> None:
        """Make the index of everything that is searched, in place of the one of an earlier version."""
        db.execute(f"DROP INDEX IF EXISTS {self.name}_by_fields")
        db.execute(f"CREATE INDEX IF NOT EXISTS {self._index} ON {self.name} ({', '.join(self.columns)})")


OPERATION_TABLE: Final = SearchTable("operations", "correlation_id", OPERATIONS)
EVENT_TABLE: Final = SearchTable("events", "event_id", EVENTS)
SPAN_TABLE: Final = SearchTable("command_spans", "id", SPANS)
_TABLES: Final = (OPERATION_TABLE, EVENT_TABLE, SPAN_TABLE)


def prepare_schema(db: sqlite3.Connection) -> None:
    """Make the tables and indexes that there are not, and bring the rows of an earlier version up to date.

    A second for every 50,000 rows, once. Interrupted, it begins anew at the next start.
    """
    db.executescript(_SCHEMA)
    is_filled = db.execute("PRAGMA user_version").fetchone()[0] >= _VERSION
    db.execute("BEGIN IMMEDIATE")
    for table in _TABLES:
        table.add_columns(db)
    if not is_filled:

        def operation(document: bytes, correlation_id: str) -> FieldValues:
            return operation_values(Operation.FromString(document), _traced_events(db, correlation_id))

        OPERATION_TABLE.fill(db, operation)
        EVENT_TABLE.fill(db, lambda document, _: event_values(Event.FromString(document)))
        SPAN_TABLE.fill(db, lambda document, _: span_values(Span.FromString(document)))
    for table in _TABLES:
        table.add_index(db)
    db.execute(f"PRAGMA user_version = {_VERSION}")
    db.execute("COMMIT")


def _traced_events(db: sqlite3.Connection, correlation_id: str) -> Sequence[Event]:
    rows = db.execute(
        "SELECT document FROM events WHERE correlation_id = ? ORDER BY timestamp_us LIMIT 1", (correlation_id,)
    )
    return [Event.FromString(document) for (document,) in rows]


def _names_command(where: Condition) -> bool:
    """Whether the condition is of one command, by whose index there is little to read."""
    match where:
        case Equals("correlation_id", _):
            return True
        case All(conditions):
            return any(_names_command(each) for each in conditions)
        case _:
            return False
