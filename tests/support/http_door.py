"""A small door for tests of the HTTP server: it answers by the path, and remembers what it was asked."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar, Final

from gateway.http.exchange import Exchange
from gateway.http.limits import HttpLimits
from gateway.http.request import HttpRequest
from gateway.http.server import HttpServer
from mesh.errors import PolystreamError

TEXT: Final = (("content-type", "text/plain"),)
BODY_MAX: Final = 100_000


class TrialDoor:
    """`/held` is answered by the test, `/stream` in parts, `/refused` before its body; others with what came."""

    def __init__(self, largest: int = BODY_MAX) -> None:
        self.largest = largest
        self.heads = 0
        self.requests: list[HttpRequest] = []
        self.held: list[Exchange] = []
        self.left: list[str] = []  # paths whose clients have left
        self.part = b"part"  # what a stream sends
        self.parts = 3
        self.errors: list[str] = []  # of streams that could not go on
        self._tasks: set[asyncio.Task[None]] = set()

    def head(self, exchange: Exchange) -> int | None:
        """Take a head."""
        self.heads += 1
        path = exchange.request.path
        if path == "/refused":
            exchange.respond(403, TEXT, b"refused")
            return None
        if path == "/fails":
            raise ZeroDivisionError
        return self.largest

    def request(self, exchange: Exchange) -> None:
        """Take a request."""
        request = exchange.request
        self.requests.append(request)
        if request.path.startswith("/held"):
            exchange.on_leave(lambda: self.left.append(request.path))
            self.held.append(exchange)
        elif request.path.startswith("/stream"):
            exchange.on_leave(lambda: self.left.append(request.path))
            task = asyncio.get_running_loop().create_task(self._stream(exchange))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            said = f"{request.method} {request.path}?{request.query} ".encode()
            exchange.respond(200, TEXT, said + request.body)

    def refusal(
        self, status: int, error: PolystreamError, request: HttpRequest | None = None
    ) -> tuple[list[tuple[str, str]], bytes]:
        """Return an error in a shape like the gateway's."""
        del request
        status_ = error.to_status()
        body = {"code": status_.code, "reason": error.reason.name, "message": error.message, "http": status}
        return [("content-type", "application/json")], json.dumps(body).encode()

    async def _stream(self, exchange: Exchange) -> None:
        exchange.start(200, TEXT)
        try:
            for _ in range(self.parts):
                await exchange.write(self.part)
        except ConnectionResetError as error:
            self.errors.append(str(error))
            return
        exchange.end(broken=exchange.request.path == "/stream/broken")


@asynccontextmanager
async def serving(
    door: TrialDoor, limits: HttpLimits | None = None, *, grpc_address: tuple[str, int] | None = None
) -> AsyncIterator[HttpServer]:
    """Run a server on a free port of the loopback."""
    server = HttpServer(
        door, limits or HttpLimits(), host="127.0.0.1", port=0, reuse_port=False, grpc_address=grpc_address
    )
    await server.start()
    try:
        yield server
    finally:
        await RawClient.close_all()
        await server.stop(0)
        await asyncio.sleep(0)  # likewise


class RawClient:
    """A connection on which tests send bytes, and read answers as they are. `serving` closes those left open."""

    opened: ClassVar[list["RawClient"]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: HttpServer) -> "RawClient":
        """Connect."""
        client = cls(*await asyncio.open_connection("127.0.0.1", server.port))
        cls.opened.append(client)
        return client

    @classmethod
    async def close_all(cls) -> None:
        """Leave them all."""
        for client in cls.opened:
            client.writer.transport.abort()
        cls.opened.clear()
        await asyncio.sleep(0)  # the transports close themselves in the loop's next turn

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head_only: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Read one answer: status, headers by lower-case names, and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")[:-2]
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
        status = int(line.split(" ")[1])
        if head_only or status < 200 or status in (204, 304):
            return status, headers, b""
        if "content-length" in headers:
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunks()
        return status, headers, await self.reader.read()

    async def rest(self) -> bytes:
        """Read until the server closes."""
        return await self.reader.read()

    def reset(self) -> None:
        """Leave so that the server sees it at once: an ordinary end may mean that only no more is sent."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        """Leave."""
        self.writer.close()

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await self.reader.readuntil(b"\r\n"), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body
