"""The event store in OpenSearch: what people search, and what the monitor reads back.

Events and spans are in daily indices, one document each, under their own identifiers. Beside them, `api_operations`
has one document an operation, with the events that it adds up to. That document is read by its identifier, which
OpenSearch answers from its log, so a story is complete the moment its events were acknowledged; lists and spans are
searched, and a refresh is asked for where something was written since the last one.
"""

import hashlib
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from opensearchpy import OpenSearch
from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.catalog import Catalog
from mesh.errors import PolystreamError, Reason
from monitor.listing import fields
from monitor.listing.conditions import Condition
from monitor.listing.listing import Listing
from monitor.listing.opensearch import listing_query
from monitor.records import TracedEvent
from monitor.span_tree import SpanPlace
from monitor.store.documents import Document, event_document, read_event, read_span, span_document
from monitor.store.opensearch_traces import OpenSearchTraces
from monitor.store.port import Bounds, FoundSpans, SpanName, TraceSpans
from monitor.store.search_api import Action, Answer, SearchApi
from monitor.store.selection import EVENTS_MAX, SPANS_MAX, ends_of, with_ancestors
from monitor.store.templates import EVENTS, OPERATIONS, SEARCH_VERSION, SPANS, index_templates
from monitor.story import fold

_MERGES_MAX: Final = 10  # tries to write operations that other monitors write at the same moment
_RENEWED_MAX: Final = 500  # documents by one request
_DELETED_MAX: Final = 5000  # documents by one request
_NO_INDEX: Final = "index_not_found_exception"
_DAY_FORMAT: Final = "%Y.%m.%d"
_PAST_DAYS_MAX: Final = 60  # of an index's name; a topic that is read anew after a fault goes back a week or two
_AHEAD_DAYS_MAX: Final = 1
_IDENTIFIER_MAX_BYTES: Final = 512  # OpenSearch's own bound
# Daily in the same form, as deploy/jaeger/config.yaml has it.
_JAEGER: Final = ("polystream-jaeger-span", "polystream-jaeger-service")


class OpenSearchEventStore:
    """Events, operations and spans in OpenSearch. See `monitor.store.port.EventStore`.

    `purge` forgets events and spans by whole days; operations, and with them their stories, to the moment. The bound in
    bytes is not for it: what its server's disk holds is its operator's.
    """

    def __init__(self, api: SearchApi, catalog: Catalog) -> None:
        self._api = api
        self._catalog = catalog
        self._templates = threading.Lock()
        self._has_templates = False
        self._operations = _Freshness(api, OPERATIONS)
        self._events = _Freshness(api, f"{EVENTS}-*")
        self._spans = _Freshness(api, f"{SPANS}-*")
        self._traces = OpenSearchTraces(partial(self._answer_of, f"{SPANS}-*"))

    def append(self, events: Sequence[TracedEvent]) -> None:
        """Keep events, then bring the operations they belong to up to date."""
        self._write(
            [_create(daily_index(EVENTS, d["timestamp"]), d["event_id"], d) for d in map(event_document, events)]
        )
        self._merge(events)
        self._events.wrote()
        self._operations.wrote()

    def add_spans(self, spans: Sequence[Span]) -> None:
        """Keep spans."""
        documents = [
            span_document(span) | {fields.ATTRIBUTE_PAIRS: fields.attribute_pairs(span.attributes)} for span in spans
        ]
        self._write(
            [
                _create(daily_index(SPANS, d["start_time"]), _span_identifier(d["trace_id"], d["span_id"]), d)
                for d in documents
            ]
        )
        self._spans.wrote()

    def events_of(self, correlation_id: str) -> Sequence[TracedEvent]:
        """Return the events of a command, in no order."""
        known = self._known([_identifier(correlation_id)])
        return [read_event(event) for document in known.values() for event in document["_source"]["events"]]

    def count_events(self, correlation_id: str) -> int:
        """Return how many events of a command there are, as far as searches show them."""
        query = {"query": {"term": {"correlation_id": correlation_id}}}
        return int(self._api.call(lambda client: client.count(index=f"{EVENTS}-*", body=query)).get("count", 0))

    def spans_of(self, correlation_id: str) -> FoundSpans:
        """Return the spans that name a command, and their ancestors, in no order."""
        self._spans.refresh()
        query: Answer = {
            "query": {"term": {"correlation_id": correlation_id}},
            "sort": [{"start_time": "asc"}],
            "size": SPANS_MAX,
            "track_total_hits": True,
        }
        answer = self._answer_of(f"{SPANS}-*", query)
        own = [read_span(hit["_source"]) for hit in answer["hits"]["hits"]] if answer else []
        left_out = answer["hits"]["total"]["value"] - len(own) if answer else 0
        return FoundSpans(with_ancestors(own, self._spans_at), left_out)

    def _spans_at(self, places: Sequence[SpanPlace]) -> list[Span]:
        identifiers = [_span_identifier(trace_id, span_id) for trace_id, span_id in places]
        query: Answer = {"query": {"ids": {"values": identifiers}}, "size": len(identifiers)}
        return [read_span(document) for document in self._search(f"{SPANS}-*", query)]

    def operations(self, listing: Listing) -> Sequence[Operation]:
        """Return the operations that a listing asks for."""
        self._operations.refresh()
        found = self._search(OPERATIONS, listing_query(listing, fields.OPERATIONS))
        return [self._fold(document["events"]) for document in found]

    def events(self, listing: Listing) -> Sequence[Event]:
        """Return the events that a listing asks for."""
        self._events.refresh()
        return [read_event(found).event for found in self._search(f"{EVENTS}-*", listing_query(listing, fields.EVENTS))]

    def spans(self, listing: Listing) -> Sequence[Span]:
        """Return the spans that a listing asks for."""
        self._spans.refresh()
        return [read_span(found) for found in self._search(f"{SPANS}-*", listing_query(listing, fields.SPANS))]

    def span_names(self) -> Sequence[SpanName]:
        """Return the services and names that spans have."""
        self._spans.refresh()
        return self._traces.span_names()

    def find_traces(self, where: Condition, limit: int) -> Sequence[str]:
        """Return the IDs of traces with a span that fulfils a condition, the newest first."""
        self._spans.refresh()
        return self._traces.find_traces(where, limit)

    def traces(self, trace_ids: Sequence[str]) -> TraceSpans:
        """Return the spans of traces, the earliest of each first."""
        self._spans.refresh()
        return self._traces.traces(trace_ids)

    def purge(self, bounds: Bounds) -> int:
        """Forget days and operations that are too old, and the oldest spans over a number.

        Whole days go first: that needs no room, and a server that is full takes it too. Jaeger's days go with them,
        where it keeps its spans in the same place: it never deletes any. Operations are deleted to the moment.
        """
        steps = [partial(self._drop_days, prefix, bounds.since_us) for prefix in (EVENTS, SPANS, *_JAEGER)]
        steps += [
            partial(self._drop_span_days_over, bounds.max_spans),
            partial(self._drop_operations, bounds.since_us),
            partial(self._drop_spans_over, bounds.max_spans),
            partial(self._renew_operations),
        ]
        gone = 0
        failure: PolystreamError | None = None
        for step in steps:
            try:
                gone += step()
            except PolystreamError as error:
                failure = error
        if failure is not None:
            raise failure
        return gone

    def close(self) -> None:
        """Close the connections."""
        self._api.close()

    def _write(self, actions: list[Action]) -> list[int]:
        """Write documents and return the positions of those that were there already, or had changed."""
        if not actions:
            return []
        self._put_templates()
        try:
            return self._api.bulk(actions)
        except PolystreamError:
            # It may come back without its data, and the templates with it.
            self._has_templates = False
            raise

    def _put_templates(self) -> None:
        with self._templates:
            if self._has_templates:
                return
            for name, template in index_templates().items():
                self._api.call(partial(_put_template, name=name, template=template))
                self._put_mappings(template["index_patterns"], template["template"]["mappings"]["properties"])
            self._has_templates = True

    def _put_mappings(self, patterns: Sequence[str], fields: Answer) -> None:
        """Give indices from before the template its fields; what is in them is not read anew.

        One that somebody has made otherwise keeps its own: what does not fit it is set apart.
        """
        if self._api.takes(partial(_put_mapping, indices=patterns, fields=fields)):
            return
        for index in self._api.call(partial(_mappings, indices=patterns)):
            self._api.takes(partial(_put_mapping, indices=[index], fields=fields))

    def _merge(self, events: Sequence[TracedEvent]) -> None:
        """Add events to their operations' documents, none of them twice."""
        waiting: dict[str, list[Document]] = {}
        for traced in events:
            waiting.setdefault(_identifier(traced.event.correlation_id), []).append(event_document(traced))
        for _ in range(_MERGES_MAX):
            if not waiting:
                return
            known = self._known(list(waiting))
            written = {key: self._merged(key, added, known.get(key)) for key, added in waiting.items()}
            actions = [(key, action) for key, action in written.items() if action]
            conflicts = self._write([action for _, action in actions])
            waiting = {key: waiting[key] for key in (actions[position][0] for position in conflicts)}
        raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)

    def _known(self, identifiers: Sequence[str]) -> dict[str, Answer]:
        """Return the documents of those operations that there are, as they were last acknowledged."""
        # No path takes every identifier: `..` leads elsewhere however it is quoted.
        wanted = {"ids": list(identifiers)}
        documents = self._api.call(lambda client: client.mget(index=OPERATIONS, body=wanted)).get("docs", ())
        if any(_is_out_of_reach(document) for document in documents):
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)
        return {document["_id"]: document for document in documents if document.get("found")}

    def _merged(self, identifier: str, added: list[Document], known: Answer | None) -> Action | None:
        """Return what is to be written so that an operation has the added events; None where it has them."""
        before = known["_source"]["events"] if known else []
        by_id = {document["event_id"]: document for document in [*added, *before]}
        kept = list(by_id.values())
        if len(kept) > EVENTS_MAX:
            # Of a command that was repeated without an end: all of its events are in their own indices.
            kept = [by_id[traced.event.event_id] for traced in ends_of(map(read_event, kept))]
        if {event["event_id"] for event in kept} == {event["event_id"] for event in before}:
            return None
        document = self._operation_document(kept)
        if known is None:
            return _create(OPERATIONS, identifier, document)
        return _replace(identifier, known), document

    def _operation_document(self, events: list[Document]) -> Document:
        operation = self._fold(events)
        by_time = sorted(
            (read_event(document).event for document in events), key=lambda e: e.timestamp.ToMicroseconds()
        )
        values = fields.operation_values(operation, by_time)
        document: Document = {name: value for name, value in values.items() if value not in (None, "", ())}
        document |= {
            "accept_time": operation.accept_time.ToJsonString(),
            "accept_time_us": operation.accept_time.ToMicroseconds(),
            "events": events,
            "search_version": SEARCH_VERSION,
        }
        if operation.HasField("complete_time"):
            document["complete_time"] = operation.complete_time.ToJsonString()
        return document

    def _fold(self, events: Iterable[Mapping[str, Any]]) -> Operation:
        return fold([read_event(document).event for document in events], self._catalog)

    def _search(self, index: str, query: Answer) -> list[Document]:
        """Return the documents that are found in every shard."""
        answer = self._answer_of(index, query)
        return [hit["_source"] for hit in answer["hits"]["hits"]] if answer else []

    def _answer_of(self, index: str, query: Answer) -> Answer:
        """Search every shard: raises where one does not answer, as just after a start; empty without an index."""
        return self._api.call(lambda client: client.search(index=index, body=query, allow_partial_search_results=False))

    def _drop_days(self, prefix: str, before_us: int) -> int:
        """Delete the daily indices that end before a time; return how many documents they had."""
        first_kept = f"{prefix}-{datetime.fromtimestamp(before_us / 1e6, UTC).strftime(_DAY_FORMAT)}"
        old = {name: count for name, count in self._counts(prefix).items() if name < first_kept}
        for name in old:
            self._drop(name)
        return sum(old.values())

    def _drop_span_days_over(self, max_spans: int) -> int:
        """Delete the oldest days of spans that are over a number as a whole."""
        days = sorted(self._counts(SPANS).items())
        over = sum(count for _, count in days) - max_spans
        gone = 0
        for name, count in days:
            if over - gone < count:
                break
            self._drop(name)
            gone += count
        return gone

    def _drop(self, index: str) -> None:
        self._api.call(lambda client: client.indices.delete(index=index))

    def _drop_operations(self, since_us: int) -> int:
        self._operations.refresh()
        return self._delete(OPERATIONS, {"query": {"range": {"accept_time_us": {"lt": since_us}}}}, self._operations)

    def _drop_spans_over(self, max_spans: int) -> int:
        self._spans.refresh()
        over = self._api.call(lambda client: client.count(index=f"{SPANS}-*")).get("count", 0) - max_spans
        if over <= 0:
            return 0
        return self._delete(f"{SPANS}-*", {"query": {"match_all": {}}}, self._spans, over, sort="start_time:asc")

    def _renew_operations(self) -> int:
        """Write operations of earlier versions anew, so that they are found by what those did not know."""
        query: Answer = {
            "query": {"bool": {"must_not": [{"term": {"search_version": SEARCH_VERSION}}]}},
            "size": _RENEWED_MAX,
            "seq_no_primary_term": True,
        }
        answer = self._answer_of(OPERATIONS, query)
        actions: list[Action] = [
            (_replace(hit["_id"], hit), self._operation_document(hit["_source"]["events"]))
            for hit in (answer["hits"]["hits"] if answer else ())
        ]
        self._write(actions)  # one in conflict was written by somebody else meanwhile
        if actions:
            self._operations.wrote()
            self._operations.refresh()
        return len(actions)

    def _delete(
        self, index: str, query: Answer, freshness: "_Freshness", max_docs: int = _DELETED_MAX, **parameters: str
    ) -> int:
        """Delete a bounded number of documents: a request that takes longer than it may would be asked for ever."""
        answer = self._api.call(
            lambda client: client.delete_by_query(
                index=index, body=query, max_docs=min(max_docs, _DELETED_MAX), conflicts="proceed", **parameters
            )
        )
        freshness.wrote()
        return int(answer.get("deleted", 0))

    def _counts(self, prefix: str) -> dict[str, int]:
        """Return how many documents the daily indices of a prefix have, by their names."""
        stats = self._api.call(lambda client: client.indices.stats(index=f"{prefix}-*", metric="docs")).get(
            "indices", {}
        )
        return {name: int(stat["primaries"]["docs"]["count"]) for name, stat in stats.items()}


class _Freshness:
    """Refreshes an index where something was written since it was last refreshed, once for all who wait."""

    def __init__(self, api: SearchApi, index: str) -> None:
        self._api = api
        self._index = index
        self._lock = threading.Lock()
        self._written_at = time.monotonic()  # what another monitor wrote shows by OpenSearch's own refreshes
        self._fresh_at = 0.0

    def wrote(self) -> None:
        """Take note of a write that has been acknowledged."""
        self._written_at = time.monotonic()

    def refresh(self) -> None:
        """Make everything that was written so far visible to searches."""
        with self._lock:
            began = time.monotonic()
            if self._written_at >= self._fresh_at:
                self._api.call(lambda client: client.indices.refresh(index=self._index))
                self._fresh_at = began


def _put_mapping(client: OpenSearch, indices: Sequence[str], fields: Answer) -> Answer:
    return client.indices.put_mapping(  # type: ignore[no-any-return]
        index=indices, body={"properties": fields}, ignore_unavailable=True, allow_no_indices=True
    )


def _mappings(client: OpenSearch, indices: Sequence[str]) -> Answer:
    return client.indices.get_mapping(index=indices)  # type: ignore[no-any-return]


def _put_template(client: OpenSearch, name: str, template: Answer) -> Answer:
    return client.indices.put_index_template(name=name, body=template)  # type: ignore[no-any-return]


def _span_identifier(trace_id: str, span_id: str) -> str:
    return f"{trace_id}:{span_id}"


def _create(index: str, identifier: str, document: Document) -> Action:
    return {"create": {"_index": index, "_id": _identifier(identifier)}}, document


def _replace(identifier: str, known: Answer) -> Answer:
    state = {"if_seq_no": known["_seq_no"], "if_primary_term": known["_primary_term"]}
    return {"index": {"_index": OPERATIONS, "_id": identifier, **state}}


def _identifier(text: str) -> str:
    """Return an identifier of a document: a long one is hashed, since anybody may send a header of any length."""
    return text if len(text.encode()) <= _IDENTIFIER_MAX_BYTES else hashlib.sha256(text.encode()).hexdigest()


def daily_index(prefix: str, timestamp: str) -> str:
    """Return the index of a day. A timestamp in RFC 3339 begins with it.

    Days that are far away have the nearest index that is not: anybody may send any time, and a cluster takes a
    thousand shards of each node.
    """
    today = datetime.now(UTC)
    first, last = today - timedelta(_PAST_DAYS_MAX), today + timedelta(_AHEAD_DAYS_MAX)
    day = timestamp[:10].replace("-", ".")
    return f"{prefix}-{min(max(day, first.strftime(_DAY_FORMAT)), last.strftime(_DAY_FORMAT))}"


def _is_out_of_reach(document: Answer) -> bool:
    """Whether a document could not be looked for: the answer as a whole is a success all the same."""
    return bool(document.get("error", {}).get("type", _NO_INDEX) != _NO_INDEX)
