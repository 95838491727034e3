"""The edge when something around it fails, hangs or floods it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from polystream.v1 import users_pb2, users_pb2_grpc

from stack.edge.drain import drain
from stack.edge.render import Address, EdgeLimits
from tests.support.edge import Edge, error_info, retry_delay_s, running_edge, status_of
from tests.support.ports import free_port_run
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
    """Send a command from another thread; goes on when the gateway has it."""
    with ThreadPoolExecutor(1) as pool:
        before = sum(echo.hanging for echo in edge.gateways.echoes)
        answer = pool.submit(httpx.post, f"{edge.url}/v1/users", headers=headers, timeout=30)
        eventually(lambda: sum(echo.hanging for echo in edge.gateways.echoes) > before, 30)
        yield answer


def test_gateway_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    """Without a gateway a command is refused at once, with leave to retry; with it back all is well within seconds."""
    with running_edge(tmp_path) as edge, httpx.Client(base_url=edge.url) as client:
        edge.gateways.stop(0)
        _assert_refused(client.post("/v1/users"), 503, code_pb2.UNAVAILABLE, "GATEWAY_UNAVAILABLE")
        edge.await_health(0, healthy=False)
        response = client.post("/v1/users")
        _assert_refused(response, 503, code_pb2.UNAVAILABLE, "GATEWAY_UNAVAILABLE")
        assert response.headers["retry-after"] == "1"
        edge.gateways.start(0)
        eventually(lambda: client.post("/v1/users").status_code == 200, 3)


def test_gateway_that_dies_unseen_costs_nothing(tmp_path: Path) -> None:
    """A command that cannot have reached the dead gateway goes to the other one."""
    with running_edge(tmp_path, gateways=2) as edge, httpx.Client(base_url=edge.url) as client:
        assert {client.post("/v1/users").headers["x-echo-gateway"] for _ in range(40)} == {"echo-0", "echo-1"}
        edge.gateways.stop(0)
        assert [client.post("/v1/users").status_code for _ in range(20)] == [200] * 20


def test_gateway_that_drains_gets_nothing_new(tmp_path: Path) -> None:
    """A gateway whose health service says so is left alone."""
    with running_edge(tmp_path, gateways=2) as edge, httpx.Client(base_url=edge.url) as client:
        edge.gateways.set_serving(1, serving=False)
        edge.await_health(1, healthy=False)
        assert {client.post("/v1/users").headers["x-echo-gateway"] for _ in range(20)} == {"echo-0"}


def test_command_that_may_have_been_taken_is_not_sent_again(tmp_path: Path) -> None:
    """When the gateway is killed over a command, the caller is told that its fate is unknown, and nobody repeats it."""
    port = free_port_run(1)
    process = subprocess.Popen([sys.executable, "-m", "tests.support.echo_gateway", str(port)])
    try:
        eventually(lambda: _serves(port), 20)
        with running_edge(tmp_path, beside=(Address("127.0.0.1", port),)) as edge:
            edge.gateways.set_serving(0, serving=False)
            edge.await_health(0, healthy=False)
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(httpx.post, f"{edge.url}/v1/users", headers=HANG, timeout=30)
                eventually(lambda: edge.stat("cluster.gateway.upstream_rq_active") == 1, 30)
                edge.gateways.set_serving(0, serving=True)
                edge.await_health(0, healthy=True)
                process.send_signal(signal.SIGKILL)
                _assert_refused(answer.result(30), 503, code_pb2.UNAVAILABLE, "GATEWAY_CONNECTION_LOST")
            assert not edge.gateways.echoes[0].calls
    finally:
        process.kill()
        process.wait(10)


def _serves(port: int) -> bool:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # typed without its methods
        health.Check(health_pb2.HealthCheckRequest(), timeout=1)
    return True


def test_deadline(tmp_path: Path) -> None:
    """A gateway that does not answer in the edge's time is given up, and stops its work."""
    with running_edge(tmp_path, limits=EdgeLimits(unary_timeout_s=0.5)) as edge:
        response = httpx.post(f"{edge.url}/v1/users", headers=HANG)
        _assert_refused(response, 504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        eventually(lambda: edge.gateways.echoes[0].hanging == 0, 30)


def test_callers_own_deadline(tmp_path: Path) -> None:
    """A REST caller may set a deadline by grpc-timeout; edge or gateway, whoever is first, says that it passed."""
    with running_edge(tmp_path) as edge:
        response = httpx.post(f"{edge.url}/v1/users", headers={**HANG, "grpc-timeout": "200m"})
        assert response.status_code == 504
        assert status_of(response).code == code_pb2.DEADLINE_EXCEEDED
        assert response.elapsed.total_seconds() < 5


def test_waiting_has_a_longer_deadline(tmp_path: Path) -> None:
    """WaitOperation and streams outlive the deadline of the other methods."""
    limits = EdgeLimits(unary_timeout_s=0.2, wait_timeout_s=1.0, stream_timeout_s=1.5)
    with running_edge(tmp_path, limits=limits) as edge:
        waited = httpx.post(f"{edge.url}/v1/operations/x:wait", headers=HANG)
        _assert_refused(waited, 504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert waited.elapsed.total_seconds() > 0.9


def test_rate_limit(tmp_path: Path) -> None:
    """Beyond the rate requests are refused with leave to retry, over REST and over gRPC."""
    with running_edge(tmp_path, limits=EdgeLimits(max_requests_per_s=5)) as edge:
        with httpx.Client(base_url=edge.url) as client:
            answers = [client.post("/v1/users") for _ in range(30)]
        refused = [answer for answer in answers if answer.status_code != 200]
        assert 5 <= len(answers) - len(refused) < 30
        for answer in refused:
            _assert_refused(answer, 429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED")
        with grpc.insecure_channel(edge.target) as channel:
            stub = users_pb2_grpc.UserServiceStub(channel)
            reasons = {_reason(stub) for _ in range(30)}
        assert reasons - {""} == {"RESOURCE_EXHAUSTED RATE_LIMITED"}


def test_concurrency_limit(tmp_path: Path) -> None:
    """Beyond the bound on what is under way requests are refused with leave to retry."""
    limits = EdgeLimits(max_concurrent_requests=1, unary_timeout_s=2.0)
    with running_edge(tmp_path, limits=limits) as edge, _in_background(edge, HANG):
        response = httpx.post(f"{edge.url}/v1/users")
        _assert_refused(response, 429, code_pb2.RESOURCE_EXHAUSTED, "TOO_MANY_REQUESTS")


def test_monitor_that_is_gone(tmp_path: Path) -> None:
    """Without the monitor only the documentation is missing."""
    with running_edge(tmp_path, monitor_http=Address("127.0.0.1", free_port_run(1))) as edge:
        _assert_refused(httpx.get(f"{edge.url}/docs"), 503, code_pb2.UNAVAILABLE, "MONITOR_UNAVAILABLE")
        httpx.post(f"{edge.url}/v1/users").raise_for_status()


def test_drain_lets_requests_end(tmp_path: Path) -> None:
    """Draining waits for what is under way, so that its answer is not cut; then SIGTERM ends the process."""
    with running_edge(tmp_path, limits=EdgeLimits(unary_timeout_s=1.5)) as edge:
        with _in_background(edge, HANG) as answer:
            assert drain(edge.config.admin, 0.2) is False
            assert drain(edge.config.admin, 10) is True
            edge.process.terminate()
            _assert_refused(answer.result(10), 504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert edge.process.wait(10) == 0


def _reason(stub: users_pb2_grpc.UserServiceStub) -> str:
    """Return the call's code and reason, or nothing where it succeeds."""
    try:
        stub.CreateUser(users_pb2.CreateUserRequest(), timeout=10)
    except grpc.RpcError as error:
        status = rpc_status.from_call(error)  # type: ignore[arg-type] # the error is the call too
        assert status is not None
        return f"{code_pb2.Code.Name(status.code)} {error_info(status).reason}"
    return ""
