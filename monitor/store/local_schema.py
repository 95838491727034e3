"""The tables of the event store in a file, and how a file of an earlier version gets them.

Each table has an index of all that its entries are searched by, in the order of time: a search reads that index alone,
and of the table only the documents that it has found. The oldest are first, though lists begin with the newest: what
comes at an index's end fills its pages, and what comes at its beginning leaves each of them half empty.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from polystream.v1.operations_pb2 import Event, Operation, Span

from monitor.listing import bloom
from monitor.listing.conditions import All, Condition, Equals
from monitor.listing.fields import (
    EVENTS,
    OPERATIONS,
    SPANS,
    FieldValues,
    ListKind,
    event_values,
    operation_values,
    span_columns,
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
    **dict.fromkeys(bloom.COLUMNS, "INTEGER"),
    "duration_ms": "REAL",
}
# What the file says of the columns that are searched: 0 had none, 1 none of a span's attributes.
_VERSION: Final = 2
_BATCH_ROWS: Final = 1000

ReadColumns = Callable[[bytes, str], tuple[SqlValue, ...]]  # of a document, and its row's key


class SearchTable:
    """A table with what its entries are searched by: the columns, and the index of them."""

    def __init__(self, name: str, key: str, kind: ListKind, version: int) -> None:
        """`key` is the column by which a row is read, `version` the file's since which it has these columns."""
        self.name = name
        self.version = version
        self._key = key
        self._kind = kind
        self.index = f"{name}_by_values"
        kept = ["store_states" if field == "store" and kind is OPERATIONS else field for field in kind.fields]
        self._plain = tuple(dict.fromkeys([kind.time, *kind.ties, *(name for name in kept if name != "attributes")]))
        self.columns = (*self._plain, *(bloom.COLUMNS if "attributes" in kept else ()))

    def values(self, values: FieldValues, attributes: Mapping[str, str] | None = None) -> tuple[SqlValue, ...]:
        """Return what stands in the columns of an entry; `attributes` are a span's."""
        plain = column_values(values, self._plain)
        return plain if attributes is None else (*plain, *bloom.bits_of(attributes))

    def query(self, listing: Listing) -> tuple[str, list[SqlValue]]:
        """Return the statement that reads the documents of a listing, and its parameters."""
        clauses, values = listing_clauses(listing, self._kind)
        hint = "" if _names_command(listing.where) else f"INDEXED BY {self.index}"
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

    def drop_index(self, db: sqlite3.Connection) -> None:
        """Drop the index of an earlier version, which had the newest first, and not all of the columns."""
        db.execute(f"DROP INDEX IF EXISTS {self.name}_by_fields")

    def fill(self, db: sqlite3.Connection, read: ReadColumns) -> None:
        """Fill the columns of the rows that an earlier version has kept."""
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
                [(*read(document, key), key) for key, document in rows],
            )
            last = rows[-1][0]

    def add_index(self, db: sqlite3.Connection) -> None:
        """Make the index of everything that is searched."""
        db.execute(f"CREATE INDEX IF NOT EXISTS {self.index} ON {self.name} ({', '.join(self.columns)})")


OPERATION_TABLE: Final = SearchTable("operations", "correlation_id", OPERATIONS, version=1)
EVENT_TABLE: Final = SearchTable("events", "event_id", EVENTS, version=1)
SPAN_TABLE: Final = SearchTable("command_spans", "id", SPANS, version=2)


def prepare_schema(db: sqlite3.Connection) -> None:
    """Make the tables and indexes that there are not, and bring the rows of an earlier version up to date.

    A second for every 50,000 rows, once. Interrupted, it begins anew at the next start.
    """
    db.create_function("has_attribute", 3, _has_attribute, deterministic=True)
    db.executescript(_SCHEMA)
    version = db.execute("PRAGMA user_version").fetchone()[0]

    def operation(document: bytes, correlation_id: str) -> tuple[SqlValue, ...]:
        events = _traced_events(db, correlation_id)
        return OPERATION_TABLE.values(operation_values(Operation.FromString(document), events))

    readers: Mapping[SearchTable, ReadColumns] = {
        OPERATION_TABLE: operation,
        EVENT_TABLE: lambda document, _: EVENT_TABLE.values(event_values(Event.FromString(document))),
        SPAN_TABLE: lambda document, _: span_row(Span.FromString(document)),
    }
    db.execute("BEGIN IMMEDIATE")
    try:
        for table, read in readers.items():
            table.add_columns(db)
            table.drop_index(db)
            if version < table.version:
                table.fill(db, read)
            table.add_index(db)
        db.execute(f"PRAGMA user_version = {_VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def span_row(span: Span) -> tuple[SqlValue, ...]:
    """Return what stands in the columns of a span."""
    return SPAN_TABLE.values(span_columns(span), span.attributes)


def _has_attribute(document: bytes, name: str, value: str) -> bool:
    """Whether a span has an attribute: with this value, or with any where that is empty."""
    found = Span.FromString(document).attributes.get(name, "")
    return found == value if value else found != ""


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
