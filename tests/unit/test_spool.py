"""The spool before an event store that comes and goes."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.telemetry.names import CONVERSATION_ID
from monitor.listing.conditions import Equals
from monitor.listing.listing import Listing
from monitor.records import TracedEvent
from monitor.store.local import LocalEventStore
from monitor.store.port import FoundSpans
from monitor.store.spool import _BATCH_LINES, SpooledEventStore
from monitor.store.spool_file import SpoolFile
from tests.support.waiting import eventually

_BIG = 10_000_000
_TIMEOUT_S = 10.0


def _span(span_id: str, command: str = "c", parent: str = "") -> Span:
    attributes = {CONVERSATION_ID: command} if command else {}
    return Span(trace_id="t", span_id=span_id, parent_span_id=parent, name="n", attributes=attributes)


def _span_ids(found: FoundSpans) -> list[str]:
    return sorted(span.span_id for span in found.spans)


class FlakyStore(LocalEventStore):
    """A store that can be taken down, that counts what it is given, and can take something and not say so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, load_catalog())
        self.down = False
        self.silent = False  # takes what it is given, and fails all the same
        self.takes_max: int | None = None  # events; then it makes whoever brings more wait, and tells of those it has
        self.goes_on = threading.Event()
        self.given: list[str] = []
        self._counting = threading.Lock()

    def append(self, events: Sequence[TracedEvent]) -> None:
        """Keep events, or not."""
        self._check()
        if self.takes_max is not None and len(self.given) >= self.takes_max:
            self.goes_on.wait(_TIMEOUT_S)
        super().append(events)
        with self._counting:
            self.given += [traced.event.event_id for traced in events]
        if self.silent:
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans, or not."""
        self._check()
        super().add_spans(spans)

    def events_of(self, correlation_id: str) -> Sequence[TracedEvent]:
        """Return events, or not."""
        self._check()
        return super().events_of(correlation_id)

    def spans_of(self, correlation_id: str) -> FoundSpans:
        """Return spans, or not."""
        self._check()
        return super().spans_of(correlation_id)

    def operations(self, listing: Listing) -> Sequence[Operation]:
        """Return operations, or not."""
        self._check()
        return super().operations(listing)

    def _check(self) -> None:
        if self.down:
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)


class Bench:
    """A spooled store over one that is under the test's control."""

    def __init__(self, folder: Path, max_bytes: int = _BIG) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self.inner = FlakyStore(folder / "inner")
        self.open()

    def open(self) -> None:
        """Open the spool and the store, as a process does when it starts."""
        self.spool = SpoolFile(self._folder / "spool", self._max_bytes)
        self.store = SpooledEventStore(self.inner, self.spool, load_catalog())

    def reopen(self) -> None:
        """Stop and start again, with nothing in memory."""
        down = self.inner.down
        self.store.close()
        self.inner = FlakyStore(self._folder / "inner")
        self.inner.down = down
        self.open()

    def come_back(self) -> None:
        """Let the store answer again, and wait until it has everything."""
        self.inner.down = self.inner.silent = False
        self.inner.goes_on.set()
        eventually(lambda: not self.spool.backlog, _TIMEOUT_S)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A spooled store whose inner one is up."""
    made = Bench(tmp_path)
    yield made
    made.inner.down = False
    made.inner.goes_on.set()
    made.store.close()


def _event(correlation_id: str, kind: str, at_ms: int = 1, trace_id: str = "t") -> TracedEvent:
    stamp = Timestamp()
    stamp.FromMilliseconds(at_ms)
    store = "" if kind == "accepted" else "POSTGRESQL"
    return TracedEvent(
        Event(
            event_id=f"{correlation_id}:{kind}",
            correlation_id=correlation_id,
            event_type=f"command.{kind}",
            timestamp=stamp,
            command="CreateUser",
            store=store,
            trace_id=trace_id,
            user_id=7,
        ),
        sampled=True,
    )


def _kinds(events: Sequence[TracedEvent]) -> set[str]:
    return {traced.event.event_type for traced in events}


def test_a_store_that_is_up_gets_everything_itself(bench: Bench) -> None:
    """The spool stays empty."""
    correlation_id = new_correlation_id()
    bench.store.append([_event(correlation_id, "accepted")])
    assert bench.spool.size_bytes == 0
    assert _kinds(bench.inner.events_of(correlation_id)) == {"command.accepted"}
    assert _kinds(bench.store.events_of(correlation_id)) == {"command.accepted"}


def test_a_store_that_is_down_gets_everything_afterwards_once_and_in_order(bench: Bench) -> None:
    """Nothing is refused meanwhile."""
    ids = [new_correlation_id() for _ in range(2500)]
    bench.store.append([_event(ids[0], "accepted")])
    bench.inner.down = True
    for correlation_id in ids[1:]:
        bench.store.append([_event(correlation_id, "accepted")])
    assert bench.spool.backlog
    bench.come_back()
    assert bench.inner.given == [f"{correlation_id}:accepted" for correlation_id in ids]
    last = new_correlation_id()
    bench.store.append([_event(last, "accepted")])
    assert bench.inner.given[-1] == f"{last}:accepted"


def test_what_was_taken_without_an_answer_is_not_kept_twice(bench: Bench) -> None:
    """The store is given it again, and knows it."""
    correlation_id = new_correlation_id()
    bench.inner.silent = True
    bench.store.append([_event(correlation_id, "accepted")])
    bench.come_back()
    assert bench.inner.given.count(f"{correlation_id}:accepted") > 1
    assert len(bench.store.events_of(correlation_id)) == 1
    assert len(bench.store.operations(Listing(10))) == 1


def test_stories_are_told_while_the_store_is_down(bench: Bench) -> None:
    """Of a command before it went down, of one across that moment, and of one after it."""
    before, across, after = (new_correlation_id() for _ in range(3))
    bench.store.append([_event(before, "accepted"), _event(before, "succeeded"), _event(across, "accepted")])
    bench.inner.down = True
    bench.store.append([_event(across, "succeeded"), _event(after, "accepted"), _event(after, "succeeded")])
    for correlation_id in (before, across, after):
        assert _kinds(bench.store.events_of(correlation_id)) == {"command.accepted", "command.succeeded"}
    assert {o.state for o in bench.store.operations(Listing(10))} == {Operation.SUCCEEDED}


def test_stories_are_told_from_the_file_after_a_restart(bench: Bench) -> None:
    """A monitor that starts while the store is down finds in the spool what is not in its memory."""
    correlation_id = new_correlation_id()
    bench.inner.down = True
    bench.store.append([_event(correlation_id, "accepted"), _event(correlation_id, "succeeded")])
    bench.store.add_spans([_span("s")])
    bench.reopen()
    assert _kinds(bench.store.events_of(correlation_id)) == {"command.accepted", "command.succeeded"}
    assert [span.span_id for span in bench.store.spans_of("c").spans] == ["s"]
    bench.come_back()
    assert len(bench.inner.events_of(correlation_id)) == 2
    assert [span.span_id for span in bench.inner.spans_of("c").spans] == ["s"]


def test_half_a_story_is_not_told(bench: Bench) -> None:
    """Where the beginning is in the store that is down, the event log is unavailable, not wrong."""
    correlation_id = new_correlation_id()
    bench.store.append([_event(correlation_id, "accepted")])
    bench.reopen()
    bench.inner.down = True
    bench.store.append([_event(correlation_id, "succeeded")])
    with pytest.raises(PolystreamError) as refused:
        bench.store.events_of(correlation_id)
    assert refused.value.reason is Reason.EVENT_LOG_UNAVAILABLE
    bench.come_back()
    assert len(bench.store.events_of(correlation_id)) == 2


def test_spans_are_spooled_and_told_too(bench: Bench) -> None:
    """They are at hand while the store is down, and in it afterwards, each once, with the caller's above them."""
    bench.store.add_spans([_span("a")])
    bench.inner.down = True
    bench.store.add_spans([_span("b", parent="root"), _span("other", command="other"), _span("root", command="")])
    assert _span_ids(bench.store.spans_of("c")) == ["a", "b", "root"]
    assert _span_ids(bench.store.spans_of("nobody")) == []
    bench.reopen()
    assert _span_ids(bench.store.spans_of("c")) == ["b", "root"]  # `a` is in the store, which is down
    bench.come_back()
    assert _span_ids(bench.inner.spans_of("c")) == ["a", "b", "root"]


def test_lists_join_what_is_stored_with_what_waits(bench: Bench) -> None:
    """While the spool is drained, an operation shows once, in its newest state, in its place, filters and pages too."""
    ids = [new_correlation_id() for _ in range(4)]
    bench.store.append([_event(ids[number], "accepted", at_ms=number + 1) for number in (0, 1)])
    bench.inner.down = True
    bench.store.append([_event(ids[number], "accepted", at_ms=number + 1) for number in (2, 3)])
    bench.store.append([_event(ids[1], "succeeded", at_ms=9)])
    for _ in ("down", "up"):
        listed = bench.store.operations(Listing(10))
        assert [operation.correlation_id for operation in listed] == ids[::-1]
        assert [o.state for o in listed] == [1, 1, Operation.SUCCEEDED, 1]
        done = bench.store.operations(Listing(10, Equals("state", "SUCCEEDED")))
        assert [operation.correlation_id for operation in done] == [ids[1]]
        page = bench.store.operations(Listing(1, after=(3, ids[2])))
        assert [operation.correlation_id for operation in page] == [ids[1]]
        bench.come_back()


def test_a_page_skips_nothing_though_memory_knows_better(bench: Bench) -> None:
    """What the store has of a page may have changed since: the store fills the page, not what is older."""
    ids = [new_correlation_id() for _ in range(6)]
    bench.store.append([_event(id_, "accepted", at_ms=100 + number) for number, id_ in enumerate(ids)])
    bench.reopen()
    bench.inner.down = True
    bench.store.append([_event(new_correlation_id(), "accepted") for _ in range(_BATCH_LINES)])
    bench.store.append([_event(ids[number], "succeeded", at_ms=200) for number in (4, 5)])
    bench.store.append([_event(ids[0], "received", at_ms=100)])

    def listed(listing: Listing) -> list[str]:
        return [operation.correlation_id for operation in bench.store.operations(listing)]

    bench.inner.takes_max, bench.inner.down = _BATCH_LINES, False
    eventually(lambda: len(bench.inner.given) == _BATCH_LINES and not bench.store.is_down, _TIMEOUT_S)
    for _ in ("while the spool is drained", "afterwards"):
        under_way = Equals("state", "ACCEPTED")
        assert listed(Listing(2, under_way)) == [ids[3], ids[2]]
        assert listed(Listing(2, under_way, after=(102, ids[2]))) == [ids[1], ids[0]]
        bench.come_back()


def test_a_full_spool_refuses_and_loses_nothing(tmp_path: Path) -> None:
    """The caller keeps what was refused; spans are refused before events are."""
    bench = Bench(tmp_path, max_bytes=4000)
    bench.inner.down = True
    kept: list[str] = []

    def fill() -> None:
        for _ in range(100):
            correlation_id = new_correlation_id()
            bench.store.append([_event(correlation_id, "accepted")])
            kept.append(correlation_id)

    with pytest.raises(PolystreamError, match="its spool is full") as refused:
        fill()
    assert refused.value.reason is Reason.EVENT_LOG_UNAVAILABLE
    assert len(kept) > 3
    with pytest.raises(PolystreamError, match="its spool is full"):
        bench.store.add_spans([Span(trace_id="t", span_id="a")])
    bench.come_back()
    assert bench.inner.given == [f"{correlation_id}:accepted" for correlation_id in kept]
    bench.store.append([_event(new_correlation_id(), "accepted")])
    bench.store.close()


def test_a_damaged_line_stops_nothing(tmp_path: Path) -> None:
    """It is told of, left out, and those around it are kept."""
    first, last = new_correlation_id(), new_correlation_id()
    bench = Bench(tmp_path)
    bench.inner.down = True
    bench.store.append([_event(first, "accepted")])
    bench.spool.append([b"\x00\xff not JSON", b"{}", b'{"kind": "event", "document": {"timestamp": "?"}}'])
    bench.store.append([_event(last, "accepted")])
    bench.come_back()
    assert bench.inner.given == [f"{first}:accepted", f"{last}:accepted"]
    bench.store.close()


def test_a_store_that_comes_and_goes_under_load_has_everything_once(bench: Bench) -> None:
    """However the two meet, each event is in the store once, and each command's in their order."""
    ids = [new_correlation_id() for _ in range(3000)]
    stop = threading.Event()

    def flicker() -> None:
        while not stop.wait(0.003):
            bench.inner.down = not bench.inner.down

    flickering = threading.Thread(target=flicker)
    flickering.start()
    for correlation_id in ids:
        bench.store.append([_event(correlation_id, "accepted")])
        bench.store.append([_event(correlation_id, "succeeded")])
    stop.set()
    flickering.join()
    bench.come_back()
    assert all(len(bench.inner.events_of(correlation_id)) == 2 for correlation_id in ids)
    places = {event_id: place for place, event_id in enumerate(bench.inner.given)}
    assert all(places[f"{c}:accepted"] < places[f"{c}:succeeded"] for c in ids)
