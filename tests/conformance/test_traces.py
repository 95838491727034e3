"""Every event store finds the same traces, and tells all of each, within its bounds."""

from collections.abc import Iterator

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Span

from monitor.listing.checking import conditions_of
from monitor.listing.conditions import EVERYTHING
from monitor.listing.fields import SPANS
from monitor.store.port import ANSWER_SPANS_MAX, EventStore, SpanName
from monitor.store.selection import SPANS_MAX
from tests.support.engine_pool import Lease
from tests.support.event_stores import STORE_ENGINES, LocalEngine, OpenSearchEngine, open_store, store_engine

FIRST_MS = 1_790_000_000_000


@pytest.fixture(scope="module", params=STORE_ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that keeps the spans."""
    return str(request.param)


@pytest.fixture(scope="module")
def engine(engine_name: str, lease: Lease, tmp_path_factory: pytest.TempPathFactory) -> LocalEngine | OpenSearchEngine:
    """It, running."""
    return store_engine(engine_name, lease, tmp_path_factory.mktemp("spans"))


@pytest.fixture
def store(engine_name: str, engine: LocalEngine | OpenSearchEngine) -> Iterator[EventStore]:
    """The store under test, empty."""
    engine.empty()
    made = open_store(engine_name, engine.target)
    yield made
    made.close()


def _span(trace: int, number: int, at_ms: int, **others: object) -> Span:
    """Return a span of a trace; its first one is the root."""
    fields: dict[str, object] = {"service": "gateway", "name": f"step {number % 3}", "kind": "SERVER"}
    start = Timestamp()
    start.FromMilliseconds(FIRST_MS + at_ms)
    return Span(
        trace_id=f"{trace:032x}",
        span_id=f"{trace:08x}{number:08x}",
        parent_span_id=f"{trace:08x}{0:08x}" if number else "",
        start_time=start,
        **{**fields, **others},  # type: ignore[arg-type]
    )


def _ids(*traces: int) -> list[str]:
    return [f"{trace:032x}" for trace in traces]


def test_an_empty_store_has_no_traces(store: EventStore) -> None:
    """Nothing is told, and nothing fails, before the first span."""
    assert list(store.span_names()) == []
    assert list(store.find_traces(EVERYTHING, 10)) == []
    assert store.traces(_ids(1)).by_trace == {}


def test_names_are_told_once(store: EventStore) -> None:
    """Every service with the names and kinds of its spans."""
    store.add_spans([_span(1, number, number) for number in range(9)])
    store.add_spans([_span(2, 0, 0, service="processor", kind="CONSUMER"), _span(3, 0, 0)])
    names = store.span_names()
    assert len(names) == len(set(names)) == 4
    assert set(names) == {SpanName("gateway", f"step {n}", "SERVER") for n in range(3)} | {
        SpanName("processor", "step 0", "CONSUMER")
    }


def test_traces_are_found_by_a_span_of_theirs(store: EventStore) -> None:
    """Each once, the newest of the spans that fit first, as many as were asked for."""
    for trace in range(1, 8):
        failed = {"error": True, "duration_ms": 7.5} if trace % 2 else {}
        store.add_spans(
            [_span(trace, 0, trace), _span(trace, 1, 100 - trace, **failed), _span(trace, 2, 50, service="other")]
        )
    assert list(store.find_traces(conditions_of("error = true", SPANS), 10)) == _ids(1, 3, 5, 7)
    assert list(store.find_traces(conditions_of("error = true", SPANS), 2)) == _ids(1, 3)
    assert list(store.find_traces(conditions_of('name = "step 0"', SPANS), 3)) == _ids(7, 6, 5)
    assert set(store.find_traces(conditions_of("service = other", SPANS), 10)) == set(_ids(*range(1, 8)))
    assert list(store.find_traces(conditions_of("service = other AND error = true", SPANS), 10)) == []


def test_a_trace_is_told_whole(store: EventStore) -> None:
    """The earliest span first, and no trace that is not there."""
    spans = [
        _span(1, number, 10 - number, attributes={"a": str(number)}, attribute_types={"a": Span.INT64})
        for number in range(5)
    ]
    store.add_spans([*spans, _span(2, 0, 1)])
    found = store.traces(_ids(2, 9, 1)).by_trace
    assert list(found) == _ids(2, 1)
    assert list(found[_ids(1)[0]].spans) == list(reversed(spans))
    assert [each.left_out for each in found.values()] == [0, 0]


def test_links_are_kept(store: EventStore) -> None:
    """In their order, wherever they lead: to a span that is kept, or to one that nobody has sent."""
    links = [Span.Link(trace_id=f"{trace:032x}", span_id=f"{trace:016x}") for trace in (7, 1, 9)]
    spans = [_span(1, 0, 0), _span(1, 1, 1, links=links), _span(1, 2, 2, links=links[:1])]
    store.add_spans(spans)
    assert list(store.traces(_ids(1)).by_trace[_ids(1)[0]].spans) == spans


def test_what_is_left_out_of_a_trace_is_counted(store: EventStore) -> None:
    """However many other traces are read with it."""
    store.add_spans([_span(1, number, number) for number in range(SPANS_MAX + 7)])
    store.add_spans([_span(2, 0, 1)])
    for asked in (_ids(1), _ids(1, 2)):
        found = store.traces(asked).by_trace[_ids(1)[0]]
        assert (len(found.spans), found.left_out) == (SPANS_MAX, 7)
        assert found.spans[0].span_id == f"{1:08x}{0:08x}"


def test_an_answer_has_a_bound(store: EventStore) -> None:
    """Traces at the end are left out as a whole once the answer is full."""
    per_trace = 900
    for trace in range(1, 14):
        store.add_spans([_span(trace, number, number) for number in range(per_trace)])
    found = store.traces(_ids(*range(1, 14))).by_trace
    assert list(found) == _ids(*range(1, ANSWER_SPANS_MAX // per_trace + 1))
