"""The event store of a platform without OpenSearch: one SQLite file."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.catalog import Catalog
from mesh.error_classes.event_store import classify_sqlite
from mesh.errors import PolystreamError, Reason
from monitor.listing.conditions import Condition
from monitor.listing.fields import event_values, operation_values
from monitor.listing.listing import Listing
from monitor.records import TracedEvent
from monitor.span_tree import SpanPlace
from monitor.store.disk_reserve import DiskReserve
from monitor.store.local_schema import EVENT_TABLE, OPERATION_TABLE, SPAN_TABLE, SearchTable, prepare_schema, span_row
from monitor.store.local_traces import LocalTraces
from monitor.store.port import Bounds, FoundSpans, SpanName, TraceSpans
from monitor.store.selection import (
    EVENTS_MAX,
    FIRST_EVENTS_MAX,
    LAST_EVENTS_MAX,
    SPANS_MAX,
    with_ancestors,
)
from monitor.store.set_apart import SetApartFile
from monitor.story import fold

# What is deleted first in each table.
_BY_TIME: Final = {
    "events": ("event_id", "timestamp"),
    "operations": ("correlation_id", "accept_time"),
    "command_spans": ("id", "start_time"),
}
# The first and the last events of a command in time; all where there are no more.
_ENDS: Final = """
SELECT document, sampled FROM (
    SELECT event_id, document, sampled FROM events WHERE correlation_id = ? ORDER BY timestamp_us, event_id LIMIT ?
)
UNION
SELECT document, sampled FROM (
    SELECT event_id, document, sampled FROM events WHERE correlation_id = ?
     ORDER BY timestamp_us DESC, event_id DESC LIMIT ?
)
"""
T = TypeVar("T")


def _insert(verb: str, table: SearchTable, *others: str) -> str:
    columns = (*others, *table.columns)
    return f"INSERT OR {verb} INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 # names of columns alone


_INSERT_EVENT: Final = _insert("IGNORE", EVENT_TABLE, "timestamp_us", "sampled", "document")
_REPLACE_OPERATION: Final = _insert("REPLACE", OPERATION_TABLE, "accept_time_us", "document")
_INSERT_SPAN: Final = _insert("IGNORE", SPAN_TABLE, "start_us", "document")

_BUSY_TIMEOUT_S = 10.0
_VARIABLES_MAX = 500  # bound parameters a statement
_STEP_ROWS = 2000  # deleted in one transaction: others wait for it
_STEP_PAGES = 2000  # given back to the disk in one transaction
_FREE_SHARE_MAX = 4  # pages are given back where more than a quarter of the file is free
_FULL: Final = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")
_RESERVE_BYTES = 8 * 1024 * 1024


class LocalEventStore:
    """Events and spans in a SQLite file. See `monitor.store.port.EventStore`."""

    def __init__(self, folder: Path, catalog: Catalog, on_set_apart: Callable[[], None] = lambda: None) -> None:
        """`on_set_apart` is called for each event or span that can never be kept."""
        self._catalog = catalog
        self._set_apart = SetApartFile(folder, on_set_apart)
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._reserve = DiskReserve(folder / "reserve", _RESERVE_BYTES)
        self.path = folder / "events.sqlite"
        self._db = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        # Where the file is new: pages can be given back to the disk then.
        self._db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        # WAL with NORMAL keeps every committed row over the process's death, which is what is promised.
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        prepare_schema(self._db)
        self._traces = LocalTraces(self._read)

    def append(self, events: Sequence[TracedEvent]) -> None:
        """Keep events, and bring the operations they belong to up to date, in one transaction.

        One that can never be kept is set apart.
        """
        self._isolate(events, self._append, lambda traced: (f"event/{traced.event.event_id}", str(traced.event)))

    def _append(self, events: Sequence[TracedEvent]) -> None:
        with self._transaction() as db:
            db.executemany(
                _INSERT_EVENT,
                [
                    (
                        traced.event.timestamp.ToMicroseconds(),
                        traced.sampled,
                        traced.event.SerializeToString(),
                        *EVENT_TABLE.values(event_values(traced.event)),
                    )
                    for traced in events
                ],
            )
            touched = {traced.event.correlation_id for traced in events}
            found = [(fold(of_one, self._catalog), of_one) for of_one in _events_by_command(db, sorted(touched))]
            db.executemany(
                _REPLACE_OPERATION,
                [
                    (
                        operation.accept_time.ToMicroseconds(),
                        operation.SerializeToString(),
                        *OPERATION_TABLE.values(operation_values(operation, of_one)),
                    )
                    for operation, of_one in found
                ],
            )

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans in one transaction. One that can never be kept is set apart."""
        self._isolate(spans, self._add_spans, lambda span: (f"span/{span.trace_id}:{span.span_id}", str(span)))

    def _add_spans(self, spans: Sequence[Span]) -> None:
        with self._transaction() as db:
            db.executemany(
                _INSERT_SPAN,
                [
                    (
                        span.start_time.ToMicroseconds(),
                        span.SerializeToString(),
                        *span_row(span),
                    )
                    for span in spans
                ],
            )

    def events_of(self, correlation_id: str) -> Sequence[TracedEvent]:
        """Return the events of a command, in no order."""
        rows = self._read(_ENDS, (correlation_id, FIRST_EVENTS_MAX, correlation_id, LAST_EVENTS_MAX))
        return [TracedEvent(Event.FromString(document), bool(sampled)) for document, sampled in rows]

    def count_events(self, correlation_id: str) -> int:
        """Return how many events of a command there are."""
        return int(self._read("SELECT count(*) FROM events WHERE correlation_id = ?", (correlation_id,))[0][0])

    def spans_of(self, correlation_id: str) -> FoundSpans:
        """Return the spans that name a command, and their ancestors, in no order."""
        rows = self._read(
            "SELECT document FROM command_spans WHERE correlation_id = ? ORDER BY start_us LIMIT ?",
            (correlation_id, SPANS_MAX),
        )
        left_out = 0
        if len(rows) == SPANS_MAX:
            total = self._read("SELECT count(*) FROM command_spans WHERE correlation_id = ?", (correlation_id,))
            left_out = int(total[0][0]) - len(rows)
        return FoundSpans(with_ancestors([Span.FromString(row[0]) for row in rows], self._spans_at), left_out)

    def operations(self, listing: Listing) -> Sequence[Operation]:
        """Return the operations that a listing asks for."""
        return [Operation.FromString(row[0]) for row in self._read(*OPERATION_TABLE.query(listing))]

    def events(self, listing: Listing) -> Sequence[Event]:
        """Return the events that a listing asks for."""
        return [Event.FromString(row[0]) for row in self._read(*EVENT_TABLE.query(listing))]

    def spans(self, listing: Listing) -> Sequence[Span]:
        """Return the spans that a listing asks for."""
        return [Span.FromString(row[0]) for row in self._read(*SPAN_TABLE.query(listing))]

    def span_names(self) -> Sequence[SpanName]:
        """Return the services and names that spans have."""
        return self._traces.span_names()

    def find_traces(self, where: Condition, limit: int) -> Sequence[str]:
        """Return the IDs of traces with a span that fulfils a condition, the newest first."""
        return self._traces.find_traces(where, limit)

    def traces(self, trace_ids: Sequence[str]) -> TraceSpans:
        """Return the spans of traces, the earliest of each first."""
        return self._traces.traces(trace_ids)

    def purge(self, bounds: Bounds) -> int:
        """Forget a bounded number of what is beyond the bounds, the oldest first."""
        steps = [partial(self._forget_before, table, bounds.since_us) for table in _BY_TIME]
        steps += [partial(self._forget_spans_over, bounds.max_spans), partial(self._forget_over, bounds.max_bytes)]
        gone = 0
        failure: PolystreamError | None = None
        for step in steps:
            try:
                gone += self._with_reserve(step)
            except PolystreamError as error:
                failure = error
        if failure is not None:
            raise failure
        self._with_reserve(self._give_back)
        self._reserve.fill()
        return gone

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _spans_at(self, places: Sequence[SpanPlace]) -> list[Span]:
        found = []
        for place in places:
            found += self._read("SELECT document FROM command_spans WHERE trace_id = ? AND span_id = ?", place)
        return [Span.FromString(row[0]) for row in found]

    def _forget_before(self, table: str, since_us: int) -> int:
        return self._forget(table, f"WHERE {_BY_TIME[table][1]} < ?", (since_us // 1000,), _STEP_ROWS)

    def _forget_spans_over(self, max_spans: int) -> int:
        over = int(self._read("SELECT count(*) FROM command_spans", ())[0][0]) - max_spans
        return self._forget("command_spans", "", (), min(over, _STEP_ROWS)) if over > 0 else 0

    def _forget_over(self, max_bytes: int) -> int:
        """Forget the oldest rows there are, of whatever kind, where the pages in use take more than they may."""
        if self._used_pages() * self._pragma("page_size") <= max_bytes:
            return 0
        oldest = {
            table: self._read(f"SELECT min({time}) FROM {table}", ())[0][0]  # noqa: S608 # the names above
            for table, (_, time) in _BY_TIME.items()
        }
        times = {table: int(time) for table, time in oldest.items() if time is not None}
        return self._forget(min(times, key=times.__getitem__), "", (), _STEP_ROWS) if times else 0

    def _forget(self, table: str, where: str, values: Sequence[object], limit: int) -> int:
        """Delete the oldest rows of a table in one transaction; return how many."""
        key, time = _BY_TIME[table]
        with _unavailable(), self._transaction() as db:
            return db.execute(
                # The names are those above; every value is a parameter.
                f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} {where} ORDER BY {time} LIMIT ?)",  # noqa: S608
                (*values, limit),
            ).rowcount

    def _give_back(self) -> int:
        """Give free pages at the end of the file back to the disk, where there are many."""
        if self._pragma("freelist_count") * _FREE_SHARE_MAX > self._pragma("page_count"):
            # One call gives back a page, and says so in a row without columns, which only a script goes on after.
            with self._lock, _unavailable():
                self._db.executescript(f"PRAGMA incremental_vacuum({_STEP_PAGES})")
        return 0

    def _used_pages(self) -> int:
        return self._pragma("page_count") - self._pragma("freelist_count")

    def _pragma(self, name: str) -> int:
        return int(self._read(f"PRAGMA {name}", ())[0][0])

    def _with_reserve(self, step: Callable[[], int]) -> int:
        """Take a step of tidying; on a full disk with the room that is kept for it."""
        try:
            return step()
        except PolystreamError as error:
            if not _is_full(error) or not self._reserve.release():
                raise
            return step()

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
        """Have the file to oneself for a transaction. Raises sqlite3.Error."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                # A full disk may have ended the transaction already; a commit that fails leaves it open.
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _read(self, statement: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._lock, _unavailable():
            return self._db.execute(statement, values).fetchall()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        cause = classify_sqlite(error).cause
        raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": cause}) from error


def _is_full(error: PolystreamError) -> bool:
    cause = error.__cause__
    return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorname", "") in _FULL


def _events_by_command(db: sqlite3.Connection, correlation_ids: Sequence[str]) -> Iterator[list[Event]]:
    """Yield the events of each command as a story has them, a bounded number of commands a statement."""
    for start in range(0, len(correlation_ids), _VARIABLES_MAX):
        some = correlation_ids[start : start + _VARIABLES_MAX]
        long = _with_many_events(db, some)
        for correlation_id in long:
            ends = db.execute(_ENDS, (correlation_id, FIRST_EVENTS_MAX, correlation_id, LAST_EVENTS_MAX))
            yield [Event.FromString(document) for document, _ in ends]
        some = [correlation_id for correlation_id in some if correlation_id not in long]
        marks = ", ".join("?" * len(some))
        found: dict[str, list[Event]] = {}
        for correlation_id, document in db.execute(
            f"SELECT correlation_id, document FROM events WHERE correlation_id IN ({marks})",  # noqa: S608 # marks only
            some,
        ):
            found.setdefault(correlation_id, []).append(Event.FromString(document))
        yield from found.values()


def _with_many_events(db: sqlite3.Connection, correlation_ids: Sequence[str]) -> list[str]:
    """Return those of some commands that have more events than a story."""
    marks = ", ".join("?" * len(correlation_ids))
    rows = db.execute(
        f"SELECT correlation_id FROM events WHERE correlation_id IN ({marks}) "  # noqa: S608 # marks only
        "GROUP BY correlation_id HAVING count(*) > ?",
        (*correlation_ids, EVENTS_MAX),
    )
    return [correlation_id for (correlation_id,) in rows]
