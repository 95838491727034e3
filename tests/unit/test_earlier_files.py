"""A file of events of an earlier version opens, keeps what is in it, and is searched like a new one."""

import sqlite3
from pathlib import Path

import pytest

from mesh.catalog import load_catalog
from monitor.listing.checking import conditions_of
from monitor.listing.fields import EVENTS, OPERATIONS, SPANS
from monitor.listing.listing import Listing
from monitor.store.local import LocalEventStore
from tests.support.earlier_stores import CORRELATION_ID, events, spans, write_file
from tests.support.traces import command_trace


def _is_whole(store: LocalEventStore) -> None:
    """Fail where anything of the command is not there as it was, or is not found."""
    assert sorted(store.events_of(CORRELATION_ID), key=lambda told: told.event.event_id) == events()
    assert sorted(store.spans_of(CORRELATION_ID).spans, key=lambda span: span.span_id) == spans()
    for text in ("reason = EMAIL_ALREADY_EXISTS", "store_states.postgresql = FAILED user_id = 7", "duration_ms = 12"):
        assert [o.correlation_id for o in store.operations(Listing(9, conditions_of(text, OPERATIONS)))] == [
            CORRELATION_ID
        ], text
    assert len(store.events(Listing(9, conditions_of("taken", EVENTS)))) == 1
    assert [span.service for span in store.spans(Listing(9, conditions_of("error = true", SPANS)))] == ["processor"]
    for text, count in (("attributes.rpc.method = CreateUser", 2), ("attributes.rpc.method != CreateUser", 1)):
        assert len(store.spans(Listing(9, conditions_of(text, SPANS)))) == count
    (trace_id,) = store.find_traces(conditions_of("attributes.rpc.method = CreateUser", SPANS), 9)
    assert store.traces([trace_id]).by_trace[trace_id].spans == spans()


@pytest.mark.parametrize("version", [0, 1])
def test_a_file_of_an_earlier_version_is_searched(tmp_path: Path, version: int) -> None:
    """At once, and after the next start; what comes later is found beside it."""
    write_file(tmp_path, version)
    for _ in range(2):
        store = LocalEventStore(tmp_path, load_catalog())
        _is_whole(store)
        store.close()
    store = LocalEventStore(tmp_path, load_catalog())
    store.add_spans(command_trace(2, at_ms=5))
    assert len(store.find_traces(conditions_of("attributes.rpc.method:*", SPANS), 9)) == 2
    store.close()


def test_it_is_brought_up_to_date_once(tmp_path: Path) -> None:
    """The version stands in the file, so that a start does not read everything again."""
    write_file(tmp_path, 1)
    LocalEventStore(tmp_path, load_catalog()).close()
    with sqlite3.connect(tmp_path / "events.sqlite") as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
        db.execute("UPDATE command_spans SET attribute_bits_low = 0, attribute_bits_high = 0")
    store = LocalEventStore(tmp_path, load_catalog())
    assert store.spans(Listing(9, conditions_of("attributes.rpc.method:*", SPANS))) == []
    store.close()


def test_a_start_that_was_interrupted_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is left halfway."""
    write_file(tmp_path, 0)

    def interrupted(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr("monitor.store.local_schema.SearchTable.add_index", interrupted)
        with pytest.raises(sqlite3.OperationalError):
            LocalEventStore(tmp_path, load_catalog())
    store = LocalEventStore(tmp_path, load_catalog())
    _is_whole(store)
    store.close()
