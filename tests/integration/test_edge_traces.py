"""The edge's spans: one for each request, named after the RPC, in the caller's trace."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from opentelemetry.proto.trace.v1 import trace_pb2
from polystream.v1 import users_pb2, users_pb2_grpc

from tests.support.edge import Edge, running_edge
from tests.support.waiting import eventually

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"


@pytest.fixture
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """An edge of the test's own, since its spans are counted."""
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


def _spans(edge: Edge, count: int) -> list[trace_pb2.Span]:
    eventually(lambda: len(edge.monitor.spans) >= count, 30)
    assert len(edge.monitor.spans) == count
    return list(edge.monitor.spans)


def test_rest_and_grpc_have_the_same_span(edge: Edge) -> None:
    """The span has the RPC's name however the request came, and begins a trace that the gateway goes on with."""
    httpx.post(f"{edge.url}/v1/users", json={"name": "Ana"}).raise_for_status()
    parents = [edge.gateways.last_call.metadata["traceparent"]]
    with grpc.insecure_channel(edge.target) as channel:
        users_pb2_grpc.UserServiceStub(channel).CreateUser(users_pb2.CreateUserRequest(), timeout=10)
    parents.append(edge.gateways.last_call.metadata["traceparent"])
    spans = _spans(edge, 2)
    assert {span.name for span in spans} == {"polystream.v1.UserService/CreateUser"}
    assert {span.kind for span in spans} == {trace_pb2.Span.SPAN_KIND_SERVER}
    assert {f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01" for span in spans} == set(parents)
    assert edge.monitor.services == {"edge"}


def test_callers_trace_is_joined(edge: Edge) -> None:
    """With a traceparent the edge's span is the caller's child."""
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "vendor=1"}
    httpx.post(f"{edge.url}/v1/users", headers=headers).raise_for_status()
    (span,) = _spans(edge, 1)
    assert span.trace_id.hex() == TRACE_ID
    assert span.parent_span_id.hex() == PARENT_ID
    metadata = edge.gateways.last_call.metadata
    assert metadata["traceparent"] == f"00-{TRACE_ID}-{span.span_id.hex()}-01"
    assert metadata["tracestate"] == "vendor=1"


def test_spans_hold_no_personal_data(edge: Edge) -> None:
    """Neither a path nor a query string nor a body nor a refused value is in a span."""
    with httpx.Client(base_url=edge.url) as client:
        client.post("/v1/users?email=ana@example.com", json={"name": "Ana Souza"})
        client.get("/v1/users/ana@example.com")
        client.get("/v1/nowhere/ana@example.com?cpf=52998224725")
        client.post("/v1/users", json={"cpf": 52998224725})
        client.post("/v1/users", json={"email": "ana@example.com", "x": ["Ana Souza"]})
    spans = _spans(edge, 5)
    text = "".join(str(span) for span in spans)
    assert "ana" not in text.lower()
    assert "52998224725" not in text
    assert {span.name for span in spans} == {
        "polystream.v1.UserService/CreateUser",
        "polystream.v1.UserService/GetUser",
        "rest",
    }


def test_documentation_is_not_traced(edge: Edge) -> None:
    """Pages are no operations."""
    httpx.get(f"{edge.url}/docs").raise_for_status()
    httpx.get(f"{edge.url}/v1/users").raise_for_status()
    (span,) = _spans(edge, 1)
    assert span.name == "polystream.v1.UserService/ListUsers"


def test_caller_that_is_not_sampled(edge: Edge) -> None:
    """A caller's decision against tracing is followed, and the gateway hears of it."""
    httpx.post(f"{edge.url}/v1/users", headers={"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}).raise_for_status()
    assert edge.gateways.last_call.metadata["traceparent"].endswith("-00")
    httpx.get(f"{edge.url}/v1/users").raise_for_status()
    (span,) = _spans(edge, 1)
    assert span.name == "polystream.v1.UserService/ListUsers"


def test_sampled_share(tmp_path: Path) -> None:
    """At a share of zero nothing is traced, and the gateway is told so."""
    with running_edge(tmp_path, sampled_percent=0.0) as edge:
        httpx.post(f"{edge.url}/v1/users").raise_for_status()
        assert edge.gateways.last_call.metadata["traceparent"].endswith("-00")
