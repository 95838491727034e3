"""Connections that begin with HTTP/2's preface reach the gRPC server by the HTTP port."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from gateway.http.limits import HttpLimits
from gateway.http.relay import PREFACE
from tests.support.http_door import RawClient, TrialDoor, serving

LIMITS: Final = HttpLimits(sweep_s=0.02)
REQUEST: Final = health_pb2.HealthCheckRequest()


@pytest.fixture
async def grpc_port() -> AsyncIterator[int]:
    """Run a gRPC server with health."""
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health_aio.HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield port
    await server.stop(None)


async def test_grpc_and_http_on_one_port(grpc_port: int) -> None:
    """A gRPC client and an HTTP client are served side by side, streams too."""
    async with serving(TrialDoor(), LIMITS, grpc_address=("127.0.0.1", grpc_port)) as server:  # noqa: SIM117
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            for _ in range(20):
                assert (await stub.Check(REQUEST)).status == health_pb2.HealthCheckResponse.SERVING
            watch = stub.Watch(REQUEST)
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            client = await RawClient.connect(server)
            await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await client.answer())[0] == 200
            watch.cancel()


@pytest.mark.parametrize("address", [None, ("127.0.0.1", 1)], ids=["none", "closed"])
async def test_a_grpc_server_that_is_not_there_is_said(address: tuple[str, int] | None) -> None:
    """The client gets UNAVAILABLE, and may try again."""
    async with serving(TrialDoor(), LIMITS, grpc_address=address) as server:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.Check(REQUEST, timeout=5)
        assert error.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_preface_in_parts_and_what_only_begins_like_one(grpc_port: int) -> None:
    """A POST begins like the preface; a preface may come byte by byte."""
    async with serving(TrialDoor(), LIMITS, grpc_address=("127.0.0.1", grpc_port)) as server:
        client = await RawClient.connect(server)
        for byte in PREFACE:
            await client.send(bytes((byte,)))
        await client.send(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        assert (await client.reader.readexactly(9))[3] == 4  # SETTINGS
        other = await RawClient.connect(server)
        await other.send(PREFACE[:20] + b"XX")
        assert (await other.answer())[0] == 505


async def test_relays_are_bounded(grpc_port: int) -> None:
    """One too many is told to come later by GOAWAY (RFC 9113, section 6.8)."""
    limits = replace(LIMITS, relays=1)
    async with serving(TrialDoor(), limits, grpc_address=("127.0.0.1", grpc_port)) as server:
        first = await RawClient.connect(server)
        await first.send(PREFACE)
        await first.reader.readexactly(9)
        second = await RawClient.connect(server)
        await second.send(PREFACE)
        assert b"too many connections" in await second.rest()
