"""OpenSearch with the documents of an earlier version: they stay readable, and are found as the changelog says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.listing.checking import conditions_of
from monitor.listing.fields import OPERATIONS, SPANS
from monitor.listing.listing import Listing
from monitor.store.opensearch import OpenSearchEventStore
from monitor.store.port import Bounds, EventStore
from tests.support.earlier_stores import CORRELATION_ID, events, spans, write_indices
from tests.support.engine_pool import Lease
from tests.support.event_stores import open_store, store_engine
from tests.support.traces import command_trace

_EVERYTHING = Bounds(since_us=0, max_spans=1000, max_bytes=1)


@pytest.fixture(params=["opensearch", "elasticsearch"])
def store(request: pytest.FixtureRequest, lease: Lease, tmp_path: Path) -> Iterator[EventStore]:
    """A store over the indices of an earlier version."""
    engine = store_engine(str(request.param), lease, tmp_path)
    engine.empty()
    write_indices(engine.target)
    made = open_store(str(request.param), engine.target)
    assert isinstance(made, OpenSearchEventStore)
    yield made
    made.close()


def _operations(store: EventStore, text: str) -> list[str]:
    return [o.correlation_id for o in store.operations(Listing(9, conditions_of(text, OPERATIONS)))]


def test_what_is_there_is_read_at_once(store: EventStore) -> None:
    """The story, the list, and everything that the earlier version could look for."""
    assert sorted(store.events_of(CORRELATION_ID), key=lambda told: told.event.event_id) == events()
    found = store.spans_of(CORRELATION_ID).spans
    assert sorted(found, key=lambda span: span.span_id) == spans()
    for text in ("", "state = FAILED", "command = CreateUser user_id = 7"):
        assert _operations(store, text) == [CORRELATION_ID], text
    (trace_id,) = store.find_traces(conditions_of("service = processor", SPANS), 9)
    assert sorted(store.traces([trace_id]).by_trace[trace_id].spans, key=lambda span: span.span_id) == spans()


def test_operations_are_found_by_new_fields_once_the_retention_was_there(store: EventStore) -> None:
    """Not before, and without a write by anybody else."""
    new = ("reason = EMAIL_ALREADY_EXISTS", "store_states.postgresql = FAILED", "duration_ms = 12", "trace_id:*")
    assert [_operations(store, text) for text in new] == [[]] * len(new)
    assert store.purge(_EVERYTHING) == 1
    assert [_operations(store, text) for text in new] == [[CORRELATION_ID]] * len(new)
    assert store.purge(_EVERYTHING) == 0


def test_new_spans_are_found_by_their_attributes_among_old_ones(store: EventStore) -> None:
    """In an index that an earlier version has made; the old ones are found by everything else."""
    store.add_spans(command_trace(2, at_ms=5))
    where = conditions_of("attributes.rpc.method = CreateUser", SPANS)
    assert {span.trace_id for span in store.spans(Listing(9, where))} == {command_trace(2)[0].trace_id}
    every = conditions_of("service = processor", SPANS)
    assert len(store.find_traces(every, 9)) == 2
