"""The newest events and spans, kept in memory: what can still be told while the store does not answer."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Final, Generic, TypeVar

from polystream.v1.operations_pb2 import Event, Span

from mesh.telemetry.names import CONVERSATION_ID
from monitor.records import TracedEvent
from monitor.span_tree import SpanPlace

T = TypeVar("T")


_MAX_BYTES: Final = 32 * 1024 * 1024  # of the items of all groups; ordinary ones come to 10 MB


class _Groups(Generic[T]):
    """Items in groups, each item once, the groups that were longest without a new one dropped first."""

    def __init__(self, max_groups: int, max_items: int, max_bytes: int) -> None:
        self._max_groups = max_groups
        self._max_items = max_items  # of one group
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._sizes_bytes: dict[str, int] = {}  # by group
        self._lock = threading.Lock()
        self._groups: OrderedDict[str, dict[str, T]] = OrderedDict()

    def add(self, group: str, key: str, item: T, size_bytes: int) -> None:
        with self._lock:
            items = self._groups.setdefault(group, {})
            self._groups.move_to_end(group)
            if len(items) < self._max_items and key not in items:
                items[key] = item
                self._size_bytes += size_bytes
                self._sizes_bytes[group] = self._sizes_bytes.get(group, 0) + size_bytes
            while len(self._groups) > self._max_groups or (
                self._size_bytes > self._max_bytes and len(self._groups) > 1
            ):
                oldest, _ = self._groups.popitem(last=False)
                self._size_bytes -= self._sizes_bytes.pop(oldest, 0)

    def of(self, group: str, keys: AbstractSet[str] | None = None) -> list[T]:
        with self._lock:
            items = self._groups.get(group, {})
            return [item for key, item in items.items() if keys is None or key in keys]

    def all(self) -> dict[str, list[T]]:
        with self._lock:
            return {group: list(items.values()) for group, items in self._groups.items()}


class RecentEvents:
    """The events of the newest commands. Thread-safe."""

    def __init__(self, max_commands: int, max_events: int = 100, max_bytes: int = _MAX_BYTES) -> None:
        # Serialized, they take a third of the memory.
        self._events: _Groups[tuple[bytes, bool]] = _Groups(max_commands, max_events, max_bytes)

    def add(self, events: Sequence[TracedEvent]) -> None:
        """Remember events."""
        for traced in events:
            content = traced.event.SerializeToString()
            item = content, traced.sampled
            self._events.add(traced.event.correlation_id, traced.event.event_id, item, len(content))

    def of(self, correlation_id: str) -> list[TracedEvent]:
        """Return what is remembered of a command."""
        return [TracedEvent(Event.FromString(event), sampled) for event, sampled in self._events.of(correlation_id)]

    def commands(self) -> dict[str, list[Event]]:
        """Return the events of each command, by correlation ID."""
        return {
            correlation_id: [Event.FromString(event) for event, _ in events]
            for correlation_id, events in self._events.all().items()
        }


class RecentSpans:
    """The spans of the newest commands, and those of the newest traces that name no command. Thread-safe."""

    def __init__(self, max_commands: int, max_spans: int = 200) -> None:
        self._own: _Groups[bytes] = _Groups(max_commands, max_spans, _MAX_BYTES)
        self._others: _Groups[bytes] = _Groups(max_commands, max_spans, _MAX_BYTES)

    def add(self, spans: Sequence[Span]) -> None:
        """Remember spans."""
        for span in spans:
            correlation_id = span.attributes.get(CONVERSATION_ID)
            group, spans_of = (correlation_id, self._own) if correlation_id else (span.trace_id, self._others)
            content = span.SerializeToString()
            spans_of.add(group, f"{span.trace_id}:{span.span_id}", content, len(content))

    def of(self, correlation_id: str) -> list[Span]:
        """Return what is remembered of the spans that name a command."""
        return [Span.FromString(span) for span in self._own.of(correlation_id)]

    def at(self, places: Sequence[SpanPlace]) -> list[Span]:
        """Return those of some spans that are remembered and name no command."""
        wanted = {f"{trace_id}:{span_id}" for trace_id, span_id in places}
        traces = dict.fromkeys(trace_id for trace_id, _ in places)
        return [Span.FromString(span) for trace_id in traces for span in self._others.of(trace_id, wanted)]

    def all(self) -> dict[SpanPlace, Span]:
        """Return everything that is remembered, by trace ID and span ID."""
        kept = [*self._own.all().values(), *self._others.all().values()]
        spans = (Span.FromString(span) for group in kept for span in group)
        return {(span.trace_id, span.span_id): span for span in spans}
