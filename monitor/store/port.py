"""The event store's port."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from polystream.v1.operations_pb2 import Operation, Span

from monitor.records import TracedEvent


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Which operations a list holds; an empty or zero value does not filter."""

    state: int = 0  # Operation.State
    command: str = ""
    user_id: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page ends: the last operation's time of acceptance, and its ID among equals."""

    accept_time_us: int
    correlation_id: str


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

    def operations(self, only: OperationFilter, after: Position | None, limit: int) -> Sequence[Operation]:
        """Return operations, newest first, those after a position where one is given."""
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
