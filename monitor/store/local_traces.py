"""Traces in the event store of a file: what there is to search for, the traces that are found, and their spans.

The lists are read from the index that searches read, the newest first, and end as soon as they are long enough.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from polystream.v1.operations_pb2 import Span

from monitor.listing.conditions import Condition
from monitor.listing.fields import SPANS
from monitor.listing.listing import Listing
from monitor.listing.sqlite import listing_clauses
from monitor.store.local_schema import SPAN_TABLE
from monitor.store.port import SPAN_NAMES_MAX, FoundSpans, SpanName, TraceSpans
from monitor.store.selection import SPANS_MAX

Read = Callable[[str, Sequence[object]], list[tuple[Any, ...]]]  # runs a statement

_NAMED_SPANS_MAX: Final = 100_000  # the newest, in which names are looked for: 40 ms
_NAMES: Final = f"""
SELECT DISTINCT service, name, kind FROM (
    SELECT service, name, kind FROM {SPAN_TABLE.name} INDEXED BY {SPAN_TABLE.index} ORDER BY start_time DESC LIMIT ?
) LIMIT ?
"""  # noqa: S608 # names alone
_OF_TRACE: Final = "SELECT document FROM command_spans WHERE trace_id = ? ORDER BY start_us, span_id LIMIT ?"
_COUNT: Final = "SELECT count(*) FROM command_spans WHERE trace_id = ?"


class LocalTraces:
    """Reads them. See `monitor.store.port.EventStore`."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def span_names(self) -> Sequence[SpanName]:
        """Return the names that the newest spans have."""
        return [SpanName(*row) for row in self._read(_NAMES, (_NAMED_SPANS_MAX, SPAN_NAMES_MAX))]

    def find_traces(self, where: Condition, limit: int) -> Sequence[str]:
        """Return the IDs of traces with a span that fulfils a condition."""
        clauses, values = listing_clauses(Listing(limit, where), SPANS)
        # Rows come in the order of the index, so that the first of a trace is its newest.
        statement = f"SELECT DISTINCT trace_id FROM {SPAN_TABLE.name} INDEXED BY {SPAN_TABLE.index} {clauses}"  # noqa: S608 # names of columns and marks
        return [row[0] for row in self._read(statement, values)]

    def traces(self, trace_ids: Sequence[str]) -> TraceSpans:
        """Return the spans of traces."""
        found = TraceSpans()
        for trace_id in trace_ids:
            if not found.has_room:
                break
            spans = [Span.FromString(row[0]) for row in self._read(_OF_TRACE, (trace_id, SPANS_MAX))]
            total = int(self._read(_COUNT, (trace_id,))[0][0]) if len(spans) == SPANS_MAX else len(spans)
            found.add(trace_id, FoundSpans(spans, total - len(spans)))
        return found
