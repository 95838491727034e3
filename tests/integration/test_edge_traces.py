"""The edge's spans, where it is told to make them: it follows the caller, and decides for few of the others."""

from pathlib import Path

import grpc
import httpx
from polystream.v1 import users_pb2, users_pb2_grpc

from tests.support.edge import running_edge
from tests.support.waiting import eventually

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT_ID = "b7ad6b7169203331"


def test_a_callers_decision_is_followed(tmp_path: Path) -> None:
    """One that is traced has the edge's span as its child, and one that is not has none; the gateway hears of both."""
    with running_edge(tmp_path, traced=True) as edge:
        for decision in ("00", "01"):
            headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-{decision}", "tracestate": "vendor=1"}
            httpx.post(f"{edge.url}/v1/users?email=ana@example.com", headers=headers).raise_for_status()
            said = edge.gateways.last_http.headers
            assert said["traceparent"].startswith(f"00-{TRACE_ID}-")
            assert said["traceparent"].endswith(f"-{decision}")
            assert said["tracestate"] == "vendor=1"
        eventually(lambda: edge.monitor.spans, 30)
        (span,) = edge.monitor.spans
        assert (span.name, span.trace_id.hex(), span.parent_span_id.hex()) == ("http", TRACE_ID, PARENT_ID)
        assert said["traceparent"] == f"00-{TRACE_ID}-{span.span_id.hex()}-01"
        assert edge.monitor.services == {"edge"}
        assert "ana" not in str(span).lower()


def test_a_share_of_the_others_is_traced(tmp_path: Path) -> None:
    """The edge begins their traces: all of them at 100 percent, none at 0, over HTTP and over gRPC."""
    for percent, decision in ((100.0, "01"), (0.0, "00")):
        folder = tmp_path / decision
        folder.mkdir()
        with running_edge(folder, traced=True, sampled_percent=percent) as edge:
            httpx.post(f"{edge.url}/v1/users").raise_for_status()
            with grpc.insecure_channel(edge.target) as channel:
                users_pb2_grpc.UserServiceStub(channel).CreateUser(users_pb2.CreateUserRequest(), timeout=10)
            assert edge.gateways.last_http.headers["traceparent"].endswith(f"-{decision}")
            assert edge.gateways.last_call.metadata["traceparent"].endswith(f"-{decision}")
