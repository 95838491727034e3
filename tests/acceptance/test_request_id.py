"""The same `request_id` makes one operation and one effect, however it is sent."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import psycopg
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from polystream.v1 import operations_pb2, users_pb2

from tests.acceptance.conftest import Finished
from tests.support.doors import Answer, call_grpc, call_rest
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.ports import free_ports
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_engine_set

CREATE = "polystream.v1.UserService/CreateUser"


@pytest.fixture(scope="module")
def second_gateway(platform: Platform, repository: Path) -> Iterator[grpc.Channel]:
    """Run a second gateway process beside the platform's own, and return a channel to it."""
    ports = free_ports()
    environment = {
        **os.environ,
        **platform.environment("gateway-0"),
        "GATEWAY_NAME": "gateway-test",
        "GATEWAY_PORT": str(ports.gateway),
        "GATEWAY_HTTP_PORT": str(ports.rest),
        "GATEWAY_READY_FILE": "",
    }
    process = subprocess.Popen([sys.executable, "-m", "gateway"], env=environment, cwd=repository)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{ports.gateway}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)  # typed without its methods

            def serving() -> bool:
                answer = health.Check(health_pb2.HealthCheckRequest(), timeout=2)
                return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

            eventually(serving, 30)
            yield channel
    finally:
        process.terminate()
        process.wait(20)


def create(channel: grpc.Channel, someone: dict[str, Any], request_id: str) -> Answer:
    """Create a user by gRPC."""
    return call_grpc(
        channel, CREATE, users_pb2.CreateUserRequest(**someone, request_id=request_id), operations_pb2.Operation
    )


def rows(platform: Platform, email: str) -> int:
    """Count the users with an e-mail address."""
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        row = db.execute("SELECT count(*) FROM usuarios WHERE email = %s", (email,)).fetchone()
    assert row is not None
    return int(row[0])


def test_a_retry_returns_the_same_operation(platform: Platform, rest: httpx.Client, finished: Finished) -> None:
    """One after the other, by REST: one operation, one row, and the receipt of the first."""
    someone = person()
    request = {**someone, "request_id": someone["email"]}
    first, second = (call_rest(rest, "POST", "/v1/users", json=request) for _ in "ab")
    assert first.body["correlation_id"] == second.body["correlation_id"]
    assert first.body["user_id"] == second.body["user_id"]
    assert finished(first.body["correlation_id"])["state"] == "SUCCEEDED"
    third = call_rest(rest, "POST", "/v1/users", json=request)
    assert third.body["correlation_id"] == first.body["correlation_id"]
    assert rows(platform, someone["email"]) == 1


def test_at_the_same_time_to_two_gateways(
    platform: Platform, gateway_channel: grpc.Channel, second_gateway: grpc.Channel, finished: Finished
) -> None:
    """Twenty at once through two processes: one operation, one row."""
    for _ in range(5):
        someone = person()
        with ThreadPoolExecutor(20) as pool:
            channels = [gateway_channel, second_gateway] * 10
            answers = list(pool.map(lambda channel, who=someone: create(channel, who, who["email"]), channels))
        assert {answer.code for answer in answers} == {0}, answers
        correlation_ids = {answer.body["correlation_id"] for answer in answers}
        assert len(correlation_ids) == 1
        assert finished(correlation_ids.pop())["state"] == "SUCCEEDED"
        assert rows(platform, someone["email"]) == 1


def test_another_payload_is_refused(gateway_channel: grpc.Channel, second_gateway: grpc.Channel) -> None:
    """By the same gateway and by another one."""
    someone, other = person(), person()
    assert create(gateway_channel, someone, someone["email"]).code == 0
    for channel in (gateway_channel, second_gateway):
        answer = create(channel, other, someone["email"])
        assert (answer.code, answer.reason, answer.fields) == (6, "REQUEST_ID_REUSED", ["request_id"])


def test_operations_are_seen_by_every_gateway(gateway_channel: grpc.Channel, second_gateway: grpc.Channel) -> None:
    """What one gateway has acknowledged, another one finds at once, and sees it done."""
    accepted = create(gateway_channel, person(), "")
    wait = operations_pb2.WaitOperationRequest(correlation_id=accepted.body["correlation_id"])
    done = call_grpc(second_gateway, "polystream.v1.OperationService/WaitOperation", wait, operations_pb2.Operation)
    assert done.body["state"] == "SUCCEEDED", done
