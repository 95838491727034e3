"""Jaeger of the native set: ready when it says so, keeps what it took, stops cleanly."""

import secrets
import time

import grpc
import httpx
import psutil
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from mesh.catalog import load_catalog
from mesh.settings import EventStoreSettings
from monitor.store.opensearch import OpenSearchEventStore
from monitor.store.port import Bounds
from monitor.store.search_api import SearchApi
from stack.engines import process as processes
from stack.engines.native import NATIVE, jaeger
from tests.support.elasticsearch import WITH_ELASTICSEARCH, provide_elasticsearch
from tests.support.engine_pool import Lease
from tests.support.jaeger import spans_in_jaeger
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run Jaeger and its store for this module."""
    return lease("opensearch", "jaeger", among=NATIVE)


def _send_span(running: EngineSet, name: str) -> str:
    """Send one span by OTLP, and return its trace ID, once it was taken."""
    trace_id, now_ns = secrets.token_bytes(16), time.time_ns()
    resource_spans = ExportTraceServiceRequest().resource_spans.add()
    resource_spans.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value="trial")))
    resource_spans.scope_spans.add().spans.add(
        trace_id=trace_id,
        span_id=secrets.token_bytes(8),
        name=name,
        start_time_unix_nano=now_ns,
        end_time_unix_nano=now_ns + 1000,
    )
    address = running.settings["JAEGER_OTLP_ENDPOINT"].removeprefix("http://")
    with grpc.insecure_channel(address) as channel:
        stub = TraceServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        stub.Export(ExportTraceServiceRequest(resource_spans=[resource_spans]), timeout=_TIMEOUT_S)
    return trace_id.hex()


def _find(running: EngineSet, trace_id: str) -> list[str]:
    return [
        span["name"] for span in eventually(lambda: spans_in_jaeger(running.endpoints["jaeger"], trace_id), _TIMEOUT_S)
    ]


def _is_ready(running: EngineSet) -> bool:
    try:
        return jaeger.ENGINE.is_ready(running.context)
    except OSError:
        return False


def test_it_keeps_spans_over_a_kill(running: EngineSet) -> None:
    """What can be found is in the store: Jaeger holds nothing that a kill could take."""
    trace_id = _send_span(running, "kept")
    assert _find(running, trace_id) == ["kept"]
    running.kill("jaeger")
    running.start("jaeger")
    assert _find(running, trace_id) == ["kept"]


def test_it_listens_on_its_own_ports_of_the_loopback_interface_only(running: EngineSet) -> None:
    """Nobody else can reach it, and it takes no port that the platform does not know of."""
    listening = {
        connection.laddr
        for connection in psutil.Process(running.pid("jaeger")).net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", getattr(running.context.ports, name)) for name in jaeger.ENGINE.ports}


def test_it_waits_for_its_store(running: EngineSet) -> None:
    """Started before its store it is alive and not ready, and becomes ready with it."""
    running.kill("jaeger")
    running.kill("opensearch")
    running._spawn("jaeger")
    waiting = psutil.Process(running.pid("jaeger"))
    eventually(lambda: any("exec_when_ready.py" in part for part in waiting.cmdline()[-6:]), _TIMEOUT_S)
    assert not _is_ready(running)
    running.start("opensearch")
    running._wait("jaeger")
    assert waiting.cmdline()[0] == str(jaeger.MODULE.program)


def test_spans_wait_in_it_while_its_store_is_away(running: EngineSet) -> None:
    """It takes them, says that it is not ready, and writes them when the store is back, without being started again."""
    pid = running.pid("jaeger")
    running.kill("opensearch")
    assert not _is_ready(running)
    trace_id = _send_span(running, "waited")
    running.start("opensearch")
    running._wait("jaeger")
    assert _find(running, trace_id) == ["waited"]
    assert running.pid("jaeger") == pid


def test_its_old_days_are_forgotten_with_the_events(running: EngineSet) -> None:
    """The monitor deletes Jaeger's days that are older than its own, and nothing of a Jaeger that is another's."""
    store = running.settings["ELASTICSEARCH_HOST"]
    trace_id = _send_span(running, "new")
    assert _find(running, trace_id) == ["new"]
    old = [f"polystream-jaeger-{kind}-2020.01.31" for kind in ("span", "service")]
    another = "jaeger-span-2020-01-31"
    for index in (*old, another):
        httpx.put(f"{store}/{index}/_doc/1?refresh=true", json={}).raise_for_status()
    events = OpenSearchEventStore(SearchApi(EventStoreSettings(ELASTICSEARCH_HOST=store)), load_catalog())
    assert events.purge(Bounds(time.time_ns() // 1000 - 86_400_000_000, max_spans=1000, max_bytes=1)) == len(old)
    events.close()
    assert [httpx.head(f"{store}/{index}").status_code for index in (*old, another)] == [404, 404, 200]
    assert _find(running, trace_id) == ["new"]


def test_it_stops_cleanly_when_asked(running: EngineSet) -> None:
    """It writes what it has taken, ends by itself within its bound, and starts again."""
    trace_id = _send_span(running, "last")
    process, command = running._running["jaeger"]
    processes.send(process, command.stop_signal)
    assert process.wait(command.stop_timeout_s) == 0, running.log("jaeger")
    running.start("jaeger")
    assert _find(running, trace_id) == ["last"]


def test_elasticsearch_will_do_as_its_store(lease: Lease) -> None:
    """The same configuration stores in Elasticsearch 7.17, under the same names."""
    provide_elasticsearch()
    running = lease("elasticsearch", "jaeger", among=WITH_ELASTICSEARCH)
    trace_id = _send_span(running, "kept")
    assert _find(running, trace_id) == ["kept"]
    with httpx.Client(base_url=running.endpoints["elasticsearch"]) as store:
        indices = store.get("/_cat/indices", params={"h": "index", "format": "json"}).json()
    kinds = {row["index"].rpartition("-")[0] for row in indices}
    assert kinds == {"polystream-jaeger-span", "polystream-jaeger-service"}
