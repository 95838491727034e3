"""The command path while an engine is away, over its limits, and at its end: no command is lost in silence."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from polystream.v1 import operations_pb2_grpc, users_pb2_grpc
from polystream.v1.operations_pb2 import Operation, WatchOperationRequest
from polystream.v1.users_pb2 import CreateUserRequest

from mesh import topics
from mesh.health.report import HealthState, read_file
from mesh.settings import KafkaSettings
from mesh.topics import create_topics
from tests.support.freezing import frozen
from tests.support.gateways import CommandLog, Refusal, Served, refused, serving
from tests.support.platform import EngineSet
from tests.support.ports import free_ports
from tests.support.waiting import eventually_async

VALID = CreateUserRequest(name="Maria da Silva", email="maria@example.com", cpf="529.982.247-25")
JSON_VALID = {"name": VALID.name, "email": VALID.email, "cpf": VALID.cpf}
LONG_TIMEOUT_S = 20.0  # more than any test needs, however slow the machine
SENT = 20  # commands under way when the process is to stop


@pytest.fixture
def running(command_path: EngineSet, monkeypatch: pytest.MonkeyPatch) -> EngineSet:
    """Lead the settings to the engines, each of which runs, whatever the test before did to it."""
    command_path.start_all()
    for name, value in command_path.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    make_topics()
    return command_path


@pytest.fixture
async def served(server_kind: str, running: EngineSet) -> AsyncIterator[Served]:
    """Serve with limits that a test reaches."""
    del running
    async with serving(server_kind, max_in_flight_commands=4, kafka_ack_timeout_s=LONG_TIMEOUT_S) as started:
        yield started


def make_topics() -> None:
    """Create what topics are missing."""
    create_topics(KafkaSettings().client_config("test"))


def users(served: Served) -> Any:
    """Return the service's client."""
    return users_pb2_grpc.UserServiceStub(served.channel)


async def waiting_in_kafka(served: Served, count: int) -> None:
    """Wait until as many commands wait for their acknowledgement."""

    async def check() -> bool:
        assert served.gateway.producer.in_flight == count, served.gateway.producer.in_flight
        return True

    await eventually_async(check, 30)


async def test_the_gateway_outlives_the_broker(running: EngineSet, server_kind: str) -> None:
    """While it is away commands are refused as UNAVAILABLE, queries are answered; once it is back, all is well."""
    async with serving(server_kind, kafka_ack_timeout_s=3.0) as served:
        await outlive_the_broker(running, served)


async def outlive_the_broker(running: EngineSet, served: Served) -> None:
    """Kill the broker and start it again."""
    assert (await users(served).CreateUser(VALID)).state == Operation.ACCEPTED
    running.kill("kafka")
    refusal = await refused(users(served).CreateUser(VALID))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "KAFKA_UNAVAILABLE")
    assert refusal.retry_delay_s > 0
    assert "request_id" in refusal.message
    assert refusal.info.metadata[topics.CORRELATION_ID] == refusal.trailing["x-correlation-id"]
    await assert_serving(served)

    running.start("kafka")
    make_topics()

    async def accepted() -> Operation:
        operation: Operation = await users(served).CreateUser(VALID)
        return operation

    operation = await eventually_async(accepted, 30)
    assert in_kafka(operation.correlation_id)


async def test_a_command_waits_for_a_broker_that_comes_back(running: EngineSet, served: Served) -> None:
    """A short absence is a delay, not an error."""
    await users(served).CreateUser(VALID)
    with frozen(running.pid("kafka")):
        sent = asyncio.ensure_future(users(served).CreateUser(VALID))
        await waiting_in_kafka(served, 1)
    operation = await sent
    assert in_kafka(operation.correlation_id)


async def test_commands_outlast_a_broker_that_lost_its_data(running: EngineSet, served: Served) -> None:
    """A broker that comes back as a new one gets what waited for it: what is acknowledged then is really there."""
    await users(served).CreateUser(VALID)
    with frozen(running.pid("kafka")):
        sent = [asyncio.ensure_future(users(served).CreateUser(VALID)) for _ in range(3)]
        await waiting_in_kafka(served, 3)
        running.kill("kafka")
    running.forget("kafka")
    running.start("kafka")
    make_topics()
    operations = await asyncio.gather(*sent)
    assert in_kafka(*(operation.correlation_id for operation in operations))


async def test_too_many_commands_are_refused_at_once(running: EngineSet, served: Served) -> None:
    """Over the limit nothing waits; the ones within it are taken as soon as Kafka answers."""
    await users(served).CreateUser(VALID)
    with frozen(running.pid("kafka")):
        sent = [asyncio.ensure_future(users(served).CreateUser(VALID)) for _ in range(4)]
        await waiting_in_kafka(served, 4)
        began_s = time.monotonic()
        refusal = await refused(users(served).CreateUser(VALID))
        assert time.monotonic() - began_s < LONG_TIMEOUT_S / 4
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_COMMANDS")
    assert refusal.retry_delay_s > 0
    operations = await asyncio.gather(*sent)
    assert in_kafka(*(operation.correlation_id for operation in operations))


@pytest.mark.every_server
async def test_a_deadline_is_answered_before_it_passes(running: EngineSet, served: Served) -> None:
    """The caller learns the correlation ID, and the command that Kafka takes later is known by it."""
    await users(served).CreateUser(VALID)
    with frozen(running.pid("kafka")):
        refusal = await refused(users(served).CreateUser(VALID, timeout=2))
    assert (refusal.code, refusal.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
    correlation_id = refusal.info.metadata[topics.CORRELATION_ID]
    assert in_kafka(correlation_id)

    async def known() -> Operation | None:
        return await served.gateway.tracker.find(correlation_id)

    assert (await eventually_async(known, 30)) is not None


@pytest.mark.every_server
async def test_a_caller_who_leaves_takes_nothing_along(running: EngineSet, served: Served) -> None:
    """The command that was sent is Kafka's, and the place of the caller is free again."""
    await users(served).CreateUser(VALID)
    with frozen(running.pid("kafka")):
        call = users(served).CreateUser(VALID)
        await waiting_in_kafka(served, 1)
        call.cancel()
    await waiting_in_kafka(served, 0)
    assert (await users(served).CreateUser(VALID)).state == Operation.ACCEPTED


async def test_a_request_id_works_without_redis(running: EngineSet, served: Served) -> None:
    """The command is taken, and a retry has the same correlation ID: the lanes apply it once."""
    running.kill("redis")
    request = CreateUserRequest(request_id="again")
    request.MergeFrom(VALID)
    first, second = await users(served).CreateUser(request), await users(served).CreateUser(request)
    assert first.correlation_id == second.correlation_id
    assert first.user_id == second.user_id


async def test_the_gateway_waits_for_the_registry(running: EngineSet, server_kind: str) -> None:
    """Until the registry answers, health says so and commands are refused; then they are taken."""
    running.stop("schema_registry")
    async with serving(server_kind, start=False) as served:
        starting = asyncio.create_task(served.gateway.start())
        health: Any = health_pb2_grpc.HealthStub(served.channel)  # typed without its methods
        watching = health.Watch(health_pb2.HealthCheckRequest())
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        refusal = await refused(users(served).CreateUser(VALID))
        assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "REGISTRY_UNAVAILABLE")
        running.start("schema_registry")
        assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
        await starting
        assert (await users(served).CreateUser(VALID)).state == Operation.ACCEPTED
        watching.cancel()


@pytest.mark.every_server
async def test_a_stopping_gateway_finishes_what_it_took(running: EngineSet, server_kind: str) -> None:
    """Commands that wait for Kafka are answered, new ones and streams are told that the gateway stops."""
    async with serving(server_kind, kafka_ack_timeout_s=LONG_TIMEOUT_S, drain_timeout_s=LONG_TIMEOUT_S) as served:
        first = await users(served).CreateUser(VALID)
        stub = operations_pb2_grpc.OperationServiceStub(served.channel)
        watching: Any = stub.WatchOperation(WatchOperationRequest(correlation_id=first.correlation_id))
        assert (await watching.read()).state == Operation.ACCEPTED
        with frozen(running.pid("kafka")):
            sent = [asyncio.ensure_future(users(served).CreateUser(VALID)) for _ in range(20)]
            await waiting_in_kafka(served, 20)
            stopping = asyncio.create_task(served.gateway.stop())
            refusal = await eventually_async(lambda: draining(served), 30)
            assert refusal.retry_delay_s > 0
            assert not any(call.done() for call in sent)
        # All are answered at once, in the moment in which the port closes.
        operations = await asyncio.gather(*sent)
        assert in_kafka(*(operation.correlation_id for operation in operations))
        assert (await refused(watching.read())).reason == "GATEWAY_DRAINING"
        await stopping


@pytest.mark.every_server
async def test_the_process_drains_on_sigterm(running: EngineSet, server_kind: str, tmp_path: Path) -> None:
    """`python -m gateway` answers by every door what it took, says that it stops, and ends with 0."""
    ports, ready = free_ports(), tmp_path / "ready.json"
    environment = running.environment | {
        "GATEWAY_PORT": str(ports.gateway),
        "GATEWAY_HTTP_PORT": str(ports.edge),
        "GATEWAY_SERVER": server_kind,
        "GATEWAY_READY_FILE": str(ready),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", env=environment, stdout=subprocess.PIPE
    )
    try:
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{ports.gateway}") as channel,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{ports.edge}", timeout=60) as http,
        ):
            stub = users_pb2_grpc.UserServiceStub(channel)

            async def is_ready() -> bool:
                report = read_file(ready).report
                return report.pid == process.pid and report.state is HealthState.HEALTHY

            await eventually_async(is_ready, 60)
            await stub.CreateUser(VALID)
            with frozen(running.pid("kafka")):
                sent = [asyncio.ensure_future(stub.CreateUser(VALID)) for _ in range(SENT)]
                posted = [asyncio.ensure_future(http.post("/v1/users", json=JSON_VALID)) for _ in range(SENT)]
                await eventually_async(lambda: _answers(stub, http), 30)
                process.send_signal(signal.SIGTERM)
                await eventually_async(lambda: _refuses(stub), 30)
            answers = await asyncio.gather(*sent, return_exceptions=True)
            responses = await asyncio.gather(*posted)
        # Calls may overtake one another on their way in: one that came after the signal was told so.
        taken = [answer.correlation_id for answer in answers if isinstance(answer, Operation)]
        refusals = [answer for answer in answers if not isinstance(answer, Operation)]
        taken_over_http = [response.json()["correlation_id"] for response in responses if response.is_success]
        assert taken
        assert taken_over_http
        assert in_kafka(*taken, *taken_over_http)
        assert all("the gateway is stopping" in str(refusal) for refusal in refusals)
        assert {response.status_code for response in responses} <= {200, 503}
        async with asyncio.timeout(20):
            output = (await process.communicate())[0].decode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0
    assert not ready.exists()
    assert '"event": "draining"' in output
    assert '"event": "stopped"' in output
    assert "@example.com" not in output


async def _refuses(stub: Any) -> bool:
    """Whether the gateway takes no more commands."""
    return (await refused(stub.CreateUser(VALID, timeout=1))).reason == "GATEWAY_DRAINING"


async def _answers(stub: Any, http: httpx.AsyncClient) -> bool:
    """Whether the gateway has come to a call that is sent now by each door, and so to most of those before it."""
    over_http = await http.post("/v1/users", json={"name": "x"})
    over_grpc = await refused(stub.CreateUser(CreateUserRequest(name="x")))
    return (over_http.status_code, over_grpc.reason) == (400, "INVALID_FIELD")


async def draining(served: Served) -> Refusal | None:
    """Return a command's refusal by a gateway that stops."""
    refusal = await refused(users(served).CreateUser(VALID, timeout=1))
    return refusal if refusal.reason == "GATEWAY_DRAINING" else None


async def assert_serving(served: Served) -> None:
    """Assert that the gateway is well, whatever Kafka is."""
    health: Any = health_pb2_grpc.HealthStub(served.channel)  # typed without its methods
    answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def in_kafka(*correlation_ids: str) -> bool:
    """Whether each command is in the topic."""
    log = CommandLog()
    try:
        return log.has(correlation_ids)
    finally:
        log.close()
