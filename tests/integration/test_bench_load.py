"""The benchmark's load: what it sends, what it counts, and what it says when it cannot measure."""

import asyncio
import json
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from cli.bench.load import GENERATOR, LoadError, Target, apply_load
from tests.support.load_generator import provide_load_generator

_BODIES = [b"first", b"second"]


@pytest.fixture(autouse=True)
def _generator() -> None:
    provide_load_generator()


class Server:
    """An HTTP/1.1 server that gives every request the next of its answers, and keeps what it was sent."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = answers
        self.bodies: Counter[bytes] = Counter()
        self.heads: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer all requests of one connection."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies[await reader.readexactly(length)] += 1
                answer = self.answers[len(self.heads) % len(self.answers)]
                self.heads.append(head)
                writer.write(answer)
                if b"close" in answer:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Target]:
    """Serve while the block runs, and give what leads there."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        yield Target(listening.sockets[0].getsockname()[1], "/path", _BODIES, [("content-type", "a/b")], http2=False)


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


async def test_http_1_has_one_connection_a_stream_and_every_sender_its_part() -> None:
    """REST is measured as its clients speak it; each sender has its body and its part of the load."""
    server = Server(OK, CHUNKED)
    async with serving(server) as target:
        result = await asyncio.to_thread(apply_load, target, 100, 8)
    assert (result.requests, result.accepted) == (100, 100)
    assert result.elapsed_s > 0
    assert result.p99_ms >= result.p50_ms > 0
    assert server.connections == 8
    assert server.bodies.total() == 100
    assert set(server.bodies) == set(_BODIES)
    assert all(head.startswith(b"POST /path HTTP/1.1\r\n") and b"content-type: a/b" in head for head in server.heads)


async def test_a_connection_that_the_server_closes_is_opened_again() -> None:
    """A server may close after an answer: the next request has a connection of its own."""
    server = Server(CLOSING)
    async with serving(server) as target:
        result = await asyncio.to_thread(apply_load, target, 10, 2)
    assert result.accepted == server.connections == 10


async def test_only_answers_with_a_2xx_status_count() -> None:
    """An error is no acknowledgement."""
    async with serving(Server(OK, REFUSED)) as target:
        result = await asyncio.to_thread(apply_load, target, 100, 2)
    assert (result.requests, result.accepted) == (100, 50)


async def _accept(request: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    return request


async def _refuse_second(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    if request == b"second":
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no")
    return request


@pytest.mark.parametrize(("answer", "share"), [(_accept, 1.0), (_refuse_second, 0.5)])
async def test_grpc_counts_what_has_the_status_0(answer: Callable[..., Awaitable[bytes]], share: float) -> None:
    """Over gRPC every answer is a 200: only grpc-status tells."""
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.B", {"C": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    bodies = [b"\0" + len(body).to_bytes(4, "big") + body for body in _BODIES]
    target = Target(port, "/a.B/C", bodies, [("content-type", "application/grpc"), ("te", "trailers")], http2=True)
    result = await asyncio.to_thread(apply_load, target, 3000, 32)
    await server.stop(None)
    assert result.requests == 3000
    # The two connections take from one supply: which has how many depends on the machine.
    assert (result.accepted == 3000) if share == 1.0 else (0 < result.accepted < 3000)


async def test_a_load_without_answers_is_no_measurement() -> None:
    """No figures are made up from nothing: nobody listens, or what answers is no HTTP."""
    async with serving(Server(b"220 mail.example.com\r\n\r\n")) as target:
        with pytest.raises(LoadError, match=r"no answer in HTTP/1\.1"):
            await asyncio.to_thread(apply_load, target, 4, 2)
    with pytest.raises(LoadError, match="connection refused"):
        apply_load(target, 4, 2)


def test_streams_that_cannot_be_divided_are_refused() -> None:
    """Each sender must have as many streams as the others."""
    with pytest.raises(ValueError, match="divided"):
        apply_load(Target(1, "/", _BODIES, [], http2=True), requests=4, streams=3)


def test_the_load_ends_by_itself() -> None:
    """A server that never answers ends nothing but the measurement."""
    order = {"address": "127.0.0.1:9", "path": "/", "bodies": [""], "requests": 1, "streams": 1, "timeout_s": 0.1}
    run = subprocess.run([GENERATOR.program], input=json.dumps(order), capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert run.stderr
