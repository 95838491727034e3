"""An HTTP connection without a network: tests hand it bytes as they like, and read what it sends."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

from gateway.http.connection import HttpConnection
from gateway.http.server import HttpServer

_TURNS_MAX: Final = 10_000


class WireTransport(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.reads = True
        self.ended = False  # half of it is closed: nothing more is sent
        self.closed = False
        self.protocol: asyncio.BaseProtocol | None = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Say where the client is."""
        return ("192.0.2.1", 1234) if name == "peername" else default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Change whom the bytes are for."""
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes."""
        assert not self.ended, "bytes were sent after the end"
        if not self.closed:
            self.sent += data

    def write_eof(self) -> None:
        """Send no more."""
        self.ended = True

    def close(self) -> None:
        """Close."""
        self.closed = True

    def abort(self) -> None:
        """Close at once."""
        self.closed = True

    def is_closing(self) -> bool:
        """Tell whether it is closed."""
        return self.closed

    def pause_reading(self) -> None:
        """Take no more bytes."""
        self.reads = False

    def resume_reading(self) -> None:
        """Take bytes again."""
        self.reads = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: nothing is kept back."""

    def get_write_buffer_size(self) -> int:
        """Return how much has not been sent."""
        return 0


async def deliver(server: HttpServer, pieces: Iterable[bytes]) -> WireTransport:
    """Give a new connection bytes piece by piece, then the end, and return what it sent."""
    transport = WireTransport()
    connection = HttpConnection(server)
    transport.set_protocol(connection)
    connection.connection_made(transport)
    for piece in pieces:
        await _taken(transport)
        if transport.closed:
            break
        connection.data_received(piece)
    await _taken(transport)
    if not transport.closed:
        connection.eof_received()
    connection.connection_lost(None)
    return transport


async def _taken(transport: WireTransport) -> None:
    """Wait until the connection takes bytes again: it does so in a turn of the loop that it has asked for."""
    for _ in range(_TURNS_MAX):
        if transport.reads or transport.closed:
            return
        await asyncio.sleep(0)
    raise AssertionError("the connection takes no more bytes")


def statuses_of(sent: bytes | bytearray, *, heads: Iterable[int] = ()) -> list[int]:
    """Return the statuses of answers that stand one behind the other. `heads`: those of them without a body."""
    bodiless, at = set(heads), 0
    found: list[int] = []
    while at < len(sent):
        end = sent.index(b"\r\n\r\n", at) + 4
        line, *lines = bytes(sent[at:end]).decode("latin-1").split("\r\n")[:-2]
        headers = dict(text.lower().split(": ", 1) for text in lines)
        status = int(line.split(" ")[1])
        at = end
        if status >= 200 and len(found) not in bodiless:
            at += int(headers["content-length"])
        found.append(status)
    assert at == len(sent), "an answer is not whole"
    return found
