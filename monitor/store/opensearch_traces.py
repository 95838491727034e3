"""Traces in OpenSearch: what there is to search for, the traces that are found, and their spans."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from polystream.v1.operations_pb2 import Span

from monitor.listing.conditions import Condition
from monitor.listing.fields import SPANS
from monitor.listing.listing import Listing
from monitor.listing.opensearch import listing_query
from monitor.store.documents import read_span
from monitor.store.port import SPAN_NAMES_MAX, FoundSpans, SpanName, TraceSpans
from monitor.store.search_api import Answer
from monitor.store.selection import SPANS_MAX

_HITS_MAX: Final = 10_000  # of one search, as OpenSearch is set by default
_TRACES_A_SEARCH: Final = 100
_SOURCES: Final = ("service", "name", "kind")


class OpenSearchTraces:
    """Reads them. See `monitor.store.port.EventStore`."""

    def __init__(self, search: Callable[[Answer], Answer]) -> None:
        """`search` returns the answer to a search among the spans; an empty one where there is no index."""
        self._search = search

    def span_names(self) -> Sequence[SpanName]:
        """Return the names that spans have."""
        sources = [{source: {"terms": {"field": source}}} for source in _SOURCES]
        query = {"size": 0, "aggs": {"names": {"composite": {"size": SPAN_NAMES_MAX, "sources": sources}}}}
        aggregations = self._search(query).get("aggregations")  # none where no index is there
        buckets = aggregations["names"]["buckets"] if aggregations else []
        return [SpanName(**bucket["key"]) for bucket in buckets]

    def find_traces(self, where: Condition, limit: int) -> Sequence[str]:
        """Return the IDs of traces with a span that fulfils a condition."""
        collapsed = {"collapse": {"field": "trace_id"}, "_source": False, "docvalue_fields": ["trace_id"]}
        answer = self._search(listing_query(Listing(limit, where), SPANS) | collapsed)
        found = [hit["fields"].get("trace_id", [""])[0] for hit in answer["hits"]["hits"]] if answer else []
        return [trace_id for trace_id in found if trace_id]

    def traces(self, trace_ids: Sequence[str]) -> TraceSpans:
        """Return the spans of traces."""
        found = TraceSpans()
        for start in range(0, len(trace_ids), _TRACES_A_SEARCH):
            if not found.has_room:
                break
            for trace_id, spans in self._some(trace_ids[start : start + _TRACES_A_SEARCH]).items():
                found.add(trace_id, spans)
        return found

    def _some(self, trace_ids: Sequence[str]) -> Mapping[str, FoundSpans]:
        """Return the spans of a few traces; in halves, where they have more than one search returns."""
        size = SPANS_MAX if len(trace_ids) == 1 else _HITS_MAX
        query: dict[str, Any] = {
            "query": {"terms": {"trace_id": list(trace_ids)}},
            "sort": [{"start_time": "asc"}, {"span_id": "asc"}],
            "size": size,
            "track_total_hits": True,
        }
        answer = self._search(query)
        total = answer["hits"]["total"]["value"] if answer else 0
        if total > size and len(trace_ids) > 1:
            middle = len(trace_ids) // 2
            return {**self._some(trace_ids[:middle]), **self._some(trace_ids[middle:])}
        by_trace: dict[str, list[Span]] = {trace_id: [] for trace_id in trace_ids}
        for hit in answer["hits"]["hits"] if answer else ():
            by_trace[hit["_source"]["trace_id"]].append(read_span(hit["_source"]))
        if len(trace_ids) == 1:
            return {trace_ids[0]: FoundSpans(by_trace[trace_ids[0]], total - len(by_trace[trace_ids[0]]))}
        return {
            trace_id: FoundSpans(spans[:SPANS_MAX], max(0, len(spans) - SPANS_MAX))
            for trace_id, spans in by_trace.items()
        }
