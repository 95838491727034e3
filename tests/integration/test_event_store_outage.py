"""The event log on a real OpenSearch that is killed, halted and wiped while events come in."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

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
from monitor.service import EventLog
from monitor.store.opensearch import OpenSearchEventStore
from monitor.store.port import Bounds, EventStore
from monitor.store.search_api import SearchApi
from monitor.store.spool import SpooledEventStore
from monitor.store.spool_file import SpoolFile
from tests.support.engine_pool import Lease
from tests.support.event_stores import OpenSearchEngine, settings_for
from tests.support.freezing import frozen
from tests.support.waiting import eventually

_CATALOG = load_catalog()
_TIMEOUT_S = 60.0
_CLIENT_TIMEOUT_S = 1.0  # slower is as good as down


@pytest.fixture(scope="module")
def engine(lease: Lease) -> OpenSearchEngine:
    """OpenSearch, running."""
    return OpenSearchEngine(lease)


@pytest.fixture
def search(engine: OpenSearchEngine) -> Iterator[httpx.Client]:
    """Its API, as a user has it."""
    with httpx.Client(base_url=engine.target, timeout=30) as client:
        yield client


class Log:
    """The event log as the monitor builds it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.spool = SpoolFile(folder, 100_000_000)
        api = SearchApi(settings_for(url, ELASTICSEARCH_TIMEOUT_S=_CLIENT_TIMEOUT_S))
        self.store: EventStore = SpooledEventStore(OpenSearchEventStore(api, _CATALOG), self.spool, _CATALOG)
        self.log = EventLog(self.store, _CATALOG)

    def drained(self) -> None:
        """Wait until nothing is left in the spool."""
        eventually(lambda: not self.spool.backlog, _TIMEOUT_S)


@pytest.fixture
def event_log(engine: OpenSearchEngine, tmp_path: Path) -> Iterator[Log]:
    """An event log that is empty."""
    engine.empty()
    made = Log(engine.target, tmp_path / "spool")
    yield made
    made.store.close()


def _now() -> Timestamp:
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return stamp


def _events(correlation_id: str) -> list[TracedEvent]:
    """Return the three events of a command that succeeds."""
    made = []
    for kind, store in (("accepted", ""), ("received", "POSTGRESQL"), ("succeeded", "POSTGRESQL")):
        event = Event(
            event_id=f"{correlation_id}:{kind}",
            correlation_id=correlation_id,
            transaction_id=correlation_id,
            event_type=f"command.{kind}",
            status="ACCEPTED" if kind != "succeeded" else "SUCCEEDED",
            timestamp=_now(),
            command="CreateUser",
            service="gateway-0",
            store=store,
            user_id=8047791233952520,
            topic="user_events",
            trace_id=os.urandom(16).hex(),
        )
        made.append(TracedEvent(event, sampled=False))
    return made


class Load:
    """A thread that appends the events of one command after another, in two steps, as the topics bring them."""

    def __init__(self, log: Log) -> None:
        self.appended: list[str] = []
        self.slowest_s = 0.0
        self._log, self._pause_s = log, 0.002
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Stop, and raise what went wrong."""
        self._stop.set()
        self._thread.join()
        assert self._failed == []

    def slow_down(self) -> None:
        """Leave the machine to what is being started."""
        self._pause_s = 0.02

    def more(self, count: int) -> None:
        """Wait until so many more commands were appended."""
        wanted = len(self.appended) + count
        eventually(lambda: self._failed or len(self.appended) >= wanted, _TIMEOUT_S)

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._pause_s):
                correlation_id = new_correlation_id()
                accepted, *answered = _events(correlation_id)
                for step in ([accepted], answered):
                    began = time.monotonic()
                    self._log.store.append(step)
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                self.appended.append(correlation_id)
        except BaseException as error:  # noqa: BLE001 - told where the test waits
            self._failed.append(error)


def _indexed(search: httpx.Client) -> int:
    search.post("/api_events-*/_refresh").raise_for_status()
    return int(search.get("/api_events-*/_count").json()["count"])


def _assert_everything_once(log: Log, search: httpx.Client, ids: list[str]) -> None:
    log.drained()
    assert _indexed(search) == 3 * len(ids)
    search.post("/api_operations/_refresh").raise_for_status()
    done = search.get("/api_operations/_count", params={"q": "state:SUCCEEDED"}).json()["count"]
    assert done == len(ids)
    for correlation_id in ids[:: max(1, len(ids) // 20)]:
        found = search.get("/api_events-*/_count", params={"q": f'correlation_id:"{correlation_id}"'}).json()
        assert found["count"] == 3


def test_killed_under_load_and_back_it_has_every_event_once(
    engine: OpenSearchEngine, event_log: Log, search: httpx.Client
) -> None:
    """Stories are told all the while: of commands before the kill, during the outage and after it."""
    load = Load(event_log)
    try:
        load.more(150)
        engine.engines.kill("opensearch")
        told = len(load.appended)
        load.more(150)
        assert event_log.spool.backlog
        for correlation_id in (*load.appended[:3], *load.appended[told : told + 3], load.appended[-1]):
            story = event_log.log.story(correlation_id)
            assert story.operation.state == Operation.SUCCEEDED
            assert len(story.hops) == 3
            assert story.missing == []
        load.slow_down()
        engine.engines.start("opensearch")
        load.more(50)
        assert event_log.log.story(load.appended[-1]).missing == []
    finally:
        load.stop()
    _assert_everything_once(event_log, search, load.appended)


def test_a_halted_store_holds_up_nothing(engine: OpenSearchEngine, event_log: Log, search: httpx.Client) -> None:
    """One that takes connections and does not answer counts as down after the client's timeout, once."""
    load = Load(event_log)
    try:
        load.more(50)
        with frozen(engine.engines.pid("opensearch")):
            load.more(300)
            began = time.monotonic()
            assert event_log.log.story(load.appended[-1]).missing == []
            assert time.monotonic() - began < _CLIENT_TIMEOUT_S
        load.more(50)
    finally:
        load.stop()
    # Two requests of one append may each wait as long.
    assert load.slowest_s < 4 * _CLIENT_TIMEOUT_S
    _assert_everything_once(event_log, search, load.appended)


def test_what_is_out_of_reach_is_not_taken_for_missing(engine: OpenSearchEngine, search: httpx.Client) -> None:
    """A shard that is not there yet, as just after a start, is an outage: nobody is told half of what there is."""
    engine.empty()
    store = OpenSearchEventStore(
        SearchApi(settings_for(engine.target, ELASTICSEARCH_TIMEOUT_S=_CLIENT_TIMEOUT_S)), _CATALOG
    )
    correlation_id, trace_id = new_correlation_id(), os.urandom(16).hex()
    assert list(store.events_of(correlation_id)) == []  # there is no index yet
    store.add_spans(
        [Span(trace_id=trace_id, span_id="s", start_time=_now(), attributes={CONVERSATION_ID: correlation_id})]
    )
    assert len(store.spans_of(correlation_id).spans) == 1
    settings = {"index.number_of_replicas": 0, "index.routing.allocation.require._name": "no such node"}
    for index in ("api_operations", "api_spans-2000.01.01"):
        search.put(f"/{index}", json={"settings": settings}, params={"wait_for_active_shards": "0"}).raise_for_status()
    for read in (
        lambda: store.events_of(correlation_id),
        lambda: store.append(_events(correlation_id)),
        lambda: store.operations(Listing(10)),
        lambda: store.spans_of(correlation_id),
        lambda: store.purge(Bounds(since_us=0, max_spans=0, max_bytes=1 << 40)),
    ):
        with pytest.raises(PolystreamError) as raised:
            read()
        assert raised.value.reason is Reason.EVENT_LOG_UNAVAILABLE
    store.close()


def test_a_monitor_that_starts_without_its_store_delivers_what_was_left(
    engine: OpenSearchEngine, event_log: Log, search: httpx.Client, tmp_path: Path
) -> None:
    """The monitor is stopped and started during the outage: the spool's file carries everything over."""
    engine.engines.kill("opensearch")
    ids = [new_correlation_id() for _ in range(100)]
    try:
        for correlation_id in ids[:50]:
            event_log.store.append(_events(correlation_id))
        event_log.store.close()
        again = Log(engine.target, tmp_path / "spool")
        assert len(again.log.story(ids[0]).hops) == 3
        for correlation_id in ids[50:]:
            again.store.append(_events(correlation_id))
    finally:
        engine.engines.start("opensearch")
    _assert_everything_once(again, search, ids)
    again.store.close()


def test_documents_are_found_as_people_search(event_log: Log, search: httpx.Client) -> None:
    """Daily indices, each document under its event's identifier, identifiers as keywords, the time as a date."""
    correlation_id = new_correlation_id()
    events = _events(correlation_id)
    event_log.store.append(events)
    event_log.store.add_spans(
        [
            Span(
                trace_id="t" * 32,
                span_id="s",
                start_time=_now(),
                attributes={CONVERSATION_ID: correlation_id, "a.b": "c"},
            )
        ]
    )
    day = events[0].event.timestamp.ToDatetime().strftime("%Y.%m.%d")
    document = search.get(f"/api_events-{day}/_doc/{correlation_id}:accepted").json()["_source"]
    assert document == {
        "event_id": f"{correlation_id}:accepted",
        "correlation_id": correlation_id,
        "transaction_id": correlation_id,
        "event_type": "command.accepted",
        "status": "ACCEPTED",
        "timestamp": events[0].event.timestamp.ToJsonString(),
        "service": "gateway-0",
        "command": "CreateUser",
        "user_id": 8047791233952520,
        "topic": "user_events",
        "partition": 0,
        "offset": 0,
        "duration_ms": 0.0,
        "trace_id": events[0].event.trace_id,
        "duplicate": False,
        "dead_lettered": False,
        "sampled": False,
    }
    assert _indexed(search) == 3
    search.post("/api_spans-*/_refresh").raise_for_status()
    for index in ("api_events-*", "api_spans-*"):
        part = correlation_id.partition("-")[0]
        assert search.get(f"/{index}/_count", params={"q": f"correlation_id:{part}"}).json()["count"] == 0
        assert search.get(f"/{index}/_count", params={"q": f'correlation_id:"{correlation_id}"'}).json()["count"] > 0
    mapping = search.get(f"/api_events-{day}/_mapping").json()[f"api_events-{day}"]["mappings"]["properties"]
    assert {name: kind["type"] for name, kind in mapping.items() if name.endswith("_id")} == dict.fromkeys(
        ("event_id", "correlation_id", "transaction_id", "user_id", "trace_id"), "keyword"
    )
    assert mapping["timestamp"]["type"] == "date"


def test_mappings_are_there_again_after_the_data_was_lost(
    engine: OpenSearchEngine, event_log: Log, search: httpx.Client
) -> None:
    """An OpenSearch that comes back empty gets its templates before the first document."""
    event_log.store.append(_events(new_correlation_id()))
    engine.engines.kill("opensearch")
    engine.forget()
    event_log.store.append(_events(new_correlation_id()))
    engine.engines.start("opensearch")
    event_log.drained()
    mappings = search.get("/api_events-*/_mapping").json().values()
    assert [found["mappings"]["properties"]["correlation_id"]["type"] for found in mappings] == ["keyword"]
    assert _indexed(search) == 3
