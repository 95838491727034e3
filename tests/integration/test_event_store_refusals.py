"""What an event store refuses: what may pass is kept and tried again, what cannot ever be stored is set apart."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, Operation, Span

from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.telemetry.names import CONVERSATION_ID
from monitor.listing.listing import Listing
from monitor.records import TracedEvent
from monitor.store.local import LocalEventStore
from monitor.store.opensearch import OpenSearchEventStore, daily_index
from monitor.store.search_api import SearchApi
from monitor.store.spool import SpooledEventStore
from monitor.store.spool_file import SpoolFile
from tests.support.dashboards_server import Answer, serving
from tests.support.engine_pool import Lease
from tests.support.event_stores import OpenSearchEngine, settings_for
from tests.support.waiting import eventually

CATALOG = load_catalog()
TIMEOUT_S = 60.0
Api = httpx.Client


def event(correlation_id: str = "", **fields: Any) -> TracedEvent:
    """Return the event of a command's acceptance, now."""
    correlation_id = correlation_id or new_correlation_id()
    stamp = Timestamp()
    stamp.GetCurrentTime()
    given: dict[str, Any] = {
        "event_id": f"{correlation_id}:accepted",
        "correlation_id": correlation_id,
        "event_type": "command.accepted",
        "timestamp": stamp,
        "command": "CreateUser",
    }
    return TracedEvent(Event(**given | fields), sampled=True)


def kept_apart(folder: Path) -> list[dict[str, Any]]:
    """Return what was set apart."""
    path = folder / "set_apart.jsonl"
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


@pytest.fixture(scope="module")
def engine(lease: Lease) -> OpenSearchEngine:
    """OpenSearch, running."""
    return OpenSearchEngine(lease)


@pytest.fixture
def search(engine: OpenSearchEngine) -> Iterator[Api]:
    """Its API, with nothing of the platform in it, and without a setting of a test's afterwards."""
    engine.empty()
    with httpx.Client(base_url=engine.target, timeout=30) as client:
        yield client
        _change_cluster(client, {"action.auto_create_index": None, "cluster.max_shards_per_node": None})
    engine.empty()


@pytest.fixture
def store(engine: OpenSearchEngine, search: Api, tmp_path: Path) -> Iterator[OpenSearchEventStore]:
    """The event store, without a spool."""
    del search
    opened = OpenSearchEventStore(SearchApi(settings_for(engine.target, MONITOR_DATA_DIR=str(tmp_path))), CATALOG)
    yield opened
    opened.close()


def today(prefix: str = "api_events") -> str:
    """Return the name of today's index."""
    return daily_index(prefix, event().event.timestamp.ToJsonString())


def _change_cluster(search: Api, settings: dict[str, Any]) -> None:
    search.put("/_cluster/settings", json={"transient": settings}).raise_for_status()


def _block(name: str) -> tuple[Callable[[Api], None], Callable[[Api], None]]:
    def change(search: Api, *, blocked: bool | None) -> None:
        search.put(f"/{today()}/_settings", json={f"index.blocks.{name}": blocked}).raise_for_status()

    return lambda search: change(search, blocked=True), lambda search: change(search, blocked=None)


def _forbid_new(search: Api) -> None:
    search.delete("/api_*").raise_for_status()
    _change_cluster(search, {"action.auto_create_index": "false"})


def _forbid_shards(search: Api) -> None:
    search.delete("/api_*").raise_for_status()
    _change_cluster(search, {"cluster.max_shards_per_node": 1})


def _close(search: Api) -> None:
    search.post(f"/{today()}/_close").raise_for_status()


def _alias_without_an_index(search: Api) -> None:
    search.delete(f"/{today()}").raise_for_status()
    for name in ("other-1", "other-2"):
        search.put(f"/api_{name}", json={"aliases": {today(): {}}}).raise_for_status()


REFUSALS = {
    "write block": _block("write"),
    "flood stage": _block("read_only_allow_delete"),
    "metadata and write block": _block("read_only"),
    "no creation": (_forbid_new, lambda search: _change_cluster(search, {"action.auto_create_index": None})),
    "no shards": (_forbid_shards, lambda search: _change_cluster(search, {"cluster.max_shards_per_node": None})),
    "closed": (_close, lambda search: search.post(f"/{today()}/_open").raise_for_status()),
    "alias": (_alias_without_an_index, lambda search: search.delete("/api_other-*").raise_for_status()),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_may_pass_is_kept_and_tried_again(
    store: OpenSearchEventStore, search: Api, tmp_path: Path, refusal: str
) -> None:
    """The store says that it could not, and why; the same succeeds once the cause is gone, and nothing is set apart."""
    refuse, allow = REFUSALS[refusal]
    store.append([event()])
    refuse(search)
    waiting = [event() for _ in range(3)]
    try:
        with pytest.raises(PolystreamError) as raised:
            store.append(waiting)
        assert raised.value.reason is Reason.EVENT_LOG_UNAVAILABLE
        assert raised.value.metadata["error"], "health shows why"
    finally:
        allow(search)
    store.append(waiting)
    assert all(len(store.events_of(traced.event.correlation_id)) == 1 for traced in waiting)
    found = search.post(f"/{today()}/_refresh").raise_for_status() and search.get(f"/{today()}/_search?size=100")
    ids = {hit["_id"] for hit in found.json()["hits"]["hits"]}
    assert {traced.event.event_id for traced in waiting} <= ids
    assert kept_apart(tmp_path) == []


def test_a_spool_keeps_what_is_refused_for_a_while(store: OpenSearchEventStore, search: Api, tmp_path: Path) -> None:
    """Whoever writes waits for nothing, and all of it is in the store afterwards."""
    spool = SpoolFile(tmp_path / "spool", 10_000_000)
    with closing(SpooledEventStore(store, spool, CATALOG)) as spooled:
        _spool_through_a_block(spooled, spool, search)
    assert kept_apart(tmp_path) == kept_apart(tmp_path / "spool") == []


def _spool_through_a_block(spooled: SpooledEventStore, spool: SpoolFile, search: Api) -> None:
    spooled.append([event()])
    eventually(lambda: not spool.backlog, TIMEOUT_S)  # a server that has just started may be slow
    refuse, allow = REFUSALS["flood stage"]
    refuse(search)
    waiting = [event() for _ in range(5)]
    spooled.append(waiting)
    assert spool.backlog
    assert len(spooled.events_of(waiting[0].event.correlation_id)) == 1
    allow(search)
    eventually(lambda: not spool.backlog, TIMEOUT_S)
    search.post(f"/{today()}/_refresh").raise_for_status()
    assert search.get(f"/{today()}/_count").json()["count"] == 6


def _unfit_type(search: Api) -> TracedEvent:
    properties = {"duration_ms": {"type": "boolean"}}
    search.put(f"/{today()}", json={"mappings": {"properties": properties}}).raise_for_status()
    return event(duration_ms=1.5)


def _unfit_date(search: Api) -> TracedEvent:
    properties = {"topic": {"type": "date"}}
    search.put(f"/{today()}", json={"mappings": {"properties": properties}}).raise_for_status()
    return event(topic="user_events")


def _immense(search: Api) -> TracedEvent:
    # Were it not for the other field, the monitor would give this one the bound that its template has.
    properties = {"error": {"type": "keyword"}, "waits_behind": {"type": "date"}}
    search.put(f"/{today()}", json={"mappings": {"properties": properties}}).raise_for_status()
    return event(error="x" * 40_000)


@pytest.mark.parametrize("make", [_unfit_type, _unfit_date, _immense], ids=["type", "date", "immense term"])
def test_what_can_never_be_stored_is_set_apart(
    store: OpenSearchEventStore, search: Api, tmp_path: Path, make: Callable[[Api], TracedEvent]
) -> None:
    """Once, however often it comes; it is counted, and holds up neither its neighbours nor its own operation."""
    unfit = make(search)
    named = {CONVERSATION_ID: unfit.event.correlation_id}
    spans = [Span(trace_id="1" * 32, span_id="a", start_time=unfit.event.timestamp, attributes=named)]
    for _ in range(2):
        store.append([unfit])
        store.add_spans(spans)
    (kept,) = kept_apart(tmp_path)
    assert kept["id"] == f"{today()}/{unfit.event.event_id}"
    assert kept["document"]["event_id"] == unfit.event.event_id
    assert kept["cause"]
    assert [o.correlation_id for o in store.operations(Listing(5))] == [unfit.event.correlation_id]
    assert len(store.spans_of(unfit.event.correlation_id).spans) == 1


class Answers:
    """A server that answers every request as a function says."""

    def __init__(self, answer: Callable[[bytes], Answer]) -> None:
        self._answer = answer

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the status and the body of an answer."""
        del method, target, headers
        return self._answer(body)


def test_a_document_too_large_for_the_server_is_found_and_set_apart(tmp_path: Path) -> None:
    """What a server or a proxy refuses as a whole is sent in halves: all others are written."""
    taken: list[str] = []

    def answer(body: bytes) -> Answer:
        if len(body) > 2000:
            return 413, "<html>Request Entity Too Large</html>"
        names = [json.loads(line)["create"]["_id"] for line in body.splitlines()[::2]]
        taken.extend(names)
        return 200, {"items": [{"create": {"_id": name, "status": 201}} for name in names]}

    sizes = {f"d{number}": 3000 if number == 4 else 300 for number in range(10)}
    actions = [({"create": {"_index": "api_events-x", "_id": name}}, {"text": "x" * n}) for name, n in sizes.items()]
    with serving(Answers(answer)) as url:
        api = SearchApi(settings_for(url, MONITOR_DATA_DIR=str(tmp_path)))
        assert api.bulk(actions) == []
        api.close()
    assert sorted(taken) == sorted(set(sizes) - {"d4"})
    assert [kept["id"] for kept in kept_apart(tmp_path)] == ["api_events-x/d4"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        pytest.param(200, [], id="a list"),
        pytest.param(200, "<html>", id="a page"),
        pytest.param(200, {"items": []}, id="too few"),
        pytest.param(200, {"items": [[]]}, id="no items"),
        pytest.param(308, "", id="a redirection"),
        pytest.param(401, "", id="401"),
        pytest.param(401, [], id="401 with a list"),
        pytest.param(403, {"error": "no", "status": 403}, id="403 with a text"),
        pytest.param(404, "<html>", id="a page with 404"),
        pytest.param(400, {"error": {"type": "unheard_of_exception"}, "status": 400}, id="400 of an unknown kind"),
        pytest.param(429, {"error": {"type": "circuit_breaking_exception"}, "status": 429}, id="429"),
        pytest.param(503, {"error": {"type": "mapper_parsing_exception"}, "status": 503}, id="503 whatever it says"),
    ],
)
def test_another_answer_sets_nothing_apart(tmp_path: Path, status: int, body: Any) -> None:
    """Of a request as a whole: reading and writing are tried again, and a 404 of a proxy's is no empty index."""
    with serving(Answers(lambda _: (status, body))) as url:
        api = SearchApi(settings_for(url, MONITOR_DATA_DIR=str(tmp_path)))
        asked: list[Callable[[], object]] = [lambda: api.bulk([({"create": {"_index": "i", "_id": "d"}}, {"a": 1})])]
        if status != HTTPStatus.OK or not isinstance(body, dict):
            asked.append(lambda: api.call(lambda client: client.count(index="i")))
        for ask in asked:
            with pytest.raises(PolystreamError) as raised:
                ask()
            assert raised.value.reason is Reason.EVENT_LOG_UNAVAILABLE
        api.close()
    assert kept_apart(tmp_path) == []


class TestTheLocalFile:
    """The store in a file meets the same."""

    @pytest.fixture
    def local(self, tmp_path: Path) -> Iterator[LocalEventStore]:
        """A store in a folder."""
        opened = LocalEventStore(tmp_path, CATALOG)
        yield opened
        opened.close()

    def test_a_full_disk_is_waited_for(self, local: LocalEventStore, tmp_path: Path) -> None:
        """SQLite ends the transaction by itself then: the next one begins all the same."""
        pages = local._db.execute("PRAGMA page_count").fetchone()[0]
        local._db.execute(f"PRAGMA max_page_count = {pages}")
        waiting = [event(error="x" * 5000) for _ in range(50)]
        for _ in range(2):
            with pytest.raises(PolystreamError) as raised:
                local.append(waiting)
            assert raised.value.metadata["error"].startswith("the disk is full")
        local._db.execute("PRAGMA max_page_count = 1000000")
        local.append(waiting)
        assert len(local.operations(Listing(100))) == 50
        assert kept_apart(tmp_path) == []

    def test_a_file_that_may_only_be_read_is_waited_for(self, local: LocalEventStore) -> None:
        """Whoever set it so may take it back."""
        local._db.execute("PRAGMA query_only = ON")
        with pytest.raises(PolystreamError) as raised:
            local.append([event()])
        assert raised.value.metadata["error"].startswith("the file may only be read")
        local._db.execute("PRAGMA query_only = OFF")
        local.append([event()])

    def test_an_event_that_fits_no_column_is_set_apart(self, local: LocalEventStore, tmp_path: Path) -> None:
        """Its neighbours of the batch are kept, and it is once in the file."""
        unfit = event(timestamp=Timestamp(seconds=2**62))
        batch = [event(), unfit, event()]
        for _ in range(2):
            local.append(batch)
        assert [kept["id"] for kept in kept_apart(tmp_path)] == [f"event/{unfit.event.event_id}"]
        assert len(local.operations(Listing(100))) == 2


def test_a_damaged_line_of_the_spool_is_set_apart(tmp_path: Path) -> None:
    """What stands before and behind it is delivered."""
    spool = SpoolFile(tmp_path / "spool", 1_000_000)
    spool.append([b"{damaged"])
    inner = LocalEventStore(tmp_path / "inner", CATALOG)
    spooled = SpooledEventStore(inner, spool, CATALOG)
    traced = event()
    spooled.append([traced])
    eventually(lambda: not spool.backlog, TIMEOUT_S)
    assert [kept["document"] for kept in kept_apart(tmp_path / "spool")] == ["{damaged"]
    assert [o.state for o in inner.operations(Listing(5))] == [Operation.ACCEPTED]
    spooled.close()
