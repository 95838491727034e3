"""The monitor's answers in Jaeger's form beside those of Jaeger itself, of the same spans."""

import secrets
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Final

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from starlette.applications import Starlette

from monitor.jaeger.api import PREFIX, JaegerApi
from monitor.otlp import read_spans
from monitor.store.port import EventStore
from monitor.traces import Traces
from stack.engines.native import NATIVE
from tests.support.engine_pool import Lease
from tests.support.event_stores import open_store
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

_TIMEOUT_S: Final = 30.0
_CALLER, _CALLED = f"door-{secrets.token_hex(4)}", f"lane-{secrets.token_hex(4)}"
_TRACE_ID, _SHORT_TRACE_ID = secrets.token_bytes(16), bytes(8) + secrets.token_bytes(8)
_ROOT_ID, _CHILD_ID, _OTHER_ID = (secrets.token_bytes(8) for _ in range(3))
_HOUR_AGO_US: Final = time.time_ns() // 1000 - 3_600_000_000
_UNKNOWN: Final = "00000000000000ab00000000000000cd"


def _attributes(**values: AnyValue) -> list[KeyValue]:
    return [KeyValue(key=name.replace("__", "."), value=value) for name, value in values.items()]


def _request() -> ExportTraceServiceRequest:
    """Return a trace of two services, and one whose ID begins with zeros."""
    now_ns = time.time_ns() // 1_000_000 * 1_000_000
    request = ExportTraceServiceRequest()
    for service, spans in (
        (
            _CALLER,
            [
                Span(
                    trace_id=_TRACE_ID,
                    span_id=_ROOT_ID,
                    name="POST /v1/users",
                    kind=Span.SPAN_KIND_SERVER,
                    start_time_unix_nano=now_ns + 1_250,
                    end_time_unix_nano=now_ns + 9_876_543,
                    attributes=_attributes(
                        rpc__method=AnyValue(string_value="CreateUser"),
                        messaging__kafka__offset=AnyValue(int_value=17),
                        huge=AnyValue(int_value=2**60),
                        share=AnyValue(double_value=0.25),
                        is_retry=AnyValue(bool_value=False),
                    ),
                ),
                Span(
                    trace_id=_SHORT_TRACE_ID,
                    span_id=_OTHER_ID,
                    links=[Span.Link(trace_id=_TRACE_ID, span_id=_CHILD_ID)],
                    name="GET /v1/users",
                    kind=Span.SPAN_KIND_INTERNAL,
                    start_time_unix_nano=now_ns,
                    end_time_unix_nano=now_ns + 1_000_000,
                ),
            ],
        ),
        (
            _CALLED,
            [
                Span(
                    trace_id=_TRACE_ID,
                    span_id=_CHILD_ID,
                    parent_span_id=_ROOT_ID,
                    name="process user_events",
                    kind=Span.SPAN_KIND_CONSUMER,
                    start_time_unix_nano=now_ns + 2_000_000,
                    end_time_unix_nano=now_ns + 5_000_000,
                    status=Status(code=Status.STATUS_CODE_ERROR),
                    attributes=_attributes(
                        rpc__method=AnyValue(string_value="CreateUser"), store=AnyValue(string_value="POSTGRESQL")
                    ),
                    links=[
                        Span.Link(trace_id=_SHORT_TRACE_ID, span_id=_OTHER_ID),
                        Span.Link(trace_id=_TRACE_ID, span_id=_OTHER_ID),
                    ],
                )
            ],
        ),
    ):
        of_resource = request.resource_spans.add()
        of_resource.resource.attributes.append(KeyValue(key="service.name", value=AnyValue(string_value=service)))
        of_resource.scope_spans.add().spans.extend(spans)
    return request


@pytest.fixture(scope="module")
def request_sent() -> ExportTraceServiceRequest:
    """The spans that both get."""
    return _request()


@pytest.fixture(scope="module")
def running(lease: Lease, request_sent: ExportTraceServiceRequest) -> EngineSet:
    """Jaeger, with the spans in it."""
    running = lease("opensearch", "jaeger", among=NATIVE)
    with grpc.insecure_channel(running.settings["JAEGER_OTLP_ENDPOINT"].removeprefix("http://")) as channel:
        TraceServiceStub(channel).Export(request_sent, timeout=_TIMEOUT_S)  # type: ignore[no-untyped-call] # generated
    for trace_id in (_TRACE_ID, _SHORT_TRACE_ID):
        eventually(partial(_has_trace, f"{running.endpoints['jaeger']}/api/traces/{trace_id.hex()}"), _TIMEOUT_S)
    eventually(lambda: _has_both(running.endpoints["jaeger"] or ""), _TIMEOUT_S)
    return running


def _has_trace(url: str) -> bool:
    return httpx.get(url, timeout=_TIMEOUT_S).is_success


def _has_both(jaeger: str) -> bool:
    """Whether Jaeger has listed the services, which it does a moment after their spans."""
    return {_CALLER, _CALLED} <= set(httpx.get(f"{jaeger}/api/services", timeout=_TIMEOUT_S).json()["data"] or ())


@pytest.fixture(params=["local", "opensearch"])
def store(
    request: pytest.FixtureRequest,
    running: EngineSet,
    request_sent: ExportTraceServiceRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[EventStore]:
    """The monitor's event store, with the same spans in it."""
    is_local = request.param == "local"
    target = str(tmp_path_factory.mktemp("spans")) if is_local else running.endpoints["opensearch"]
    made = open_store(str(request.param), str(target))
    made.add_spans(list(read_spans(request_sent)))
    yield made
    made.close()


@pytest.fixture
async def monitor(store: EventStore) -> AsyncIterator[httpx.AsyncClient]:
    """The monitor's API."""
    app = Starlette(routes=JaegerApi(Traces(store)).routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        yield client


async def _both(
    running: EngineSet, monitor: httpx.AsyncClient, path: str, **parameters: str
) -> tuple[httpx.Response, httpx.Response]:
    """Return Jaeger's answer and the monitor's."""
    async with httpx.AsyncClient(base_url=str(running.endpoints["jaeger"]), timeout=_TIMEOUT_S) as jaeger:
        theirs = await jaeger.get(f"/api/{path}", params=parameters)
    return theirs, await monitor.get(f"{PREFIX}/api/{path}", params=parameters)


def _shape(value: Any) -> Any:
    """Return the types of a value in JSON, and the names of its fields."""
    match value:
        case dict():
            return {name: _shape(inner) for name, inner in value.items()}
        case list():
            return [_shape(inner) for inner in value]
        case _:
            return type(value).__name__


def _by_service(trace: dict[str, Any]) -> dict[str, Any]:
    """Return a trace with its spans by ID and the processes' names in them: they may be numbered in any order."""
    spans = {}
    for span in trace["spans"]:
        service = trace["processes"][span["processID"]]["serviceName"]
        spans[span["spanID"]] = span | {"processID": service}
    return {"traceID": trace["traceID"], "spans": spans, "warnings": trace["warnings"]}


@pytest.mark.parametrize("trace_id", [_TRACE_ID.hex(), _SHORT_TRACE_ID.hex()], ids=["long", "short"])
async def test_a_trace_is_told_as_jaeger_tells_it(
    running: EngineSet, monitor: httpx.AsyncClient, trace_id: str
) -> None:
    """The same fields with the same types and values, for every span."""
    theirs, ours = await _both(running, monitor, f"traces/{trace_id}")
    assert (theirs.status_code, ours.status_code) == (200, 200)
    their_trace, our_trace = theirs.json()["data"][0], ours.json()["data"][0]
    assert _by_service(our_trace) == _by_service(their_trace)
    assert _shape(our_trace["processes"]) == _shape(their_trace["processes"])
    assert _shape({**ours.json(), "data": None}) == _shape({**theirs.json(), "data": None})


@pytest.mark.parametrize(
    "asked",
    [
        {"service": _CALLER},
        {"service": _CALLER, "operation": "POST /v1/users"},
        {"service": _CALLED, "tags": '{"error":"true"}'},
        {"service": _CALLED, "tags": '{"rpc.method":"CreateUser","store":"POSTGRESQL"}'},
        {"service": _CALLER, "tags": '{"store":"POSTGRESQL"}'},
        {"service": _CALLER, "tag": "messaging.kafka.offset:17"},
        {"service": _CALLER, "tags": '{"span.kind":"server"}'},
        {"service": _CALLER, "minDuration": "5ms"},
        {"service": _CALLER, "minDuration": "500us", "maxDuration": "1.5ms"},
        {"service": _CALLER, "end": str(_HOUR_AGO_US + 1000)},
        {"service": _CALLER, "limit": "1"},
        {"service": "nobody"},
        {"service": _CALLER, "traceID": _TRACE_ID.hex()},
    ],
    ids="&".join,
)
async def test_the_same_traces_are_found(running: EngineSet, monitor: httpx.AsyncClient, asked: dict[str, str]) -> None:
    """By whatever Jaeger's page and Grafana ask for."""
    theirs, ours = await _both(running, monitor, "traces", start=str(_HOUR_AGO_US), **asked)
    assert (theirs.status_code, ours.status_code) == (200, 200)
    found = {trace["traceID"] for trace in ours.json()["data"]}
    if asked.get("limit") == "1":
        assert len(found) == len(theirs.json()["data"]) == 1
        return
    assert found == {trace["traceID"] for trace in theirs.json()["data"]}


async def test_names_are_told_as_jaeger_tells_them(running: EngineSet, monitor: httpx.AsyncClient) -> None:
    """Services, and their operations; those of one kind too, where Jaeger keeps no kinds in OpenSearch."""
    theirs, ours = await _both(running, monitor, "services")
    assert {_CALLER, _CALLED} <= set(ours.json()["data"])
    assert _shape(ours.json() | {"data": None}) == _shape(theirs.json() | {"data": None})
    for service in (_CALLER, "nobody"):
        theirs, ours = await _both(running, monitor, f"services/{service}/operations")
        assert (theirs.status_code, ours.status_code) == (200, 200)
        assert sorted(ours.json()["data"]) == sorted(theirs.json()["data"] or ())
    theirs, ours = await _both(running, monitor, "operations", service=_CALLER)
    assert _shape(ours.json()) == _shape(theirs.json())
    kinds = {"POST /v1/users": "server", "GET /v1/users": "internal"}
    assert {each["name"] for each in theirs.json()["data"]} == kinds.keys()
    assert {each["name"]: each["spanKind"] for each in ours.json()["data"]} == kinds
    _, ours = await _both(running, monitor, "operations", service=_CALLER, spanKind="server")
    assert [each["name"] for each in ours.json()["data"]] == ["POST /v1/users"]


async def test_what_calls_what_has_jaegers_form(running: EngineSet, monitor: httpx.AsyncClient) -> None:
    """Jaeger counts it by a job of its own, the monitor at once."""
    now_ms = str(time.time_ns() // 1_000_000 + 60_000)
    theirs, ours = await _both(running, monitor, "dependencies", endTs=now_ms, lookback="3600000")
    assert (theirs.status_code, ours.status_code) == (200, 200)
    assert ours.json().keys() == theirs.json().keys()
    assert {"parent": _CALLER, "child": _CALLED, "callCount": 1} in ours.json()["data"]


@pytest.mark.parametrize(
    ("path", "parameters", "status", "named"),
    [
        ("traces", {}, 400, "service"),
        ("traces", {"service": "a", "start": "yesterday"}, 400, "start"),
        ("traces", {"service": "a", "minDuration": "5 parsecs"}, 400, "minDuration"),
        ("traces", {"service": "a", "minDuration": "2s", "maxDuration": "1s"}, 400, "maxDuration"),
        ("traces", {"service": "a", "tags": "{"}, 400, "tags"),
        ("traces", {"service": "a", "tag": "x"}, 400, "tag"),
        ("traces", {"traceID": "xyz"}, 400, "traceID"),
        ("operations", {}, 400, "service"),
        ("dependencies", {"endTs": "soon"}, 400, "endTs"),
        (f"traces/{_UNKNOWN}", {}, 404, "trace not found"),
    ],
    ids=lambda part: None if isinstance(part, int) else str(part),
)
async def test_what_is_wrong_is_said_as_jaeger_says_it(
    running: EngineSet,
    monitor: httpx.AsyncClient,
    path: str,
    parameters: dict[str, str],
    status: int,
    named: str,
) -> None:
    """With the same status, in the same form, and the parameter's name."""
    theirs, ours = await _both(running, monitor, path, **parameters)
    assert (theirs.status_code, ours.status_code) == (status, status)
    assert _shape(ours.json()) == _shape(theirs.json())
    assert ours.json()["errors"][0]["code"] == status
    assert named in ours.json()["errors"][0]["msg"]
