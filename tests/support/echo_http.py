"""A gateway's HTTP door that knows no API: it answers every request with what it got.

A client steers it by headers: `x-echo-hang: 1` makes it wait until the connection is closed, `x-echo-drop: 1` close the
connection without an answer.
"""

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

import h11

_READ_BYTES = 65_536
_MAX_CALLS_KEPT = 100


@dataclass(frozen=True, slots=True)
class HttpCall:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class EchoHttp:
    """The server, and a record of the latest requests. `GET /healthz` is not among them."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: deque[HttpCall] = deque(maxlen=_MAX_CALLS_KEPT)
        self.hanging = 0  # requests that wait for their connection's end now
        self.serving = True
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def start(self, port: int) -> None:
        """Listen on the loopback interface."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def stop(self) -> None:
        """Close the port and cut what is under way."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._connections):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=_READ_BYTES)
        self._connections.add(writer)
        try:
            with suppress(ConnectionError, h11.RemoteProtocolError):
                while (call := await _read(connection, reader)) is not None:
                    await self._answer(call, connection, reader, writer)
                    connection.start_next_cycle()
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _answer(
        self, call: HttpCall, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if call.target == "/healthz":
            status, document = 200 if self.serving else 503, {}
        else:
            self.calls.append(call)
            if "x-echo-drop" in call.headers:
                raise ConnectionResetError
            if "x-echo-hang" in call.headers:
                self.hanging += 1
                try:
                    await reader.read()
                finally:
                    self.hanging -= 1
                raise ConnectionResetError
            status, document = 200, {"method": call.method, "target": call.target}
        body = json.dumps(document).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), "x-echo-gateway": self.name}
        for event in (
            h11.Response(status_code=status, headers=list(headers.items())),
            h11.Data(data=b"" if call.method == "HEAD" else body),
            h11.EndOfMessage(),
        ):
            writer.write(connection.send(event) or b"")
        await writer.drain()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader) -> HttpCall | None:
    """Return the next request, or None where the client has left."""
    request, body = None, b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(_READ_BYTES))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and request is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in request.headers}
            return HttpCall(request.method.decode(), request.target.decode("latin-1"), headers, body)
        else:
            return None
