"""A spool before the event store: takes over where the store is down or slow, and is drained in order afterwards.

While there is nothing in the spool, writes go straight to the store. The first one that the store does not take
goes to the spool instead, and so does everything after it, until a thread has drained it. The store knows events and
spans by their identifiers, so that one which it took without its answer getting through is not kept twice.

A full spool refuses: events then wait in Kafka, and spans are dropped by whoever sent them.
"""

import contextlib
import hashlib
import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Final, TypeVar

import structlog
from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.backoff import Backoff
from mesh.catalog import Catalog
from mesh.errors import PolystreamError, Reason
from monitor.listing import fields
from monitor.listing.conditions import Condition
from monitor.listing.fields import event_values, operation_values, span_values
from monitor.listing.listing import Listing, pick, sort_key
from monitor.records import ACCEPTED, TracedEvent
from monitor.span_tree import SpanPlace
from monitor.store.documents import Document, event_document, read_event, read_span, span_document
from monitor.store.port import SPAN_NAMES_MAX, Bounds, EventStore, FoundSpans, SpanName, TraceSpans
from monitor.store.recent import RecentEvents, RecentSpans
from monitor.store.selection import SPANS_MAX, ends_of, with_ancestors
from monitor.store.set_apart import SetApartFile
from monitor.store.spool_file import SpoolFile
from monitor.story import fold

_BATCH_LINES: Final = 1000
_SPANS_SHARE: Final = 0.5  # of the spool's bound: spans must not keep events out
_RETRY_FIRST_S: Final = 0.1
_RETRY_MAX_S: Final = 2.0
_STOP_TIMEOUT_S: Final = 15.0
_RECENT_COMMANDS: Final = 5_000  # about 10 MB
_RECENT_TRACES: Final = 2_000  # about 10 MB, 7 spans each
_SPOOLED_PARENTS_MAX: Final = 8  # each is looked for in the whole spool
_SPOOLED_TRACES_MAX: Final = 8  # likewise
_RECENT_SPANS_MAX: Final = 2 * _RECENT_TRACES * 200  # more than there are in memory

T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class SpooledEventStore:
    """An event store that takes events while the one behind it does not. See `monitor.store.port.EventStore`.

    Reads while the store does not answer: a command's events as they are in the spool and in memory; the spans at
    hand; the newest operations. Where of a command only its end is at hand, EVENT_LOG_UNAVAILABLE is raised.
    """

    def __init__(
        self, inner: EventStore, spool: SpoolFile, catalog: Catalog, on_set_apart: Callable[[], None] = lambda: None
    ) -> None:
        """Begin at once to drain what the spool has from before.

        `on_set_apart` is called for each damaged line, which can never be kept.
        """
        self._inner = inner
        self._spool = spool
        self._catalog = catalog
        self._set_apart = SetApartFile(spool.folder, on_set_apart)
        self._events = RecentEvents(_RECENT_COMMANDS)
        self._spans = RecentSpans(_RECENT_TRACES)
        self._down = spool.backlog  # until the store has taken something
        self._stopping = threading.Event()
        self._filled = threading.Event()
        self._drainer = threading.Thread(target=self._drain, name="drain-spool", daemon=True)
        self._drainer.start()

    @property
    def is_down(self) -> bool:
        """Whether the store behind it did not take or answer what it was last given."""
        return self._down

    @property
    def spooled_bytes(self) -> int:
        """How much the spool holds."""
        return self._spool.size_bytes

    def ask(self) -> None:
        """Ask the store for a sign of life: one that is down is to be told of before anything is written."""
        try:
            self._inner.operations(Listing(limit=1))
        except PolystreamError as error:
            if not self._down:
                log.warning("the event store does not answer", reason=error.reason.name)
            self._down = True
        else:
            if not self._spool.backlog:
                self._down = False

    def append(self, events: Sequence[TracedEvent]) -> None:
        """Keep events, in the store or in the spool."""
        if not self._is_taken(lambda: self._inner.append(events)):
            self._put([_line("event", event_document(traced)) for traced in events])
        self._events.add(events)

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans, in the store or in the spool."""
        if not self._is_taken(lambda: self._inner.add_spans(spans)):
            self._put([_line("span", span_document(span)) for span in spans], share=_SPANS_SHARE)
        self._spans.add(spans)

    def events_of(self, correlation_id: str) -> Sequence[TracedEvent]:
        """Return the events of a command, in no order."""
        if not self._spool.backlog:
            try:
                return self._inner.events_of(correlation_id)
            except PolystreamError:
                return self._whole(self._events.of(correlation_id))
        at_hand = {traced.event.event_id: traced for traced in self._events.of(correlation_id)}
        if not _is_whole(at_hand.values()):
            spooled = self._spooled(_needle("correlation_id", correlation_id))
            found = ends_of(read_event(document) for kind, document in spooled if kind == "event")
            at_hand = {traced.event.event_id: traced for traced in found} | at_hand
        if self._down and _is_whole(at_hand.values()):
            return list(at_hand.values())
        try:
            stored = self._inner.events_of(correlation_id)
        except PolystreamError:
            return self._whole(list(at_hand.values()))
        return ends_of(({traced.event.event_id: traced for traced in stored} | at_hand).values())

    def count_events(self, correlation_id: str) -> int:
        """Return how many events of a command the store has; while it does not answer, those at hand."""
        if not self._down:
            with contextlib.suppress(PolystreamError):
                return self._inner.count_events(correlation_id)
        return len(self.events_of(correlation_id))

    def spans_of(self, correlation_id: str) -> FoundSpans:
        """Return the spans that name a command, and their ancestors, in no order."""
        stored = FoundSpans((), 0)
        if not self._down:
            try:
                stored = self._inner.spans_of(correlation_id)
            except PolystreamError as error:
                log.info("spans at hand only", reason=error.reason.name)
            else:
                if not self._spool.backlog:
                    return stored
        spooled = self._spooled_spans(_needle("correlation_id", correlation_id))
        found = {(s.trace_id, s.span_id): s for s in (*stored.spans, *self._spans.of(correlation_id), *spooled)}
        own = sorted(found.values(), key=lambda span: span.start_time.ToNanoseconds())
        return FoundSpans(with_ancestors(own, self._spans_at), stored.left_out + max(0, len(own) - SPANS_MAX))

    def _spans_at(self, places: Sequence[SpanPlace]) -> list[Span]:
        """Return those of some spans that are in memory, or else in the spool."""
        found = self._spans.at(places)
        missing = set(places) - {(span.trace_id, span.span_id) for span in found}
        for _, span_id in sorted(missing)[:_SPOOLED_PARENTS_MAX]:
            spooled = self._spooled_spans(_needle("span_id", span_id))
            found += [span for span in spooled if (span.trace_id, span.span_id) in missing]
        return found

    def _spooled_spans(self, needle: bytes) -> list[Span]:
        """Return the spans of the spool in whose lines a text is, as many as a story holds."""
        spans = (read_span(document) for kind, document in self._spooled(needle) if kind == "span")
        return list(itertools.islice(spans, SPANS_MAX))

    def operations(self, listing: Listing) -> Sequence[Operation]:
        """Return the operations that a listing asks for."""
        stored, is_whole = self._stored(self._inner.operations, listing)
        if is_whole:
            return stored
        # What is in memory knows the newest events, so that it stands before what the store has of the same command.
        recent = {key: (fold(events, self._catalog), events) for key, events in self._events.commands().items()}
        found = pick(recent.values(), lambda told: operation_values(*told), listing, fields.OPERATIONS)
        picked = {operation.correlation_id: operation for operation, _ in found}
        picked |= self._older_operations(stored, listing, recent.keys())
        everything = Listing(listing.limit, order=listing.order)  # each has been found fit already
        return pick(picked.values(), operation_values, everything, fields.OPERATIONS)

    def _older_operations(
        self, stored: Sequence[Operation], listing: Listing, recent: AbstractSet[str]
    ) -> dict[str, Operation]:
        """Return a page of what the store has and memory has not; `stored` is the store's own first page."""
        order = listing.order_of(fields.OPERATIONS)
        kept: dict[str, Operation] = {}
        for _ in range(len(recent) + 1):  # each page but the last has one of them at least
            kept |= {one.correlation_id: one for one in stored if one.correlation_id not in recent}
            if len(stored) < listing.limit or len(kept) >= listing.limit:
                break
            behind = replace(listing, after=sort_key(operation_values(stored[-1]), order))
            stored, _ = self._stored(self._inner.operations, behind)
        return kept

    def events(self, listing: Listing) -> Sequence[Event]:
        """Return the events that a listing asks for."""
        stored, is_whole = self._stored(self._inner.events, listing)
        if is_whole:
            return stored
        recent = [event for events in self._events.commands().values() for event in events]
        merged = {event.event_id: event for event in (*stored, *recent)}
        return pick(merged.values(), event_values, listing, fields.EVENTS)

    def spans(self, listing: Listing) -> Sequence[Span]:
        """Return the spans that a listing asks for."""
        stored, is_whole = self._stored(self._inner.spans, listing)
        if is_whole:
            return stored
        merged = {(span.trace_id, span.span_id): span for span in stored} | self._spans.all()
        return pick(merged.values(), span_values, listing, fields.SPANS)

    def span_names(self) -> Sequence[SpanName]:
        """Return the services and names that spans have."""
        nothing: Sequence[SpanName] = ()
        stored, is_whole = self._asked(self._inner.span_names, nothing)
        if is_whole:
            return stored
        recent = {SpanName(span.service, span.name, span.kind) for span in self._spans.all().values()}
        return list({*stored, *recent})[:SPAN_NAMES_MAX]

    def find_traces(self, where: Condition, limit: int) -> Sequence[str]:
        """Return the IDs of traces with a span that fulfils a condition, the newest first."""
        nothing: Sequence[str] = ()
        stored, is_whole = self._asked(lambda: self._inner.find_traces(where, limit), nothing)
        if is_whole:
            return stored
        recent = pick(self._spans.all().values(), span_values, Listing(_RECENT_SPANS_MAX, where), fields.SPANS)
        # What is in memory is newer than what the store has, but for a span that came late.
        return list(dict.fromkeys([*(span.trace_id for span in recent), *stored]))[:limit]

    def traces(self, trace_ids: Sequence[str]) -> TraceSpans:
        """Return the spans of traces, the earliest of each first; those at hand where the store does not answer."""
        stored, is_whole = self._asked(lambda: self._inner.traces(trace_ids), TraceSpans())
        if is_whole:
            return stored
        wanted = set(trace_ids)
        by_trace: dict[str, list[Span]] = {trace_id: [] for trace_id in trace_ids}
        for span in self._spans.all().values():
            if span.trace_id in wanted:
                by_trace[span.trace_id].append(span)
        for trace_id in trace_ids[:_SPOOLED_TRACES_MAX]:
            by_trace[trace_id] += self._spooled_spans(_needle("trace_id", trace_id))
        whole = TraceSpans()
        for trace_id, at_hand in by_trace.items():
            before = stored.by_trace.get(trace_id, FoundSpans((), 0))
            spans = {span.span_id: span for span in (*before.spans, *at_hand)}
            earliest = sorted(spans.values(), key=lambda span: (span.start_time.ToNanoseconds(), span.span_id))
            left_out = before.left_out + max(0, len(earliest) - SPANS_MAX)
            whole.add(trace_id, FoundSpans(earliest[:SPANS_MAX], left_out))
        return whole

    def _stored(self, ask: Callable[[Listing], Sequence[T]], listing: Listing) -> tuple[Sequence[T], bool]:
        """Return what the store has of a listing, and whether that is all there is."""
        return self._asked(lambda: ask(listing), ())

    def _asked(self, ask: Callable[[], T], nothing: T) -> tuple[T, bool]:
        """Return the store's answer, or nothing where it gives none, and whether that is all there is."""
        try:
            stored = nothing if self._down else ask()
        except PolystreamError:
            return nothing, False
        return stored, not self._down and not self._spool.backlog

    def purge(self, bounds: Bounds) -> int:
        """Forget in the store what is beyond its bounds. The spool has one of its own."""
        return self._inner.purge(bounds)

    def close(self) -> None:
        """Stop draining, and close the store. What is in the spool is drained after the next start."""
        self._stopping.set()
        self._filled.set()
        self._drainer.join(_STOP_TIMEOUT_S)
        self._inner.close()

    def _is_taken(self, write: Callable[[], None]) -> bool:
        """Write to the store where nothing waits before it; False where it has to go to the spool."""
        if self._spool.backlog:
            return False
        try:
            write()
        except PolystreamError as error:
            log.warning("the event store does not answer: the spool takes over", **error.metadata)
            self._down = True
            return False
        self._down = False
        return True

    def _put(self, lines: list[bytes], *, share: float = 1.0) -> None:
        try:
            fits = self._spool.append(lines, share=share)
        except OSError as error:
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE) from error
        if not fits:
            raise PolystreamError(
                Reason.EVENT_LOG_UNAVAILABLE, "the event store does not answer, and its spool is full"
            )
        self._filled.set()

    def _spooled(self, needle: bytes) -> Iterator[tuple[str, Document]]:
        for line in self._spool.find(needle):
            try:
                entry = json.loads(line)
                yield entry["kind"], entry["document"]
            except (ValueError, KeyError, TypeError):
                log.error("a line of the spool is damaged", characters=len(line))

    def _whole(self, events: list[TracedEvent]) -> list[TracedEvent]:
        """Return events that tell a story from its beginning. Raises where there is only a part of it."""
        if not _is_whole(events):
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)
        return events

    def _drain(self) -> None:
        backoff, drained = Backoff(_RETRY_FIRST_S, _RETRY_MAX_S), 0
        while not self._stopping.is_set():
            self._filled.clear()
            if not self._spool.backlog:
                if drained:
                    log.info("the spool is drained", lines=drained)
                drained = 0
                self._filled.wait()
                continue
            try:
                lines, segment, offset = self._spool.read(_BATCH_LINES)
                self._deliver(lines)
                self._spool.advance(segment, offset)
            except Exception as error:  # noqa: BLE001 - whatever it is, what is in the spool has to be tried again
                if not isinstance(error, PolystreamError):
                    log.error("the spool is not drained", error=type(error).__name__)
                self._down = True
                self._stopping.wait(backoff.next_s())
                continue
            backoff.reset()
            self._down, drained = False, drained + len(lines)

    def _deliver(self, lines: list[bytes]) -> None:
        events: list[TracedEvent] = []
        spans: list[Span] = []
        for line in lines:
            try:
                entry = json.loads(line)
                if entry["kind"] == "event":
                    events.append(read_event(entry["document"]))
                else:
                    spans.append(read_span(entry["document"]))
            except (ValueError, KeyError, TypeError):
                text = line.decode("utf-8", "replace")
                self._set_apart.keep(hashlib.sha256(line).hexdigest(), text, "a line of the spool is damaged")
        if events:
            self._inner.append(events)
        if spans:
            self._inner.add_spans(spans)


def _line(kind: str, document: Document) -> bytes:
    return json.dumps({"kind": kind, "document": document}).encode()


def _needle(name: str, value: str) -> bytes:
    return f'"{name}": {json.dumps(value)}'.encode()


def _is_whole(events: Iterable[TracedEvent]) -> bool:
    return any(traced.event.event_type == ACCEPTED for traced in events)
