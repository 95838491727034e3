"""The way out of a connection: answers in the order of their requests, and clients that are slow to read them."""

import asyncio
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

from gateway.http.exchange import Exchange

if TYPE_CHECKING:
    from gateway.http.server import HttpServer

NEVER: Final = float("inf")


class AnswerSender(asyncio.Protocol):
    """Sends answers in the order of their requests.

    What is answered while bytes are being taken goes out in one piece. A client that is behind is cut if it does not
    read at its least rate.
    """

    __slots__ = (
        "_burst", "_eof", "_exchanges", "_held", "_limits", "_lingered", "_out", "_server", "_since", "_stopped",
        "_transport", "_unread", "_unsent", "_waiter", "_write_since", "deadline",
    )  # fmt: skip

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._limits = server.limits
        self._transport: asyncio.Transport
        self.deadline = NEVER  # when the sweep calls `check`, in seconds of the monotonic clock
        self._stopped = False  # no more requests are taken
        self._exchanges: deque[Exchange] = deque()
        self._burst = False  # bytes are being taken
        self._out: list[bytes] = []
        self._write_since: float | None = None  # since when the client is behind
        self._unsent = 0  # bytes that waited for it then, and more since
        self._waiter: asyncio.Future[None] | None = None  # of a stream whose client is behind
        self._since = server.now  # when the connection began to wait for what it waits for
        self._held = b""  # bytes that wait until requests before are answered
        self._eof = False  # the client sends no more
        self._unread = False  # it may still send what nobody wants
        self._lingered: int | None = None  # bytes thrown away since the last answer; None before it

    @property
    def date_line(self) -> str:
        """The header line with the time, renewed by the server."""
        return self._server.date_line

    @abstractmethod
    def must_close_after(self, exchange: Exchange) -> bool:
        """Tell whether the connection has to end with an answer."""

    def answer(self, exchange: Exchange, data: bytes) -> None:
        """Send bytes of an answer, or keep them until the answers before are out."""
        if self._exchanges[0] is not exchange:
            if exchange.ready is None:
                exchange.ready = []
            exchange.ready.append(data)
            return
        self._write(data)
        if exchange.complete:
            self._advance()

    async def caught_up(self, exchange: Exchange) -> None:
        """Wait until what an exchange has written is on its way. Raises ConnectionResetError if it never will be."""
        loop = asyncio.get_running_loop()
        while exchange.ready is not None and not self._transport.is_closing():
            exchange.turn = loop.create_future()
            await exchange.turn
        while self._write_since is not None and not self._transport.is_closing():
            self._waiter = loop.create_future()
            await self._waiter
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")

    def cut(self, exchange: Exchange) -> None:
        """End the connection without the rest of an answer."""
        exchange.closes = True
        if self._exchanges[0] is exchange:
            self._advance()
        elif exchange.ready is None:
            exchange.ready = []

    def abort(self) -> None:
        """End the connection at once."""
        self._stopped = True
        self._transport.abort()

    def pause_writing(self) -> None:
        """Note that the client is behind."""
        if self._write_since is None:
            self._watch_writing()

    def resume_writing(self) -> None:
        """Go on: the client has caught up."""
        if self._transport.is_closing():
            return  # it still has to read the rest in time
        self._write_since = None
        self._wake()
        self._resume_later()

    def _advance(self) -> None:
        """Go on behind an answer that is complete, with those that were ready before their turn."""
        exchanges = self._exchanges
        while exchanges and exchanges[0].complete:
            done = exchanges.popleft()
            self._server.requests -= 1
            if done.ready is not None:
                self._send_ready(done)
            done.detach()
            if done.closes:
                self._finish()
                return
        if exchanges:
            self._begin_turn(exchanges[0])
        if not self._burst:
            self._after_answer()

    def _begin_turn(self, exchange: Exchange) -> None:
        """Send what a request's answer has so far."""
        if exchange.ready is not None:
            self._send_ready(exchange)
        turn, exchange.turn = exchange.turn, None
        if turn is not None and not turn.done():
            turn.set_result(None)

    def _send_ready(self, exchange: Exchange) -> None:
        ready, exchange.ready = exchange.ready, None
        if ready:
            self._write(ready[0] if len(ready) == 1 else b"".join(ready))

    @abstractmethod
    def _after_answer(self) -> None:
        """Go on with what waits for an answer to be out."""

    @abstractmethod
    def _resume_later(self) -> None:
        """Take what is held, once there is room."""

    def _write(self, data: bytes) -> None:
        if self._burst:
            self._out.append(data)
        elif data:
            if self._write_since is not None:
                self._unsent += len(data)
            self._transport.write(data)

    def _flush(self) -> None:
        out = self._out
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            self._out = []
            if self._write_since is not None:
                self._unsent += len(data)
            self._transport.write(data)

    def _finish(self) -> None:
        """End the connection after its last answer."""
        self._stopped = True
        self._flush()
        self._held = b""
        if not self._unread or self._eof:
            self._close()
        elif not self._transport.is_closing():
            # The client may still be sending: closing now would reset the connection, and the answer could be lost.
            self._lingered = 0
            self._since = self._server.now
            self.deadline = min(self.deadline, self._since + self._limits.linger_s)
            self._transport.write_eof()
            self._transport.resume_reading()

    def _throw_away(self, data: bytes) -> None:
        self._unread = True
        if self._lingered is not None:
            self._lingered += len(data)
            if self._lingered > self._limits.linger_bytes:
                self.abort()

    def _close(self) -> None:
        self._stopped = True
        self._watch_writing()
        self._transport.close()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _watch_writing(self) -> None:
        self._write_since = self._server.now
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = min(self.deadline, self._write_since + self._limits.write_s)

    def _check_writing(self, now: float) -> float:
        """Cut a client that does not read. Return when to look again."""
        since, limits = self._write_since, self._limits
        if since is None:
            return NEVER
        if now < since + limits.write_s:
            return since + limits.write_s
        left = self._transport.get_write_buffer_size()
        if self._unsent - left < limits.write_bytes_per_s * (now - since):
            self.abort()
            return NEVER
        self._write_since, self._unsent = now, left
        return now + limits.write_s
