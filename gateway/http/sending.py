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
        "_aborted", "_burst", "_counted_unsent", "_eof", "_exchanges", "_held", "_limits", "_lingered", "_out",
        "_out_bytes", "_ready_bytes", "_server", "_since", "_stopped", "_transport", "_unread", "_unsent", "_waiter",
        "_write_since", "deadline",
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
        self._out_bytes = 0
        self._ready_bytes = 0  # of answers whose turn has not come
        self._counted_unsent = 0  # bytes that wait for the client, as the server counts them
        self._aborted = False
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

    @property
    def unsent_bytes(self) -> int:
        """The bytes that waited for the client when they were last counted."""
        return self._counted_unsent

    def _has_room(self) -> bool:
        """Tell whether one more request may be taken: its answer has to wait for those before."""
        limits = self._limits
        is_read = self._write_since is None and self._out_bytes <= limits.write_buffer_bytes
        return is_read and len(self._exchanges) < limits.pipelined

    @abstractmethod
    def must_close_after(self, exchange: Exchange) -> bool:
        """Tell whether the connection has to end with an answer."""

    def answer(self, exchange: Exchange, data: bytes) -> None:
        """Send bytes of an answer, or keep them until the answers before are out."""
        if exchange.complete:
            self._server.requests -= 1
        if self._exchanges[0] is not exchange:
            if exchange.ready is None:
                exchange.ready = []
            exchange.ready.append(data)
            self._ready_bytes += len(data)
            self.count_unsent()
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
        self._server.requests -= 1
        if self._exchanges[0] is exchange:
            self._advance()
        elif exchange.ready is None:
            exchange.ready = []

    def abort(self) -> None:
        """End the connection at once."""
        self._stopped = self._aborted = True
        self._transport.abort()
        self.count_unsent()

    def count_unsent(self) -> int:
        """Count the bytes that wait for this client among those of all connections. Return how many they are."""
        unsent = 0
        if not self._aborted:
            unsent = self._ready_bytes
            if self._write_since is not None:
                unsent += self._transport.get_write_buffer_size()
        before, self._counted_unsent = self._counted_unsent, unsent
        if unsent != before:
            self._server.count_unsent(self, before, unsent)
        return unsent

    def pause_writing(self) -> None:
        """Note that the client is behind."""
        if self._write_since is None:
            self._watch_writing()

    def resume_writing(self) -> None:
        """Go on: the client has caught up."""
        if self._transport.is_closing():
            return  # it still has to read the rest in time
        self._write_since = None
        self.count_unsent()
        self._wake()
        self._resume_later()

    def _advance(self) -> None:
        """Go on behind an answer that is complete, with those that were ready before their turn."""
        exchanges = self._exchanges
        while exchanges and exchanges[0].complete:
            done = exchanges.popleft()
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
            self._ready_bytes -= sum(map(len, ready))
            self.count_unsent()
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
            self._out_bytes += len(data)
        elif data:
            if self._write_since is not None:
                self._unsent += len(data)
            self._transport.write(data)
            if self._write_since is not None:
                self.count_unsent()

    def _flush(self) -> None:
        out = self._out
        if out:
            self._out, size, self._out_bytes = [], self._out_bytes, 0
            if self._write_since is not None:
                self._unsent += size
            if len(out) == 1:
                self._transport.write(out[0])
            elif size > self._limits.write_buffer_bytes:
                self._transport.writelines(out)
            else:
                self._transport.write(b"".join(out))
            if self._write_since is not None:
                self.count_unsent()

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
        self.count_unsent()

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
