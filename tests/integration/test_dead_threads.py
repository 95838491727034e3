"""A gateway or a monitor one of whose threads has died ends with exit code 1, and its health says so before."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import httpx
import pytest
from confluent_kafka import Producer
from grpc_health.v1 import health_pb2, health_pb2_grpc
from polystream.v1.events_pb2 import CommandReceipt

from gateway.operations import follower
from gateway.operations.receipt_log import ReceiptLog
from gateway.producer import CommandProducer
from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Decoder
from mesh.health.part import PartHealth
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import GatewaySettings, KafkaSettings, MonitorSettings, RegistrySettings, TelemetrySettings
from mesh.threads import CriticalThreads
from monitor.ingest import Ingest
from monitor.records import EventReader
from monitor.store.local import LocalEventStore
from tests.support.lanes import RECEIPT_RECORD
from tests.support.operations import provision
from tests.support.platform import EngineSet
from tests.support.ports import free_ports
from tests.support.waiting import eventually, eventually_async

_TIMEOUT_S = 30.0
_SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(autouse=True)
def provisioned(command_path: EngineSet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lead the settings to the engines, and see that topics and schemas are there."""
    ports = free_ports()
    settings = {
        "MONITOR_ADDRESS": "127.0.0.1:1",
        "MONITOR_HTTP_PORT": str(ports.dashboard),
        "MONITOR_OTLP_PORT": str(ports.otlp),
        "MONITOR_DATA_DIR": str(tmp_path),
        "ELASTICSEARCH_HOST": "",
        "OTEL_SDK_DISABLED": "true",
    }
    for name, value in (command_path.settings | settings).items():
        monkeypatch.setenv(name, value)
    provision()


def fail_when(told: Event, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method that raises once it is told to."""

    def failing(*arguments: Any) -> Any:
        if told.is_set():
            raise RuntimeError("told to")
        return method(*arguments)

    return failing


@pytest.mark.parametrize(("owner", "method"), [(ReceiptLog, "read"), (CommandProducer, "_announce")])
async def test_a_gateway_whose_thread_dies_says_so_and_ends(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    """It is the follower's thread or the producer's; whoever watches the health hears of it before the end."""
    from gateway.__main__ import serve  # noqa: PLC0415 - importing it puts off garbage collection until it serves

    told = Event()
    monkeypatch.setattr(owner, method, fail_when(told, getattr(owner, method)))
    monkeypatch.setattr(follower, "_FAILURES_MAX", 1)
    port = free_ports().gateway
    serving = asyncio.create_task(serve(GatewaySettings(port=port), TelemetrySettings()))
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        health: Any = health_pb2_grpc.HealthStub(channel)  # typed without its methods

        async def serves() -> bool:
            return bool((await health.Check(health_pb2.HealthCheckRequest())).status == _SERVING)

        await eventually_async(serves, _TIMEOUT_S)
        seen = []
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for answer in health.Watch(health_pb2.HealthCheckRequest()):
                seen.append(answer.status)
                told.set()
        assert seen == [_SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
    assert await asyncio.wait_for(serving, _TIMEOUT_S) == 1


async def test_a_monitor_whose_thread_dies_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its ingest thread met was no record's fault: another process may do better."""
    from monitor.__main__ import run  # noqa: PLC0415 - as above

    told = Event()
    monkeypatch.setattr(Ingest, "_keep", fail_when(told, Ingest._keep))
    running = asyncio.create_task(run())
    async with httpx.AsyncClient() as client:

        async def is_healthy() -> bool:
            return (await client.get(f"http://127.0.0.1:{MonitorSettings().http_port}/healthz")).status_code == 200

        await eventually_async(is_healthy, _TIMEOUT_S)
    told.set()
    await asyncio.to_thread(produce)
    assert await asyncio.wait_for(running, _TIMEOUT_S) == 1


def test_a_monitor_whose_thread_has_died_follows_no_topics(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """That is what its health is told by."""
    told, threads, catalog = Event(), CriticalThreads(), load_catalog()
    monkeypatch.setattr(Ingest, "_keep", fail_when(told, Ingest._keep))
    receipts = Decoder(CommandReceipt, load_schema(RECEIPT_RECORD), RegistryClient(RegistrySettings()))
    store = LocalEventStore(tmp_path, catalog)
    ingest = Ingest(KafkaSettings(), EventReader(catalog, receipts), store, threads, PartHealth("monitor", "monitor"))
    ingest.start()
    try:
        eventually(ingest.is_following, _TIMEOUT_S)
        told.set()
        produce()
        eventually(lambda: not threads.all_alive, _TIMEOUT_S)
        assert not ingest.is_following()
    finally:
        ingest.stop()
        store.close()


def produce() -> None:
    """Send a record of no meaning."""
    producer = Producer(KafkaSettings().client_config("test"))
    producer.produce(topics.COMMANDS, b"x")
    assert producer.flush(_TIMEOUT_S) == 0
