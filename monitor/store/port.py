"""The event store's port."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from polystream.v1.operations_pb2 import Event, Operation, Span

from monitor.listing.conditions import Condition
from monitor.listing.listing import Listing
from monitor.records import TracedEvent

SPAN_NAMES_MAX: Final = 5000
ANSWER_SPANS_MAX: Final = 10_000  # of all traces that are read at once


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a store keeps."""

    since_us: int  # of what is older than that, nothing; microseconds since the epoch
    max_spans: int
    max_bytes: int  # of a file of this machine's; a search engine's room is its own


@dataclass(frozen=True, slots=True)
class FoundSpans:
    """Spans of a command, at most `monitor.store.selection.SPANS_MAX` of them: the earliest and their ancestors."""

    spans: Sequence[Span]
    left_out: int  # how many more name the command


@dataclass(frozen=True, slots=True)
class SpanName:
    """What a span can be searched by before anything else of it is known."""

    service: str
    name: str
    kind: str  # as `polystream.v1.Span` has it


@dataclass(slots=True)
class TraceSpans:
    """The spans of several traces, each with its own and what is left out of them: ANSWER_SPANS_MAX in all."""

    by_trace: dict[str, FoundSpans] = field(default_factory=dict)  # none of a trace without a span
    _count: int = 0

    @property
    def has_room(self) -> bool:
        """Whether more traces can be added."""
        return self._count < ANSWER_SPANS_MAX

    def add(self, trace_id: str, found: FoundSpans) -> None:
        """Add the spans of a trace; of one that has no room as a whole, nothing."""
        if not found.spans:
            return
        if self._count + len(found.spans) > ANSWER_SPANS_MAX:
            self._count = ANSWER_SPANS_MAX
            return
        self._count += len(found.spans)
        self.by_trace[trace_id] = found


class EventStore(Protocol):
    """Keeps events, the operations they add up to, and spans. Methods may be called from several threads.

    Durable: what `append` or `add_spans` returned from is there after the process is killed.
    Idempotent: an event with a known `event_id`, or a span with a known trace and span ID, is not kept twice.
    """

    def append(self, events: Sequence[TracedEvent]) -> None:
        """Keep events. Raises PolystreamError with EVENT_LOG_UNAVAILABLE when they could not be kept."""
        ...

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans. Raises PolystreamError with EVENT_LOG_UNAVAILABLE when they could not be kept."""
        ...

    def events_of(self, correlation_id: str) -> Sequence[TracedEvent]:
        """Return the events of a command, in no order; none for one that is not known.

        Of more than `monitor.store.selection.EVENTS_MAX`, the first and the last in time are returned.
        """
        ...

    def count_events(self, correlation_id: str) -> int:
        """Return how many events of a command there are, or a little less: the newest may not be counted yet."""
        ...

    def spans_of(self, correlation_id: str) -> FoundSpans:
        """Return the spans that name a command, and their ancestors, in no order."""
        ...

    def operations(self, listing: Listing) -> Sequence[Operation]:
        """Return the operations that a listing asks for."""
        ...

    def events(self, listing: Listing) -> Sequence[Event]:
        """Return the events that a listing asks for."""
        ...

    def spans(self, listing: Listing) -> Sequence[Span]:
        """Return the spans that a listing asks for."""
        ...

    def span_names(self) -> Sequence[SpanName]:
        """Return the services and names that spans have, each once, in no order; SPAN_NAMES_MAX of them at the most.

        A name that no span of late has may be missing.
        """
        ...

    def find_traces(self, where: Condition, limit: int) -> Sequence[str]:
        """Return the IDs of traces with a span that fulfils a condition, the newest of these spans first."""
        ...

    def traces(self, trace_ids: Sequence[str]) -> TraceSpans:
        """Return the spans of traces, the earliest of each first, SPANS_MAX of one at the most.

        Traces at the end are left out where ANSWER_SPANS_MAX are reached before, and those without a span.
        """
        ...

    def purge(self, bounds: Bounds) -> int:
        """Forget a bounded number of what is beyond the bounds, the oldest first; return how many rows went.

        0 says that nothing is beyond them any more. Raises PolystreamError with EVENT_LOG_UNAVAILABLE, once it has
        tried each bound: one that cannot be kept now does not keep it from the others.
        """
        ...

    def close(self) -> None:
        """Close the files or connections."""
        ...
