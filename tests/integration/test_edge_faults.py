"""The edge when something around it fails, hangs or floods it."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import httpx
import pytest
from google.rpc import code_pb2
from grpc_status import rpc_status
from polystream.v1 import users_pb2, users_pb2_grpc

from stack.edge.drain import admin_client, drain
from stack.edge.render import EdgeLimits
from tests.support.edge import Edge, error_info, retry_delay_s, running_edge, status_of
from tests.support.waiting import eventually

HANG = {"x-echo-hang": "1"}


def _assert_refused(response: httpx.Response, http_status: int, code: int, reason: str) -> None:
    assert response.status_code == http_status
    status = status_of(response)
    assert status.code == code
    assert error_info(status).reason == reason
    retry_after = response.headers.get("retry-after")
    assert (retry_after is None) == (retry_delay_s(status) is None)


@contextmanager
def _in_background(edge: Edge, headers: dict[str, str]) -> Iterator["Future[httpx.Response]"]:
    """Send a command from another thread; goes on when a gateway has it."""
    with ThreadPoolExecutor(1) as pool:
        before = sum(echo.hanging for echo in edge.gateways.http)
        answer = pool.submit(httpx.post, f"{edge.url}/v1/users", headers=headers, timeout=30)
        eventually(lambda: sum(echo.hanging for echo in edge.gateways.http) > before, 30)
        yield answer


def _create_user(edge: Edge, **metadata: str) -> str:
    """Call by gRPC, and return the call's code and reason, or which gateway has answered."""
    with grpc.insecure_channel(edge.target) as channel:
        stub = users_pb2_grpc.UserServiceStub(channel)
        try:
            request = users_pb2.CreateUserRequest()
            _, call = stub.CreateUser.with_call(request, metadata=tuple(metadata.items()), timeout=10)
        except grpc.RpcError as error:
            return _reason(error)
        return str(dict(call.initial_metadata())["x-echo-gateway"])


def _reason(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # the error is the call too
    return error.code().name if status is None else f"{error.code().name} {error_info(status).reason}"


def test_gateway_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    """Without a gateway a command is refused at once, with leave to retry; with it back all is well within seconds."""
    with running_edge(tmp_path) as edge, httpx.Client(base_url=edge.url) as client:
        edge.gateways.stop(0)
        _assert_refused(client.post("/v1/users"), 503, code_pb2.UNAVAILABLE, "GATEWAY_UNAVAILABLE")
        edge.await_health(0, healthy=False)
        response = client.post("/v1/users")
        _assert_refused(response, 503, code_pb2.UNAVAILABLE, "GATEWAY_UNAVAILABLE")
        assert response.headers["retry-after"] == "1"
        assert _create_user(edge) == "UNAVAILABLE GATEWAY_UNAVAILABLE"
        edge.gateways.start(0)
        eventually(lambda: client.post("/v1/users").status_code == 200, 3)
        eventually(lambda: _create_user(edge) == "echo-0", 3)


def _by_http(edge: Edge) -> str:
    return str(httpx.post(f"{edge.url}/v1/users").raise_for_status().headers["x-echo-gateway"])


@pytest.mark.parametrize("call", [_by_http, _create_user], ids=["http", "grpc"])
def test_gateway_that_dies_unseen_costs_nothing(tmp_path: Path, call: Callable[[Edge], str]) -> None:
    """A command that cannot have reached the dead gateway goes to the other one."""
    with running_edge(tmp_path, gateways=2) as edge:
        assert {call(edge) for _ in range(40)} == {"echo-0", "echo-1"}
        edge.gateways.stop(0)
        assert [call(edge) for _ in range(20)] == ["echo-1"] * 20


@pytest.mark.parametrize("call", [_by_http, _create_user], ids=["http", "grpc"])
def test_gateway_that_drains_gets_nothing_new(tmp_path: Path, call: Callable[[Edge], str]) -> None:
    """A gateway that says that it does not serve is left alone."""
    with running_edge(tmp_path, gateways=2) as edge:
        edge.gateways.set_serving(1, serving=False)
        edge.await_health(1, healthy=False)
        assert {call(edge) for _ in range(20)} == {"echo-0"}


@pytest.mark.parametrize(("kind", "call"), [("http", _by_http), ("grpc", _create_user)])
def test_connections_to_gateways_are_replaced(tmp_path: Path, kind: str, call: Callable[[Edge], str]) -> None:
    """So that a gateway that came back on a port which it shares gets its part; no call notices."""
    with running_edge(tmp_path, limits=EdgeLimits(gateway_connection_s=0.2)) as edge:

        def replaced() -> bool:
            assert call(edge) == "echo-0"
            return edge.stat(f"cluster.gateway_{kind}.upstream_cx_max_duration_reached") >= 3

        eventually(replaced, 20)


def test_gateway_that_takes_no_connections_is_ejected(tmp_path: Path) -> None:
    """After three failed connections in a row it is left alone for a while, before any health check has failed."""
    with running_edge(tmp_path, gateways=2) as edge:
        edge.gateways.stop(0)
        eventually(lambda: edge.stat("cluster.gateway_http.outlier_detection.ejections_active") or _by_http(edge), 10)
        assert [_by_http(edge) for _ in range(20)] == ["echo-1"] * 20


def test_command_that_may_have_been_taken_is_not_sent_again(tmp_path: Path) -> None:
    """When its connection breaks, the caller is told that its fate is unknown, and no gateway gets it once more."""
    with running_edge(tmp_path, gateways=2) as edge:
        for _ in range(4):
            broken = httpx.post(f"{edge.url}/v1/users", headers={"x-echo-drop": "1"})
            _assert_refused(broken, 503, code_pb2.UNAVAILABLE, "GATEWAY_CONNECTION_LOST")
        assert sum(len(echo.calls) for echo in edge.gateways.http) == 4


def test_grpc_call_of_a_gateway_that_is_killed_is_not_sent_again(tmp_path: Path) -> None:
    """Nor is one by gRPC: its caller is told UNAVAILABLE, with the reason."""
    with running_edge(tmp_path, gateways=2) as edge, grpc.insecure_channel(edge.target) as channel:
        stub = users_pb2_grpc.UserServiceStub(channel)
        call = stub.CreateUser.future(users_pb2.CreateUserRequest(), metadata=tuple(HANG.items()), timeout=30)
        found = eventually(lambda: [i for i in (0, 1) if edge.gateways.echoes[i].hanging], 30)
        edge.gateways.stop(found[0])
        with pytest.raises(grpc.RpcError) as raised:
            call.result(30)
        assert raised.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        assert sum(len(echo.calls) for echo in edge.gateways.echoes) == 1


def test_gateway_that_hangs(tmp_path: Path) -> None:
    """A gateway that says nothing for longer than any call waits is given up, and learns of it."""
    with running_edge(tmp_path, limits=EdgeLimits(wait_timeout_s=0.5)) as edge:
        response = httpx.post(f"{edge.url}/v1/users", headers=HANG)
        _assert_refused(response, 504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        eventually(lambda: edge.gateways.http[0].hanging == 0, 30)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/operations/x:watch", {}),
        ("/polystream.v1.OperationService/WatchOperation", {"content-type": "application/grpc-web+proto"}),
    ],
)
def test_streams_may_be_silent(tmp_path: Path, path: str, headers: dict[str, str]) -> None:
    """What is watched changes when it changes; only the longest stream's time ends it."""
    with running_edge(tmp_path, limits=EdgeLimits(wait_timeout_s=0.3, max_stream_s=1.5)) as edge:
        response = httpx.post(f"{edge.url}{path}", headers=HANG | headers)
        _assert_refused(response, 504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert response.elapsed.total_seconds() > 1


def test_streams_end(tmp_path: Path) -> None:
    """No gRPC call is open for ever, whatever its client says."""
    with running_edge(tmp_path, limits=EdgeLimits(max_stream_s=0.5)) as edge:
        assert _create_user(edge, **HANG) == "DEADLINE_EXCEEDED DEADLINE_EXCEEDED"
        eventually(lambda: edge.gateways.echoes[0].hanging == 0, 30)


def test_a_request_that_does_not_arrive(tmp_path: Path) -> None:
    """A body that never ends is given up, and the connection closed."""
    with (
        running_edge(tmp_path, limits=EdgeLimits(request_timeout_s=0.5)) as edge,
        socket.create_connection((edge.config.listen.host, edge.config.listen.port), timeout=10) as connection,
    ):
        connection.sendall(b"POST /v1/users HTTP/1.1\r\nHost: here\r\nContent-Length: 10\r\n\r\n{")
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    response = httpx.Response(int(head.split(b" ")[1]), headers={"content-type": "application/json"}, content=body)
    _assert_refused(response, 408, code_pb2.DEADLINE_EXCEEDED, "REQUEST_TIMEOUT")


def test_rate_limit(tmp_path: Path) -> None:
    """Beyond the rate requests are refused with leave to retry, over HTTP and over gRPC."""
    with running_edge(tmp_path, limits=EdgeLimits(max_requests_per_s=5)) as edge:
        with httpx.Client(base_url=edge.url) as client:
            answers = [client.post("/v1/users") for _ in range(30)]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 5 <= len(answers) - len(refused) < 30
        for answer in refused:
            _assert_refused(answer, 429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        assert {_create_user(edge) for _ in range(30)} - {"echo-0"} == {"RESOURCE_EXHAUSTED RATE_LIMITED"}


def test_concurrency_limit(tmp_path: Path) -> None:
    """One request is under way and one waits for its turn: the next one is refused with leave to retry."""
    with (
        running_edge(tmp_path, limits=EdgeLimits(max_concurrent_requests=1, wait_timeout_s=5.0)) as edge,
        ThreadPoolExecutor(1) as pool,
        _in_background(edge, HANG),
    ):
        waiting = pool.submit(httpx.post, f"{edge.url}/v1/users", timeout=30)
        eventually(lambda: edge.stat("cluster.gateway_http.upstream_rq_pending_active") == 1, 30)
        _assert_refused(httpx.post(f"{edge.url}/v1/users"), 503, code_pb2.UNAVAILABLE, "EDGE_OVERLOADED")
        assert waiting.result(30).status_code == 200


def test_memory_limit(tmp_path: Path) -> None:
    """Beyond its heap the edge takes nothing new, says so where it can, and still answers its admin pages."""
    with running_edge(tmp_path) as edge:
        needed_bytes = edge.stat("server.memory_allocated")
    (tmp_path / "small").mkdir()
    with (
        running_edge(tmp_path / "small", limits=EdgeLimits(max_heap_bytes=needed_bytes // 2)) as edge,
        httpx.Client(base_url=edge.url) as client,
    ):
        gauge = "overload.envoy.overload_actions.stop_accepting_requests.active"
        eventually(lambda: edge.stat(gauge) == 1, 10)
        with admin_client(Path(edge.config.admin_socket)) as admin:
            admin.get("/stats").raise_for_status()
        with pytest.raises(httpx.TimeoutException):
            client.post("/v1/users", timeout=0.5)
        assert not edge.gateways.http[0].calls


def test_drain_lets_requests_end(tmp_path: Path) -> None:
    """Draining waits for what is under way, so that its answer is not cut; then SIGTERM ends the process."""
    with running_edge(tmp_path, limits=EdgeLimits(wait_timeout_s=1.5)) as edge:
        admin = Path(edge.config.admin_socket)
        with _in_background(edge, HANG) as answer:
            assert drain(admin, 0.2) is False
            assert drain(admin, 10) is True
            edge.process.terminate()
            _assert_refused(answer.result(10), 504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert edge.process.wait(10) == 0
