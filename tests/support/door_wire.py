"""The gateway's HTTP port as its clients see it, without a network and without a core: HTTP's bytes in, and out.

The server, the doors, the routes and the transcoder are the gateway's own; what they call is the test's.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from gateway.calls import Calls
from gateway.doors.http_door import HttpDoor
from gateway.http.connection import HttpConnection
from gateway.http.limits import HttpLimits
from gateway.http.server import HttpServer
from gateway.rest.routes import Routes
from mesh.settings import GatewaySettings
from tests.support.http_wire import WireTransport
from tests.support.scripted_calls import MAX_REQUEST_BYTES, ScriptedCalls

HOST: Final = "localhost:8000"
_ANSWER_MAX_S: Final = 20.0
_PAUSE_S: Final = 0.001


@dataclass(frozen=True, slots=False)
class WireAnswer:
    """One answer."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    body: bytes

    @cached_property
    def json(self) -> Any:
        """The body, as JSON."""
        assert self.headers["content-type"] == "application/json", self.headers
        return json.loads(self.body)

    def detail(self, name: str) -> dict[str, Any]:
        """Return a detail of an error by the short name of its type; empty without one."""
        details = self.json["details"]
        return next((one for one in details if one["@type"] == f"type.googleapis.com/google.rpc.{name}"), {})

    @property
    def reason(self) -> str:
        """ErrorInfo's reason."""
        return str(self.detail("ErrorInfo")["reason"])

    @property
    def faults(self) -> dict[str, str]:
        """What is wrong with each field at fault."""
        violations = self.detail("BadRequest").get("field_violations", ())
        return {violation["field"]: violation["description"] for violation in violations}


class DoorWire:
    """A port, and one connection to it after the other. `close` it."""

    def __init__(
        self, calls: ScriptedCalls | Calls, routes: Routes, *, max_request_bytes: int = MAX_REQUEST_BYTES
    ) -> None:
        self._loop = asyncio.new_event_loop()
        settings = GatewaySettings(max_request_bytes=max_request_bytes)
        door = HttpDoor(calls.as_calls if isinstance(calls, ScriptedCalls) else calls, routes, settings)
        self._server = HttpServer(door, HttpLimits(), host="127.0.0.1", port=0, reuse_port=False, grpc_address=None)
        self._transport: WireTransport | None = None
        self._connection: HttpConnection | None = None

    def ask(self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> WireAnswer:
        """Send a request, with its length and a host where `headers` do not tell them, and return the answer."""
        told = {"host": HOST, **({"content-length": str(len(body))} if body else {}), **(headers or {})}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
        sent = self.send("\r\n".join(lines).encode("latin-1") + body)
        head, _, rest = sent.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        found: dict[str, str] = {}
        for name, value in (field.split(": ", 1) for field in fields):
            assert name.lower() not in found, f"a header twice: {name}"
            found[name.lower()] = value
        if found.get("transfer-encoding") == "chunked":
            rest = _unchunked(rest)
        elif method != "HEAD" and "content-length" in found:
            assert len(rest) == int(found["content-length"])
        return WireAnswer(int(line.split(" ")[1]), found, rest)

    def send(self, data: bytes) -> bytes:
        """Send the bytes of one request, and return those of the answer."""
        return self._loop.run_until_complete(self._send(data))

    def close(self) -> None:
        """Close the port."""
        self._drop()
        self._loop.run_until_complete(self._server.stop(0))
        self._loop.close()

    async def _send(self, data: bytes) -> bytes:
        transport, connection = self._open()
        transport.sent.clear()
        connection.data_received(data)
        give_up_s = self._loop.time() + _ANSWER_MAX_S
        await asyncio.sleep(0)
        while not transport.sent or self._server.requests:
            assert self._loop.time() < give_up_s, "there is no answer"
            await asyncio.sleep(_PAUSE_S)  # some answers are made in a thread
        sent = bytes(transport.sent)
        if transport.closed or transport.ended:
            self._drop()
        return sent

    def _open(self) -> tuple[WireTransport, HttpConnection]:
        if self._transport is None or self._connection is None:
            self._transport, self._connection = WireTransport(), HttpConnection(self._server)
            self._transport.set_protocol(self._connection)
            self._connection.connection_made(self._transport)
        return self._transport, self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.connection_lost(None)
        self._transport = self._connection = None


def _unchunked(data: bytes) -> bytes:
    body = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        body, data = body + data[:count], data[count + 2 :]
        if count == 0:
            return body
