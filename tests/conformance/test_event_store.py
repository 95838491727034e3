"""What every event store does, whatever engine keeps it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.telemetry.names import CONVERSATION_ID
from monitor.listing.listing import Listing, SortKey
from monitor.records import TracedEvent
from monitor.store.port import Bounds, EventStore, FoundSpans
from monitor.store.selection import EVENTS_MAX, SPANS_MAX
from tests.support.engine_pool import Lease
from tests.support.event_stores import STORE_ENGINES, LocalEngine, OpenSearchEngine, open_store, store_engine
from tests.support.waiting import eventually

DAY_MS = 86_400_000


@pytest.fixture(scope="module", params=STORE_ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """The engine that keeps the events."""
    return str(request.param)


@pytest.fixture(scope="module")
def engine(engine_name: str, lease: Lease, tmp_path_factory: pytest.TempPathFactory) -> LocalEngine | OpenSearchEngine:
    """It, running."""
    return store_engine(engine_name, lease, tmp_path_factory.mktemp("events"))


@pytest.fixture
def store(engine_name: str, engine: LocalEngine | OpenSearchEngine) -> Iterator[EventStore]:
    """The store under test, empty."""
    engine.empty()
    made = open_store(engine_name, engine.target)
    yield made
    made.close()


def accepted(correlation_id: str, at_ms: int, command: str = "CreateUser", user_id: int = 1) -> TracedEvent:
    """Return the event of a command's acceptance."""
    return TracedEvent(_event(correlation_id, "accepted", at_ms, command, user_id), sampled=True)


def succeeded(correlation_id: str, at_ms: int, command: str = "CreateUser", user_id: int = 1) -> TracedEvent:
    """Return the event of a store's receipt."""
    event = _event(correlation_id, "succeeded", at_ms, command, user_id)
    event.store = "POSTGRESQL"
    return TracedEvent(event, sampled=True)


def _event(correlation_id: str, kind: str, at_ms: int, command: str, user_id: int) -> Event:
    stamp = Timestamp()
    stamp.FromMilliseconds(at_ms)
    return Event(
        event_id=f"{correlation_id}:{kind}",
        correlation_id=correlation_id,
        event_type=f"command.{kind}",
        timestamp=stamp,
        command=command,
        user_id=user_id,
    )


def span(trace_id: str, span_id: str, at_ms: int = 1, correlation_id: str = "c", parent: str = "") -> Span:
    """Return a span, which names a command where `correlation_id` is not empty."""
    stamp = Timestamp()
    stamp.FromMilliseconds(at_ms)
    attributes = {"a": "1"} | ({CONVERSATION_ID: correlation_id} if correlation_id else {})
    return Span(
        trace_id=trace_id, span_id=span_id, parent_span_id=parent, name="n", start_time=stamp, attributes=attributes
    )


def purge(store: EventStore, bounds: Bounds) -> int:
    """Take the store's steps until nothing is beyond the bounds; return how many rows went."""
    gone = 0
    while rows := store.purge(bounds):
        gone += rows
    return gone


def test_events_come_back_as_they_were(store: EventStore) -> None:
    """Every field, and whether the trace was sampled."""
    correlation_id = new_correlation_id()
    events = [accepted(correlation_id, 1), succeeded(correlation_id, 2)]
    store.append(events)
    found = sorted(store.events_of(correlation_id), key=lambda traced: traced.event.event_id)
    assert found == sorted(events, key=lambda traced: traced.event.event_id)
    assert store.events_of(new_correlation_id()) == []


def test_a_failure_stays_whole(store: EventStore) -> None:
    """The event and the list of operations have every detail of the error, whatever its fields are called."""
    correlation_id = new_correlation_id()
    error = PolystreamError(
        Reason.USER_UNVERIFIED,
        "não agora",
        faults=[FieldFault("a.b[0].c", "is not liked", "string.min_len"), FieldFault("", "neither")],
        metadata={"a.b": "1", "store": "POSTGRESQL", "a": "2"},
        retry_delay_s=2.5,
    ).to_status()
    failed = TracedEvent(_event(correlation_id, "failed", 2, "CreateUser", 1), sampled=False)
    failed.event.store, failed.event.error = "POSTGRESQL", "USER_UNVERIFIED: não agora"
    failed.event.dead_lettered = True
    failed.event.error_status.CopyFrom(error)
    store.append([accepted(correlation_id, 1), failed])
    (found,) = [traced for traced in store.events_of(correlation_id) if traced.event.store]
    assert found == failed
    assert [operation.error for operation in store.operations(Listing(10))] == [error]


def test_the_same_event_is_kept_once(store: EventStore) -> None:
    """A redelivered record makes no second document."""
    correlation_id = new_correlation_id()
    for _ in range(3):
        store.append([accepted(correlation_id, 1)])
    assert len(store.events_of(correlation_id)) == 1


def test_an_operation_follows_its_events(store: EventStore) -> None:
    """In whatever batches they come."""
    correlation_id = new_correlation_id()
    store.append([accepted(correlation_id, 1)])
    assert [o.state for o in store.operations(Listing(10))] == [Operation.ACCEPTED]
    store.append([succeeded(correlation_id, 2)])
    assert [o.state for o in store.operations(Listing(10))] == [Operation.SUCCEEDED]


def test_operations_are_listed_newest_first_page_by_page(store: EventStore) -> None:
    """Pages join without a gap or a double, among equal times too."""
    made = [new_correlation_id() for _ in range(25)]
    store.append([accepted(correlation_id, number // 5) for number, correlation_id in enumerate(made)])
    seen: list[Operation] = []
    after: SortKey | None = None
    while page := store.operations(Listing(7, after=after)):
        seen += page
        after = page[-1].accept_time.ToMilliseconds(), page[-1].correlation_id
    assert len(seen) == 25
    assert {operation.correlation_id for operation in seen} == set(made)
    times = [operation.accept_time.ToMilliseconds() for operation in seen]
    assert times == sorted(times, reverse=True)


def test_spans_come_back_by_their_command_and_once(store: EventStore) -> None:
    """The same span sent twice is one span; another trace of the same command is told of too."""
    store.add_spans([span("t1", "a"), span("t1", "b"), span("t2", "a"), span("t3", "a", correlation_id="other")])
    store.add_spans([span("t1", "a")])
    found = store.spans_of("c")
    assert sorted((s.trace_id, s.span_id) for s in found.spans) == [("t1", "a"), ("t1", "b"), ("t2", "a")]
    assert found.left_out == 0
    assert found.spans[0].attributes["a"] == "1"
    assert store.spans_of("nobody") == FoundSpans([], 0)


def test_of_a_trace_that_many_commands_share_each_has_its_own(store: EventStore) -> None:
    """Two thousand commands below one span of their caller: each has its own spans, and those above them."""
    store.add_spans([span("t", "root", 1, ""), span("t", "caller", 2, "", "root"), span("t", "aside", 2, "", "root")])
    for start in range(0, 2000, 250):
        store.add_spans(
            [
                made
                for number in range(start, start + 250)
                for made in (
                    span("t", f"door{number}", 3, f"c{number}", "caller"),
                    span("t", f"send{number}", 4, f"c{number}", f"door{number}"),
                )
            ]
        )
    for number in (0, 1999):
        found = store.spans_of(f"c{number}")
        assert sorted(s.span_id for s in found.spans) == ["caller", f"door{number}", "root", f"send{number}"]
        assert found.left_out == 0


def test_of_very_many_spans_the_first_are_told_and_the_rest_counted(store: EventStore) -> None:
    """Whoever sends a command's spans again and again makes no story longer than its bound."""
    store.add_spans([span("t", "root", 1, "")])
    store.add_spans([span("t", f"s{number}", 10 + number, parent="root") for number in range(SPANS_MAX + 200)])
    found = store.spans_of("c")
    assert found.left_out == 200
    assert len(found.spans) <= SPANS_MAX
    assert {f"s{number}" for number in range(SPANS_MAX)} == {s.span_id for s in found.spans}


def test_of_very_many_events_the_first_and_the_last_are_told(store: EventStore) -> None:
    """A command that was answered thousands of times is known by its beginning and its end; nothing is forgotten."""
    correlation_id = new_correlation_id()
    store.append([accepted(correlation_id, 1)])
    for start in range(0, 2100, 700):
        events = []
        for number in range(start, start + 700):
            answer = succeeded(correlation_id, 10 + number)
            answer.event.event_id = f"{correlation_id}:succeeded:{number}"
            events.append(answer)
        store.append(events)
        store.append(events)  # once more, as after a crash
    found = sorted(traced.event.timestamp.ToMilliseconds() for traced in store.events_of(correlation_id))
    assert len(found) == EVENTS_MAX
    assert found[:2] == [1, 10]
    assert found[-1] == 10 + 2099
    assert eventually(lambda: store.count_events(correlation_id) == 2101, 10)
    (listed,) = store.operations(Listing(10))
    assert listed.state == Operation.SUCCEEDED


def test_purge_forgets_what_is_old_and_spans_over_the_number(store: EventStore) -> None:
    """What is young enough stays. Retention is in days, and a store may forget by whole days."""
    old, young = new_correlation_id(), new_correlation_id()
    store.append([accepted(old, 1), accepted(young, 3 * DAY_MS)])
    store.add_spans([span("t", "old", 1), span("t", "a", 3 * DAY_MS), span("t", "b", 3 * DAY_MS + 1)])
    assert purge(store, Bounds(since_us=2 * DAY_MS * 1000, max_spans=1, max_bytes=1 << 40)) > 0
    assert store.events_of(old) == []
    assert len(store.events_of(young)) == 1
    assert [o.correlation_id for o in store.operations(Listing(10))] == [young]
    assert [s.span_id for s in store.spans_of("c").spans] == ["b"]


def test_purge_goes_on_until_nothing_is_beyond_its_bounds(store: EventStore) -> None:
    """However much there is: by steps, and with more than one of them."""
    for start in range(0, 6000, 500):
        store.append([accepted(new_correlation_id(), 1) for _ in range(500)])
        store.add_spans([span("t", f"s{n}", 3 * DAY_MS + n) for n in range(start, start + 500)])
    bounds = Bounds(since_us=2 * DAY_MS * 1000, max_spans=100, max_bytes=1 << 40)
    assert 0 < store.purge(bounds) < 18_000
    purge(store, bounds)
    assert store.operations(Listing(10)) == []
    assert sorted(s.span_id for s in store.spans_of("c").spans) == [f"s{number}" for number in range(5900, 6000)]


def test_writers_at_the_same_time_lose_nothing(store: EventStore) -> None:
    """Two monitors that follow different partitions bring the same operations up to date."""
    made = [new_correlation_id() for _ in range(40)]

    def write(kind: int) -> None:
        for start in range(0, len(made), 10):
            store.append([(accepted, succeeded)[kind](c, 1 + kind) for c in made[start : start + 10]])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (0, 1)))
    assert all(len(store.events_of(correlation_id)) == 2 for correlation_id in made)
    assert {o.state for o in store.operations(Listing(100))} == {Operation.SUCCEEDED}


def test_identifiers_of_any_form_are_kept(store: EventStore) -> None:
    """A correlation ID is whatever a record's header says."""
    strange = ["a/b?c#d", "..", "x" * 3000, "ação 'x' \"y\"", "%2F", "_source"]
    store.append([accepted(correlation_id, 1) for correlation_id in strange])
    for correlation_id in strange:
        assert [traced.event.correlation_id for traced in store.events_of(correlation_id)] == [correlation_id]
    assert {o.correlation_id for o in store.operations(Listing(100))} == set(strange)


# With a spool before it, kills of the engine are tried in tests/integration/test_event_store_outage.py.
@pytest.mark.parametrize("engine_name", ["local", "opensearch", "elasticsearch"], indirect=True)
def test_what_was_kept_is_there_after_a_kill(engine_name: str, engine: LocalEngine | OpenSearchEngine) -> None:
    """`append` returned, then SIGKILL, for the writer and for the engine: the event is there."""
    program = (
        "import os, signal, sys\n"
        "from monitor.records import TracedEvent\n"
        "from polystream.v1.operations_pb2 import Event\n"
        "from tests.support.event_stores import open_store\n"
        "store = open_store(sys.argv[1], sys.argv[2])\n"
        "store.append([TracedEvent(Event(event_id='e', correlation_id='c', event_type='command.accepted'), True)])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    engine.empty()
    finished = subprocess.run(
        [sys.executable, "-c", program, engine_name, engine.target],
        check=False,
        timeout=60,
        cwd=Path(__file__).parents[2],
        env=os.environ,
    )
    assert finished.returncode == -signal.SIGKILL
    engine.kill()
    reopened = open_store(engine_name, engine.target)
    assert len(reopened.events_of("c")) == 1
    reopened.close()
