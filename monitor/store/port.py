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
        """Return the events of a command, in no order; none for one that is not known."""
        ...

    def spans_of(self, trace_id: str) -> Sequence[Span]:
        """Return the spans of a trace, in no order."""
        ...

    def operations(self, only: OperationFilter, after: Position | None, limit: int) -> Sequence[Operation]:
        """Return operations, newest first, those after a position where one is given."""
        ...

    def purge(self, *, before_us: int, max_spans: int) -> int:
        """Forget what is older than a time, and the oldest spans over a number; return how many rows went."""
        ...

    def close(self) -> None:
        """Close the files or connections."""
        ...
