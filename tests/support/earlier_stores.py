"""The event stores of earlier versions, with one refused command and its trace in them."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import httpx
from polystream.v1.operations_pb2 import Event, Span

from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.telemetry.names import CONVERSATION_ID
from monitor.listing.fields import event_values
from monitor.records import TracedEvent
from monitor.store.documents import event_document, span_document
from monitor.story import fold
from tests.support.traces import START_MS, command_trace

CORRELATION_ID: Final = "01920000-0000-7000-8000-000000000001"
_TRACE: Final = 1
_DAY: Final = "2026.09.21"  # of START_MS
_TIMEOUT_S: Final = 30.0

# The tables before there was a search (version 0), and their indexes.
_TABLES: Final = """
CREATE TABLE events (
    event_id TEXT PRIMARY KEY, correlation_id TEXT NOT NULL, timestamp_us INTEGER NOT NULL, sampled INTEGER NOT NULL,
    document BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX events_by_command ON events (correlation_id, timestamp_us);
CREATE INDEX events_by_time ON events (timestamp_us);
CREATE TABLE operations (
    correlation_id TEXT PRIMARY KEY, accept_time_us INTEGER NOT NULL, state INTEGER NOT NULL, command TEXT NOT NULL,
    user_id INTEGER, document BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX operations_by_time ON operations (accept_time_us DESC, correlation_id DESC);
CREATE INDEX operations_by_user ON operations (user_id, accept_time_us DESC);
CREATE TABLE command_spans (
    id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL, span_id TEXT NOT NULL, correlation_id TEXT,
    start_us INTEGER NOT NULL, document BLOB NOT NULL
);
CREATE UNIQUE INDEX command_spans_by_place ON command_spans (trace_id, span_id);
CREATE INDEX command_spans_by_command ON command_spans (correlation_id, start_us);
CREATE INDEX command_spans_by_time ON command_spans (start_us);
"""
# What the first search added (version 1), of which a span's attributes were no part.
_COLUMNS: Final = """
DROP INDEX command_spans_by_time;
DROP INDEX events_by_time;
DROP INDEX operations_by_time;
ALTER TABLE operations ADD COLUMN accept_time INTEGER;
ALTER TABLE operations ADD COLUMN store_states TEXT;
ALTER TABLE operations ADD COLUMN reason TEXT;
ALTER TABLE operations ADD COLUMN error TEXT;
ALTER TABLE operations ADD COLUMN complete_time INTEGER;
ALTER TABLE operations ADD COLUMN duration_ms REAL;
ALTER TABLE operations ADD COLUMN trace_id TEXT;
CREATE INDEX operations_by_fields ON operations (accept_time DESC, correlation_id DESC, command, state, user_id,
    store_states, reason, error, complete_time, duration_ms, trace_id);
ALTER TABLE events ADD COLUMN timestamp INTEGER;
ALTER TABLE events ADD COLUMN command TEXT;
ALTER TABLE events ADD COLUMN event_type TEXT;
ALTER TABLE events ADD COLUMN status TEXT;
ALTER TABLE events ADD COLUMN service TEXT;
ALTER TABLE events ADD COLUMN store TEXT;
ALTER TABLE events ADD COLUMN user_id INTEGER;
ALTER TABLE events ADD COLUMN reason TEXT;
ALTER TABLE events ADD COLUMN error TEXT;
ALTER TABLE events ADD COLUMN duration_ms REAL;
ALTER TABLE events ADD COLUMN trace_id TEXT;
ALTER TABLE events ADD COLUMN waits_behind TEXT;
ALTER TABLE events ADD COLUMN topic TEXT;
CREATE INDEX events_by_fields ON events (timestamp DESC, event_id DESC, correlation_id, command, event_type, status,
    service, store, user_id, reason, error, duration_ms, trace_id, waits_behind, topic);
ALTER TABLE command_spans ADD COLUMN start_time INTEGER;
ALTER TABLE command_spans ADD COLUMN parent_span_id TEXT;
ALTER TABLE command_spans ADD COLUMN service TEXT;
ALTER TABLE command_spans ADD COLUMN name TEXT;
ALTER TABLE command_spans ADD COLUMN kind TEXT;
ALTER TABLE command_spans ADD COLUMN duration_ms REAL;
ALTER TABLE command_spans ADD COLUMN error TEXT;
CREATE INDEX command_spans_by_fields ON command_spans
    (start_time DESC, trace_id DESC, span_id DESC, correlation_id, parent_span_id, service, name, kind, duration_ms,
     error);
PRAGMA user_version = 1;
"""
_KEYWORD: Final = {"type": "keyword", "ignore_above": 512}
_DATE: Final = {"type": "date"}
_OPERATION_FIELDS: Final = {
    **dict.fromkeys(("correlation_id", "command", "state", "user_id"), _KEYWORD),
    **dict.fromkeys(("accept_time", "complete_time"), _DATE),
    "accept_time_us": {"type": "long"},
    "events": {"type": "object", "enabled": False},
}
_SPAN_FIELDS: Final = {
    **dict.fromkeys(("trace_id", "span_id", "parent_span_id", "name", "service", "kind", "error"), _KEYWORD),
    "correlation_id": _KEYWORD,
    "start_time": {"type": "date_nanos"},
    "duration_ms": {"type": "double"},
    "attributes": {"type": "object", "enabled": False},
}


def events() -> Sequence[TracedEvent]:
    """Return what is told of the command."""
    accepted = Event(
        event_id=f"{CORRELATION_ID}:accepted",
        correlation_id=CORRELATION_ID,
        event_type="command.accepted",
        status="ACCEPTED",
        command="CreateUser",
        user_id=7,
        trace_id=spans()[0].trace_id,
    )
    failed = Event(
        event_id=f"{CORRELATION_ID}:failed",
        correlation_id=CORRELATION_ID,
        event_type="command.failed",
        status="FAILED",
        command="CreateUser",
        store="POSTGRESQL",
        error="EMAIL_ALREADY_EXISTS: it is taken",
    )
    failed.error_status.CopyFrom(PolystreamError(Reason.EMAIL_ALREADY_EXISTS, "it is taken").to_status())
    accepted.timestamp.FromMilliseconds(START_MS)
    failed.timestamp.FromMilliseconds(START_MS + 12)
    return [TracedEvent(event, sampled=True) for event in (accepted, failed)]


def spans() -> Sequence[Span]:
    """Return its trace."""
    return command_trace(_TRACE, failed=True)


def write_file(folder: Path, version: int) -> None:
    """Write the file of a version, as that one did."""
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(folder / "events.sqlite")
    db.executescript(_TABLES)
    for told in events():
        event = told.event
        row = (event.event_id, CORRELATION_ID, event.timestamp.ToMicroseconds(), True, event.SerializeToString())
        db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?)", row)
    operation = fold([told.event for told in events()], load_catalog())
    db.execute(
        "INSERT INTO operations VALUES (?, ?, ?, ?, ?, ?)",
        (CORRELATION_ID, START_MS * 1000, operation.state, "CreateUser", 7, operation.SerializeToString()),
    )
    for span in spans():
        start_us, own = span.start_time.ToMicroseconds(), span.attributes.get(CONVERSATION_ID)
        db.execute(
            "INSERT INTO command_spans (trace_id, span_id, correlation_id, start_us, document) VALUES (?, ?, ?, ?, ?)",
            (span.trace_id, span.span_id, own, start_us, span.SerializeToString()),
        )
    if version == 1:
        db.executescript(_COLUMNS)
        db.execute(
            "UPDATE operations SET accept_time = ?, state = 'FAILED', store_states = '|POSTGRESQL=FAILED|', "
            "reason = 'EMAIL_ALREADY_EXISTS', error = 'EMAIL_ALREADY_EXISTS: it is taken', complete_time = ?, "
            "duration_ms = 12, trace_id = ?",
            (START_MS, START_MS + 12, spans()[0].trace_id),
        )
        for told in events():
            values = event_values(told.event)
            kept = {name: value for name, value in values.items() if name not in ("event_id", "correlation_id")}
            marks = ", ".join(f"{name} = ?" for name in kept)
            db.execute(f"UPDATE events SET {marks} WHERE event_id = ?", (*kept.values(), told.event.event_id))
        for span in spans():
            db.execute(
                "UPDATE command_spans SET start_time = ?, parent_span_id = ?, service = ?, name = ?, kind = ?, "
                "duration_ms = ?, error = ? WHERE span_id = ?",
                (
                    *(span.start_time.ToMilliseconds(), span.parent_span_id, span.service, span.name, span.kind),
                    *(span.duration_ms, span.error, span.span_id),
                ),
            )
    db.commit()
    db.close()


def write_indices(url: str) -> None:
    """Write the indices of a version without a search of its own, as that one did."""
    operation = fold([told.event for told in events()], load_catalog())
    documents = [event_document(told) for told in events()]
    for document in documents:
        document.pop("reason", None)
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S) as client:
        for index, fields in (("api_operations", _OPERATION_FIELDS), (f"api_spans-{_DAY}", _SPAN_FIELDS)):
            mappings = {"mappings": {"dynamic": False, "properties": fields}}
            client.put(f"/{index}", json=mappings).raise_for_status()
        client.put(
            f"/api_operations/_doc/{CORRELATION_ID}",
            params={"refresh": "true"},
            json={
                "correlation_id": CORRELATION_ID,
                "command": "CreateUser",
                "state": "FAILED",
                "user_id": 7,
                "accept_time": operation.accept_time.ToJsonString(),
                "accept_time_us": START_MS * 1000,
                "complete_time": operation.complete_time.ToJsonString(),
                "events": documents,
            },
        ).raise_for_status()
        for span in spans():
            path = f"/api_spans-{_DAY}/_doc/{span.trace_id}:{span.span_id}"
            client.put(path, params={"refresh": "true"}, json=span_document(span)).raise_for_status()
