"""Connections that speak HTTP/2 go to the gRPC server, byte for byte."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

import structlog

if TYPE_CHECKING:
    from gateway.http.server import HttpServer

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113, section 3.4

_NO_ERROR: Final = 0x0
_INTERNAL_ERROR: Final = 0x2
_ENHANCE_YOUR_CALM: Final = 0xB

log = structlog.stdlib.get_logger(__name__)


def go_away(code: int, message: str) -> bytes:
    """Return the frame by which a server refuses a connection and all its streams (RFC 9113, section 6.8).

    No SETTINGS stand before it: a gRPC client that has read them takes the connection for a good one, and tries again
    without end, where it would tell its caller UNAVAILABLE.
    """
    text = message.encode("ascii")
    payload = b"\x00\x00\x00\x00" + code.to_bytes(4, "big") + text
    return len(payload).to_bytes(3, "big") + b"\x07\x00\x00\x00\x00\x00" + payload


class RelayEnd(asyncio.Protocol):
    """One end of a relay; `peer` is the other. What one receives, the other sends, as fast as that one takes it."""

    __slots__ = ("_relay", "finished", "peer", "transport")

    def __init__(self, relay: "Relay") -> None:
        self._relay = relay
        self.transport: asyncio.Transport | None = None
        self.peer: RelayEnd
        self.finished = False  # it has sent all that it will

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(high=self._relay.server.limits.relay_buffer_bytes)

    def data_received(self, data: bytes) -> None:
        """Send what came at the other end."""
        relay = self._relay
        if relay.refused:
            return
        relay.active_s = relay.server.now
        other = self.peer.transport
        if other is None:
            relay.waiting += data
        elif not other.is_closing():
            other.write(data)

    def pause_writing(self) -> None:
        """Let the sender wait."""
        if self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        """Let the sender go on."""
        if self.peer.transport is not None and not self.peer.transport.is_closing():
            self.peer.transport.resume_reading()

    def eof_received(self) -> bool:
        """Close half of the relay; the other direction goes on."""
        self.finished = True
        other = self.peer.transport
        if self.peer.finished or self._relay.refused:
            return False
        if other is not None and not other.is_closing():
            other.write_eof()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the other end, too, once it has sent what it has."""
        other = self.peer.transport
        if other is not None:
            if exc is None:
                other.close()
            else:
                other.abort()
        self._relay.ended()


class Relay:
    """A client's connection and the one to the gRPC server. `waiting` is what came before there was one."""

    __slots__ = ("_task", "active_s", "client", "refused", "server", "upstream", "waiting")

    def __init__(self, server: "HttpServer", transport: asyncio.Transport, data: bytes) -> None:
        self.server = server
        self.active_s = server.now  # the last byte either way, in seconds of the monotonic clock
        self.waiting = data
        self.refused = False
        self.client, self.upstream = RelayEnd(self), RelayEnd(self)
        self.client.peer, self.upstream.peer = self.upstream, self.client
        self._task: asyncio.Task[None] | None = None
        transport.set_protocol(self.client)
        self.client.connection_made(transport)

    def connect(self, address: tuple[str, int]) -> None:
        """Connect to the gRPC server; the client waits, and is told if there is none."""
        cast(asyncio.Transport, self.client.transport).pause_reading()
        self._task = asyncio.get_running_loop().create_task(self._connect(address))

    def refuse_absent(self) -> None:
        """Tell the client that no gRPC server belongs to this port."""
        self._refuse(_NO_ERROR, "there is no gRPC server behind this port; send HTTP/1.1")

    def refuse_busy(self) -> None:
        """Tell the client that there are too many."""
        self._refuse(_ENHANCE_YOUR_CALM, "too many connections; try again later")

    def ended(self) -> None:
        """Forget the relay: one of its ends has gone, and the other is going."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.server.relay_ended(self)

    def abort(self) -> None:
        """End both connections at once."""
        for end in (self.client, self.upstream):
            if end.transport is not None:
                end.transport.abort()

    async def _connect(self, address: tuple[str, int]) -> None:
        loop, limits = asyncio.get_running_loop(), self.server.limits
        try:
            async with asyncio.timeout(limits.relay_connect_s):
                transport, _ = await loop.create_connection(lambda: self.upstream, *address)
        except (OSError, TimeoutError) as error:
            log.warning("the grpc server does not answer a relayed connection", error=type(error).__name__)
            self._task = None
            self._refuse(_INTERNAL_ERROR, "the gRPC server of the gateway does not answer; try again")
            return
        self._task = None
        client = cast(asyncio.Transport, self.client.transport)
        if client.is_closing():
            transport.abort()
            return
        transport.write(self.waiting)
        self.waiting = b""
        if self.client.finished:
            transport.write_eof()
        if transport.get_write_buffer_size() <= limits.relay_buffer_bytes:
            client.resume_reading()

    def _refuse(self, code: int, message: str) -> None:
        client = cast(asyncio.Transport, self.client.transport)
        self.refused = True
        self.waiting = b""
        self.active_s = self.server.now
        if client.is_closing() or not self.server.part(self):
            client.abort()
            return
        # As in `HttpConnection`: what the client still sends must not reset the connection before it has read this.
        client.write(go_away(code, message))
        if self.client.finished:
            client.close()
        else:
            client.write_eof()
            client.resume_reading()
