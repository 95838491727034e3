"""What clients can hold open, all at once, while an ordinary client goes on.

`python -m tests.support.fuzz.hold HOST:PORT`: idle Health/Watch streams (HTTP/2, on the same port), idle HTTP
connections, heads and bodies that come a byte at a time, uploads that stop halfway. Meanwhile an ordinary client makes
calls, each on a connection of its own and on one that it keeps; each has to succeed within a bound. Ends with 1 where
one did not. This needs about 9,000 open files.
"""

import argparse
import asyncio
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Final

import grpc
import grpc.aio
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2

from tests.support.fuzz.answers import read_answer
from tests.support.fuzz.cases import request

_Watch = grpc.aio.UnaryStreamCall[Message, health_pb2.HealthCheckResponse]
_WATCH: Final = "/grpc.health.v1.Health/Watch"
_STREAMS_A_CHANNEL: Final = 64
_CALLS_UNDER_WAY: Final = 64  # while what is held is being opened
_SLOW_PAUSE_S: Final = 0.5
_OPEN_TIMEOUT_S: Final = 120.0
_CHANNEL: Final = (("grpc.use_local_subchannel_pool", 1),)
_SLOW_HEAD: Final = request("GET", "/health", [("x-slow", "s" * 4000)])
_UPLOAD: Final = request("POST", "/usuarios", [("content-type", "application/json")], b" " * 60_000)


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held, and how long a call may take meanwhile."""

    host: str
    port: int
    streams: int = 4096
    idle: int = 4096
    slow_heads: int = 256
    slow_bodies: int = 256
    unfinished: int = 256
    hold_s: float = 15.0
    p99_ms: float = 500.0
    longest_ms: float = 3000.0
    ended_s: float = 0.0  # after the hold: how long to wait until the server has ended what was slow; 0: not asked


@dataclass
class Held:
    """What happened."""

    holding: Holding
    streams: int = 0  # that were answered at the hold's end
    idle: int = 0  # connections that were open at its end
    ended: int = 0  # slow and unfinished requests that the server had ended at its end
    latencies_ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)  # of the ordinary client

    @property
    def p99_ms(self) -> float:
        """The ordinary client's, over both its connections."""
        return statistics.quantiles(self.latencies_ms, n=100)[98]

    @property
    def longest_ms(self) -> float:
        """The ordinary client's slowest call."""
        return max(self.latencies_ms)

    @property
    def is_good(self) -> bool:
        """Whether nobody was kept out."""
        bounds = self.holding
        everything = (self.streams, self.idle) == (bounds.streams, bounds.idle)
        return (
            everything and not self.failures and self.p99_ms <= bounds.p99_ms and self.longest_ms <= bounds.longest_ms
        )


async def hold(holding: Holding) -> Held:
    """Open everything, call for as long as is asked, and tell what happened. Raises OSError, TimeoutError."""
    held = Held(holding)
    async with _watching(holding) as watches, _idling(holding) as idle:
        slow = [asyncio.create_task(_trickle(holding, _SLOW_HEAD, 20)) for _ in range(holding.slow_heads)]
        slow += [asyncio.create_task(_trickle(holding, _UPLOAD, 300)) for _ in range(holding.slow_bodies)]
        slow += [asyncio.create_task(_abandon(holding, _UPLOAD[:30_000])) for _ in range(holding.unfinished)]
        async with asyncio.TaskGroup() as calls:
            calls.create_task(_call(held, keeps=True))
            calls.create_task(_call(held, keeps=False))
        if holding.ended_s:
            await asyncio.wait(slow, timeout=holding.ended_s)
        held.streams = sum(not watch.done() for watch in watches)
        held.idle = sum(not reader.at_eof() for reader, _ in idle)
        held.ended = sum(task.done() for task in slow)
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
    return held


@asynccontextmanager
async def _watching(holding: Holding) -> AsyncIterator[list[_Watch]]:
    """Hold Health/Watch streams open, each of which has had its first answer."""
    address, gate = f"{holding.host}:{holding.port}", asyncio.Semaphore(_CALLS_UNDER_WAY)
    channels = [
        grpc.aio.insecure_channel(address, options=[*_CHANNEL, ("polystream.number", number)])
        for number in range(-(-holding.streams // _STREAMS_A_CHANNEL))
    ]

    async def open_one(number: int) -> _Watch:
        watch = channels[number // _STREAMS_A_CHANNEL].unary_stream(
            _WATCH,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        async with gate:
            call = watch(health_pb2.HealthCheckRequest())
            if await call.read() is grpc.aio.EOF:
                raise OSError(f"a stream that ended at once: {await call.code()}")
            return call

    try:
        async with asyncio.timeout(_OPEN_TIMEOUT_S):
            watches = await asyncio.gather(*(open_one(number) for number in range(holding.streams)))
        yield watches
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


@asynccontextmanager
async def _idling(holding: Holding) -> AsyncIterator[list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]:
    """Hold HTTP connections open: every other one has had an answer, the others have sent nothing."""
    gate = asyncio.Semaphore(_CALLS_UNDER_WAY)

    async def open_one(number: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with gate:
            reader, writer = await asyncio.open_connection(holding.host, holding.port)
            if number % 2:
                writer.write(request("GET", "/v1/users/1234", []))
                if await read_answer(reader, is_head=False) is None:
                    raise OSError("closed without an answer")
            return reader, writer

    connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        async with asyncio.timeout(_OPEN_TIMEOUT_S):
            connections += await asyncio.gather(*(open_one(number) for number in range(holding.idle)))
        yield connections
    finally:
        for _, writer in connections:
            writer.close()


async def _trickle(holding: Holding, data: bytes, first: int) -> None:
    """Send a request a byte at a time, after its first bytes, until it is sent or the server has had enough."""
    reader, writer = await asyncio.open_connection(holding.host, holding.port)
    try:
        with suppress(OSError):
            writer.write(data[:first])
            for at in range(first, len(data)):
                with suppress(TimeoutError):
                    async with asyncio.timeout(_SLOW_PAUSE_S):
                        while await reader.read(65_536):
                            pass
                        return
                writer.write(data[at : at + 1])
    finally:
        writer.close()


async def _abandon(holding: Holding, data: bytes) -> None:
    """Send part of a request and nothing more, until the server has had enough."""
    reader, writer = await asyncio.open_connection(holding.host, holding.port)
    try:
        with suppress(OSError):
            writer.write(data)
            while await reader.read(65_536):
                pass
    finally:
        writer.close()


async def _call(held: Held, *, keeps: bool) -> None:
    """Send a command, again and again, on one connection or on a new one each time."""
    holding = held.holding
    data = request("POST", "/usuarios", [])
    end = time.monotonic() + holding.hold_s
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            async with asyncio.timeout(holding.longest_ms / 1000):
                connection = connection or await asyncio.open_connection(holding.host, holding.port)
                connection[1].write(data)
                answer = await read_answer(connection[0], is_head=False)
            if answer is None or answer.status != 200:
                held.failures.append(f"{answer.status}: {answer.body[:200]!r}" if answer else "closed")
        except (OSError, TimeoutError) as error:
            held.failures.append(repr(error))
            answer = None
        held.latencies_ms.append((time.monotonic() - began) * 1000)
        if connection is not None and (not keeps or answer is None):
            connection[1].close()
            connection = None
        await asyncio.sleep(0.005)
    if connection is not None:
        connection[1].close()


def main() -> int:
    """Run, and print what happened."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.fuzz.hold", description=__doc__)
    parser.add_argument("address", help="HOST:PORT")
    for name in ("streams", "idle", "slow_heads", "slow_bodies", "unfinished"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int)
    parser.add_argument("--hold-s", type=float, default=15.0)
    parser.add_argument("--ended-s", type=float, default=0.0)
    parser.add_argument("--p99-ms", type=float, help="how long calls may take meanwhile, all but one in a hundred")
    parser.add_argument("--longest-ms", type=float, help="how long each of them may take")
    arguments = vars(parser.parse_args())
    host, _, port = arguments.pop("address").rpartition(":")
    given = {name: value for name, value in arguments.items() if value is not None}
    raise_open_files()
    held = asyncio.run(hold(replace(Holding(host, int(port)), **given)))
    sys.stdout.write("\n".join(report(held)) + "\n")
    return 0 if held.is_good else 1


def raise_open_files() -> None:
    """Let this process open as many files as the system allows it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def report(held: Held) -> list[str]:
    """Return what happened, in lines."""
    bounds = held.holding
    slow = bounds.slow_heads + bounds.slow_bodies + bounds.unfinished
    open_still = f"{held.streams} of {bounds.streams} streams, {held.idle} of {bounds.idle} idle connections"
    p99 = f"p99 {held.p99_ms:.1f} ms (bound {bounds.p99_ms:.0f})"
    longest = f"longest {held.longest_ms:.1f} ms (bound {bounds.longest_ms:.0f})"
    lines = [
        f"held: {open_still}; {held.ended} of {slow} slow or unfinished requests were ended by the server",
        f"{len(held.latencies_ms)} calls: p50 {statistics.median(held.latencies_ms):.1f} ms, {p99}, {longest}",
        f"{len(held.failures)} calls failed",
    ]
    return lines + sorted(set(held.failures))[:10]


if __name__ == "__main__":
    sys.exit(main())
