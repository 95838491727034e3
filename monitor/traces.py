"""Searching for traces: by what one of their spans is, as Jaeger does it, in whichever event store there is."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from monitor.listing.conditions import All, Compares, Condition, Equals, Not
from monitor.listing.fields import ATTRIBUTE_PAIRS, attribute_pair
from monitor.span_tree import parent_of, place_of
from monitor.store.port import EventStore, FoundSpans, SpanName

TRACES_MAX: Final = 1500  # found by one search: as many as Jaeger's page asks for at the most
KINDS: Final = ("SERVER", "CLIENT", "PRODUCER", "CONSUMER", "INTERNAL")
_CALLING_TRACES_MAX: Final = 500  # of which is counted what calls what


@dataclass(frozen=True, slots=True)
class TraceQuery:
    """What one span of a trace has to be, all of it together, for the trace to be found."""

    service: str = ""
    name: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)  # also `error` and `span.kind`, as Jaeger has them
    since_ms: int | None = None  # since the epoch
    until_ms: int | None = None
    min_duration_ms: float | None = None
    max_duration_ms: float | None = None
    limit: int = 100

    def condition(self) -> Condition:
        """Return what it means for a span."""
        conditions: list[Condition] = []
        if self.service:
            conditions.append(Equals("service", self.service))
        if self.name:
            conditions.append(Equals("name", self.name))
        if self.since_ms is not None:
            conditions.append(Compares("start_time", ">=", self.since_ms))
        if self.until_ms is not None:
            conditions.append(Compares("start_time", "<=", self.until_ms))
        if self.min_duration_ms is not None:
            conditions.append(Compares("duration_ms", ">=", self.min_duration_ms))
        if self.max_duration_ms is not None:
            conditions.append(Compares("duration_ms", "<=", self.max_duration_ms))
        return All((*conditions, *(_attribute(name, value) for name, value in self.attributes.items())))


@dataclass(frozen=True, slots=True)
class FoundTraces:
    """Traces with their spans, the newest first."""

    traces: Mapping[str, FoundSpans]
    found: int  # how many there are: more than `traces` has, where there was no room for all of their spans


@dataclass(frozen=True, slots=True)
class ServiceCall:
    """How often spans of one service had a span of another one beneath them."""

    parent: str
    child: str
    count: int


class Traces:
    """Traces by their spans. Every method raises PolystreamError with EVENT_LOG_UNAVAILABLE."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    def names(self) -> Sequence[SpanName]:
        """Return the services and names that can be searched for, in their order."""
        return sorted(self._store.span_names(), key=lambda each: (each.service, each.name, each.kind))

    def find(self, query: TraceQuery) -> FoundTraces:
        """Return the newest traces that a query finds."""
        return self.of_ids(self._store.find_traces(query.condition(), min(query.limit, TRACES_MAX)))

    def of_ids(self, trace_ids: Sequence[str]) -> FoundTraces:
        """Return traces by their IDs, those that there are."""
        return FoundTraces(self._store.traces(trace_ids).by_trace, len(trace_ids))

    def calls(self, since_ms: int, until_ms: int) -> Sequence[ServiceCall]:
        """Return which service calls which, counted in the newest traces of a time: 500 at the most."""
        query = TraceQuery(since_ms=since_ms, until_ms=until_ms, limit=_CALLING_TRACES_MAX)
        counts: Counter[tuple[str, str]] = Counter()
        for found in self.find(query).traces.values():
            services = {place_of(span): span.service for span in found.spans}
            for span in found.spans:
                place = parent_of(span)
                parent = services.get(place, span.service) if place else span.service
                if parent != span.service:
                    counts[parent, span.service] += 1
        return [ServiceCall(parent, child, count) for (parent, child), count in sorted(counts.items())]


def _attribute(name: str, value: str) -> Condition:
    """Return the condition on an attribute. Some are fields of the span: that is where Jaeger looks for them too."""
    match name, value:
        case ("error", "true") | ("otel.status_code", "ERROR"):
            return Equals("error", True)
        case "error", "false":
            return Equals("error", False)
        case "span.kind", _:
            return Equals("kind", value.upper())
        case _, "":
            return Not(Equals(ATTRIBUTE_PAIRS, attribute_pair(name)))
        case _:
            return Equals(ATTRIBUTE_PAIRS, attribute_pair(name, value))
