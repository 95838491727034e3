"""What the dashboard shows: each visualization's question, put to a real engine that the real store has filled."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, Span

from mesh.ids import new_correlation_id
from monitor.records import ACCEPTED, DEAD_LETTERED, FAILED, RECEIVED, SUCCEEDED, TracedEvent
from monitor.store.templates import index_templates
from tests.support.engine_pool import Lease
from tests.support.event_stores import OpenSearchEngine, open_store, store_engine
from tests.support.saved_objects import MISSING, SavedObject, aggregation_request, of_type, query

COMMANDS = 200
MINUTES = 4
STORES = ("POSTGRESQL", "MONGODB", "REDIS")
# From before midnight until after it: the answer is in two daily indices.
BEGIN = datetime(2026, 1, 30, 23, 58, tzinfo=UTC)
TIMES = {"gte": "2026-01-30T23:00:00Z", "lte": "2026-01-31T01:00:00Z"}
VISUALIZATIONS = {saved["id"]: saved for saved in of_type("visualization")}


def story_of(number: int) -> list[Event]:
    """Return the events of a command: one in ten is refused, one in fifty is a dead letter."""
    correlation_id, store = new_correlation_id(), STORES[number % 3]
    at = BEGIN + timedelta(minutes=number % MINUTES, seconds=number % 60)

    def event(kind: str, status: str, service: str, delay_ms: int, **fields: Any) -> Event:
        stamp = Timestamp()
        stamp.FromDatetime(at + timedelta(milliseconds=delay_ms))
        return Event(
            event_id=f"{correlation_id}:{kind}",
            correlation_id=correlation_id,
            event_type=kind,
            status=status,
            service=service,
            timestamp=stamp,
            **fields,
        )

    accepted = event(ACCEPTED, "ACCEPTED", "gateway", 0, duration_ms=1)
    if number % 50 == 0:
        return [accepted, event(DEAD_LETTERED, "FAILED", "processor", 3, error="UNREADABLE: not Avro", store=store)]
    received = event(RECEIVED, "ACCEPTED", "processor", 2, store=store, duration_ms=100_000)
    if number % 10 == 0:
        error = f"USER_NOT_FOUND: user {number} is not known"
        return [accepted, received, event(FAILED, "FAILED", "processor", 9, error=error, store=store, duration_ms=5)]
    done = event(SUCCEEDED, "SUCCEEDED", "processor", 9, store=store, duration_ms=number)
    return [accepted, received, done]


def lost_receipt() -> Event:
    """Return the event of a receipt that could not be read, and so is of no store."""
    accepted = story_of(0)[0]
    accepted.MergeFrom(Event(event_id="lost", event_type=FAILED, status="FAILED", error="UNREADABLE: not Avro"))
    return accepted


EVENTS = [event for number in range(COMMANDS) for event in story_of(number)]
LOST = lost_receipt()


@pytest.fixture(scope="module", params=["opensearch", "elasticsearch"])
def engine(
    request: pytest.FixtureRequest, lease: Lease, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """The engine's API; in it are the events, spans of the same time, and the operations."""
    made = store_engine(request.param, lease, tmp_path_factory.mktemp("searched"))
    assert isinstance(made, OpenSearchEngine)
    store = open_store(request.param, made.target)
    store.append([TracedEvent(event, sampled=True) for event in [*EVENTS, LOST]])
    spans = [Span(trace_id="t", span_id=str(n), start_time=LOST.timestamp, error=n > 1) for n in range(5)]
    store.add_spans(spans)
    store.close()
    with httpx.Client(base_url=made.target, timeout=30) as client:
        client.post("/api_*/_refresh").raise_for_status()
        yield client


def answer_to(engine: httpx.Client, visualization: SavedObject) -> dict[str, Any]:
    """Return what the engine answers to a visualization's question."""
    body = {"size": 0, "track_total_hits": True, "query": query(visualization, **TIMES)}
    body["aggs"] = aggregation_request(visualization)
    response = engine.post("/api_*/_search", json=body)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["_shards"]["failed"] == 0
    return dict(answer)


def counts(buckets: list[dict[str, Any]], name: str = "key") -> dict[str, int]:
    """Return how many documents each bucket has."""
    return {bucket[name]: bucket["doc_count"] for bucket in buckets}


def test_commands_are_counted_by_the_minute_and_status(engine: httpx.Client) -> None:
    """A bar a minute, over midnight, of the commands that were taken and of the stores' answers to them."""
    minutes = answer_to(engine, VISUALIZATIONS["polystream-commands"])["aggregations"]["2"]["buckets"]
    assert [minute["key_as_string"] for minute in minutes] == [
        f"2026-01-{day}T{time}:00.000Z" for day, time in ((30, "23:58"), (30, "23:59"), (31, "00:00"), (31, "00:01"))
    ]
    total: Counter[str] = Counter()
    for minute in minutes:
        assert counts(minute["3"]["buckets"])["ACCEPTED"] == COMMANDS // MINUTES
        total.update(counts(minute["3"]["buckets"]))
    expected = Counter(event.status for event in EVENTS if event.event_type != RECEIVED)
    assert total == expected + Counter(FAILED=1)


def test_dead_letters_are_counted(engine: httpx.Client) -> None:
    """The number of dead letters, and of nothing else."""
    answer = answer_to(engine, VISUALIZATIONS["polystream-dead-letters"])
    assert answer["hits"]["total"]["value"] == COMMANDS // 50


def test_events_are_counted_by_service(engine: httpx.Client) -> None:
    """Each service with its events; spans are none."""
    buckets = answer_to(engine, VISUALIZATIONS["polystream-services"])["aggregations"]["2"]["buckets"]
    expected = Counter(event.service for event in EVENTS) + Counter({LOST.service: 1})
    assert counts(buckets) == expected
    assert [bucket["doc_count"] for bucket in buckets] == sorted(expected.values(), reverse=True)


def test_durations_are_those_of_each_stores_answers(engine: httpx.Client) -> None:
    """p50, p95 and p99 of a store's time for a command; the time that it waited in Kafka is not in them."""
    buckets = answer_to(engine, VISUALIZATIONS["polystream-durations"])["aggregations"]["2"]["buckets"]
    assert [bucket["key"] for bucket in buckets] == sorted(STORES)
    for bucket in buckets:
        of_store = (event for event in EVENTS if event.store == bucket["key"])
        durations = sorted(event.duration_ms for event in of_store if event.event_type in {SUCCEEDED, FAILED})
        assert set(bucket["1"]["values"]) == {"50.0", "95.0", "99.0"}
        for percent, value in bucket["1"]["values"].items():
            rank = float(percent) / 100 * (len(durations) - 1)
            assert (
                durations[max(0, math.floor(rank) - 1)]
                <= value
                <= durations[min(len(durations) - 1, math.ceil(rank) + 1)]
            )


def test_failures_are_counted_by_store_and_reason(engine: httpx.Client) -> None:
    """Refusals and dead letters, by the reason and not by its sentence; those of no store too."""
    buckets = answer_to(engine, VISUALIZATIONS["polystream-failures"])["aggregations"]["2"]["buckets"]
    counted = {bucket["key"]: counts(bucket["3"]["buckets"]) for bucket in buckets}
    expected: dict[str, Counter[str]] = {MISSING: Counter(UNREADABLE=1)}
    for event in EVENTS:
        if event.error:
            expected.setdefault(event.store, Counter())[event.error.partition(":")[0]] += 1
    assert counted == expected


def test_a_story_is_found_by_its_correlation_id_and_read_in_order(engine: httpx.Client) -> None:
    """With a correlation ID for the `*` of the search, its events come from the first to the last, columns filled."""
    (search,) = of_type("search")
    told = EVENTS[-3:]  # of the last command
    by_all = query(search, **TIMES)
    by_one = [*by_all["bool"]["filter"][:-1], {"query_string": {"query": f"correlation_id:{told[0].correlation_id}"}}]
    sort = [{field: order} for field, order in search["attributes"]["sort"]]
    for filters, expected in ((by_all["bool"]["filter"], len(EVENTS) + 1), (by_one, len(told))):
        body = {"query": {"bool": {"filter": filters}}, "sort": sort, "size": 3, "track_total_hits": True}
        answer = engine.post("/api_*/_search", json=body).json()
        assert answer["hits"]["total"]["value"] == expected
    documents = [hit["_source"] for hit in answer["hits"]["hits"]]
    assert [document["event_type"] for document in documents] == [event.event_type for event in told]
    assert set(search["attributes"]["columns"]) <= set(documents[-1]) | {"error"}


def test_the_engine_has_the_fields_that_the_index_pattern_tells(engine: httpx.Client) -> None:
    """Asked as the products ask: each once, of the type in the file, to be searched, and counted by as that says."""
    found = engine.get("/api_*/_field_caps", params={"fields": "*"}).json()["fields"]
    for template in index_templates().values():
        for name, field in template["template"]["mappings"]["properties"].items():
            if field["type"] != "object":
                assert set(found[name]) == {field["type"]}
                assert found[name][field["type"]]["searchable"]
                assert found[name][field["type"]]["aggregatable"] is field.get("doc_values", True)
