"""The newest events and spans, kept in memory: what can still be told while the store does not answer."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.catalog import Catalog
from monitor.records import TracedEvent
from monitor.story import fold

T = TypeVar("T")


class _Groups(Generic[T]):
    """Items in groups, each item once, the groups that were longest without a new one dropped first."""

    def __init__(self, max_groups: int, max_items: int) -> None:
        self._max_groups = max_groups
        self._max_items = max_items  # of one group
        self._lock = threading.Lock()
        self._groups: OrderedDict[str, dict[str, T]] = OrderedDict()

    def add(self, group: str, key: str, item: T) -> None:
        with self._lock:
            items = self._groups.setdefault(group, {})
            self._groups.move_to_end(group)
            if len(items) < self._max_items:
                items.setdefault(key, item)
            if len(self._groups) > self._max_groups:
                self._groups.popitem(last=False)

    def of(self, group: str) -> list[T]:
        with self._lock:
            return list(self._groups.get(group, {}).values())

    def all(self) -> dict[str, list[T]]:
        with self._lock:
            return {group: list(items.values()) for group, items in self._groups.items()}


class RecentEvents:
    """The events of the newest commands. Thread-safe."""

    def __init__(self, catalog: Catalog, max_commands: int, max_events: int = 100) -> None:
        self._catalog = catalog
        # Serialized, they take a third of the memory.
        self._events: _Groups[tuple[bytes, bool]] = _Groups(max_commands, max_events)

    def add(self, events: Sequence[TracedEvent]) -> None:
        """Remember events."""
        for traced in events:
            item = traced.event.SerializeToString(), traced.sampled
            self._events.add(traced.event.correlation_id, traced.event.event_id, item)

    def of(self, correlation_id: str) -> list[TracedEvent]:
        """Return what is remembered of a command."""
        return [TracedEvent(Event.FromString(event), sampled) for event, sampled in self._events.of(correlation_id)]

    def operations(self) -> dict[str, Operation]:
        """Return the operations that the events add up to, by correlation ID."""
        return {
            correlation_id: fold([Event.FromString(event) for event, _ in events], self._catalog)
            for correlation_id, events in self._events.all().items()
        }


class RecentSpans:
    """The spans of the newest traces. Thread-safe."""

    def __init__(self, max_traces: int, max_spans: int = 200) -> None:
        self._spans: _Groups[bytes] = _Groups(max_traces, max_spans)

    def add(self, spans: Sequence[Span]) -> None:
        """Remember spans."""
        for span in spans:
            self._spans.add(span.trace_id, span.span_id, span.SerializeToString())

    def of(self, trace_id: str) -> list[Span]:
        """Return what is remembered of a trace."""
        return [Span.FromString(span) for span in self._spans.of(trace_id)]
