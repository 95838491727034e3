"""How relayed connections end, wait, and make room, byte for byte: the server behind is one of the test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import pytest

from gateway.http.limits import HttpLimits
from gateway.http.relay import PREFACE
from tests.support.http_door import RawClient, TrialDoor, serving
from tests.support.waiting import eventually_async

LIMITS: Final = HttpLimits(sweep_s=0.02)
WAIT_S: Final = 10.0
PIECE: Final = bytes(65_536)


class Behind:
    """A server that keeps what connects to it, and reads nothing by itself."""

    def __init__(self) -> None:
        self.connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.port = 0

    async def connection(self, number: int = 0) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection once it is there."""

        async def check() -> bool:
            return len(self.connections) > number

        await eventually_async(check, WAIT_S, 0.005)
        return self.connections[number]


@asynccontextmanager
async def behind() -> AsyncIterator[Behind]:
    """Run it."""
    held = Behind()

    def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.connections.append((reader, writer))

    server = await asyncio.start_server(take, "127.0.0.1", 0, limit=len(PIECE))
    held.port = server.sockets[0].getsockname()[1]
    try:
        yield held
    finally:
        server.close()
        for _, writer in held.connections:
            writer.transport.abort()
        await asyncio.sleep(0)


async def fill(writer: asyncio.StreamWriter) -> int:
    """Write until nobody takes more for half a second. Return how many bytes that were."""
    sent = 0
    while True:
        writer.write(PIECE)
        sent += len(PIECE)
        try:
            async with asyncio.timeout(0.5):
                await writer.drain()
        except TimeoutError:
            return sent


async def test_an_idle_relay_ends() -> None:
    """On both ends, once no byte has come for so long."""
    limits = replace(LIMITS, relay_idle_s=0.3)
    async with behind() as held, serving(TrialDoor(), limits, grpc_address=("127.0.0.1", held.port)) as server:
        client = await RawClient.connect(server)
        await client.send(PREFACE)
        reader, _ = await held.connection()
        assert await reader.readexactly(len(PREFACE)) == PREFACE
        for ended in (client.reader, reader):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await ended.readexactly(1)
        assert not server.relays


@pytest.mark.parametrize("first", ["client", "server"])
async def test_half_of_a_relay_may_close(first: str) -> None:
    """The other direction goes on, and both are closed once both have said so."""
    async with behind() as held, serving(TrialDoor(), LIMITS, grpc_address=("127.0.0.1", held.port)) as server:
        client = await RawClient.connect(server)
        await client.send(PREFACE)
        reader, writer = await held.connection()
        await reader.readexactly(len(PREFACE))
        ends = [(client.reader, client.writer), (reader, writer)]
        (own_reader, own_writer), (other_reader, other_writer) = ends if first == "client" else reversed(ends)
        own_writer.write(b"last words")
        own_writer.write_eof()
        assert await other_reader.read() == b"last words"
        other_writer.write(b"answer")
        await other_writer.drain()
        assert await own_reader.readexactly(6) == b"answer"
        assert server.relays
        other_writer.write_eof()
        assert await own_reader.read() == b""

        async def gone() -> bool:
            return not server.relays

        await eventually_async(gone, WAIT_S, 0.005)


@pytest.mark.parametrize("slow", ["client", "server"])
async def test_who_does_not_read_holds_up_who_writes(slow: str) -> None:
    """No more than a bounded number of bytes waits in the relay; all of them arrive once they are read."""
    limits = replace(LIMITS, relay_buffer_bytes=131_072)
    async with behind() as held, serving(TrialDoor(), limits, grpc_address=("127.0.0.1", held.port)) as server:
        client = await RawClient.connect(server)
        await client.send(PREFACE)
        reader, writer = await held.connection()
        await reader.readexactly(len(PREFACE))
        relay = next(iter(server.relays))
        into, out = (writer, client.reader) if slow == "client" else (client.writer, reader)
        end = relay.client if slow == "client" else relay.upstream
        sent = await fill(into)
        assert end.transport is not None
        assert 0 < end.transport.get_write_buffer_size() <= 131_072 + 262_144  # and what one read brings
        into.write_eof()
        got = 0
        async with asyncio.timeout(WAIT_S):
            while data := await out.read(1 << 20):
                got += len(data)
        assert got == sent


async def test_a_stale_relay_makes_room_and_a_lively_one_does_not() -> None:
    """The one over which nothing has gone longest ends."""
    limits = replace(LIMITS, relays=2, relay_evict_s=0.3)
    async with behind() as held, serving(TrialDoor(), limits, grpc_address=("127.0.0.1", held.port)) as server:
        stale, lively = await RawClient.connect(server), await RawClient.connect(server)
        for number, client in enumerate((stale, lively)):
            await client.send(PREFACE)
            await held.connection(number)
        oldest = next(iter(server.relays))

        async def is_stale() -> bool:
            await lively.send(b"x")
            return server.now - oldest.active_s >= limits.relay_evict_s

        await eventually_async(is_stale, WAIT_S, 0.01)
        third = await RawClient.connect(server)
        await third.send(PREFACE)
        await held.connection(2)
        assert await stale.rest() == b""
        assert len(server.relays) == 2
        fourth = await RawClient.connect(server)
        await fourth.send(PREFACE)
        assert b"too many connections" in await fourth.rest()
        await lively.send(b"y")
        assert not lively.reader.at_eof()


async def test_a_relay_may_end_as_the_server_stops() -> None:
    """What goes over it has the time that the server has; then both ends are cut."""
    async with behind() as held, serving(TrialDoor(), LIMITS, grpc_address=("127.0.0.1", held.port)) as server:
        ending, staying = await RawClient.connect(server), await RawClient.connect(server)
        for number, client in enumerate((ending, staying)):
            await client.send(PREFACE)
            reader, _ = await held.connection(number)
            await reader.readexactly(len(PREFACE))
        stopping = asyncio.create_task(server.stop(1.0))
        _, writer = await held.connection(0)
        writer.write(b"the last answer")
        writer.close()
        assert await ending.rest() == b"the last answer"
        await stopping
        assert not server.relays
        reader, _ = await held.connection(1)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await reader.readexactly(1)


@pytest.mark.parametrize("size", [1, 3, 23])
async def test_a_preface_that_stops_ends_in_time(size: int) -> None:
    """Part of it is a head that never comes."""
    limits = replace(LIMITS, head_s=0.2)
    async with behind() as held, serving(TrialDoor(), limits, grpc_address=("127.0.0.1", held.port)) as server:
        client = await RawClient.connect(server)
        await client.send(PREFACE[:size])
        assert b" 408 " in await client.rest()
        assert not held.connections
