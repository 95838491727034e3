"""One HTTP/1 connection: bytes in, requests to the door, answers out in their order."""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, cast

import structlog

from gateway.http import relay
from gateway.http.answers import CONTINUE
from gateway.http.exchange import Exchange
from gateway.http.heads import HeadError, malformed
from gateway.http.parser import MessageParser, RequestHead, early_fault
from gateway.http.request import HttpRequest
from mesh.errors import PolystreamError, Reason

if TYPE_CHECKING:
    from gateway.http.server import HttpServer

_HEAD_END: Final = b"\r\n\r\n"
_NEVER: Final = float("inf")

log = structlog.stdlib.get_logger(__name__)


class HttpConnection(asyncio.Protocol):
    """One client's connection. What comes beyond `limits.pipelined` requests waits here as bytes."""

    __slots__ = (
        "_burst", "_counted", "_door", "_empty_line", "_eof", "_exchanges", "_fresh", "_held", "_largest", "_left",
        "_limits", "_lingered", "_needs_continue", "_out", "_parser", "_partial", "_peer", "_receiving", "_resuming",
        "_server", "_since", "_stopped", "_tail", "_transport", "_unread", "_unsent", "_waiter", "_wire",
        "_write_since", "deadline",
    )  # fmt: skip

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._door = server.door
        self._limits = server.limits
        self._transport: asyncio.Transport
        self._peer = ""
        self.deadline = _NEVER  # when the sweep calls `check`, in seconds of the monotonic clock
        self._since = server.now  # when the connection began to wait for what it waits for
        # What comes in.
        self._parser: MessageParser | None = None  # made for the first bytes
        self._partial: bytearray | None = None  # a head that is not whole
        self._fresh = True  # the first head may be HTTP/2's preface
        self._empty_line = False  # the one that may stand before a head has come
        self._receiving: Exchange | None = None  # whose body comes in
        self._left: int | None = 0  # bytes of the body that are to come; None in chunks
        self._wire = 0  # bytes of a body in chunks, as they came
        self._tail = b""  # the last of them, in which the message's end may begin
        self._largest = 0  # bytes that the door takes
        self._counted = 0  # bytes of the body that the server counts
        self._needs_continue = False
        self._held = b""  # read, and waits until requests before are answered
        self._resuming = False
        self._stopped = False  # no more requests are taken
        self._eof = False
        # What goes out.
        self._exchanges: deque[Exchange] = deque()
        self._burst = False  # bytes are being taken: answers are joined
        self._out: list[bytes] = []
        self._write_since: float | None = None  # since when the client is behind
        self._unsent = 0  # bytes that waited for it then
        self._waiter: asyncio.Future[None] | None = None  # of a stream whose client is behind
        self._unread = False  # the client may still send what nobody wants
        self._lingered: int | None = None  # bytes thrown away since the last answer; None before it

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes)
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if address else ""
        self.deadline = self._since + self._limits.idle_s
        if self._server.admit(self):
            self._server.idle[self] = None
        else:
            error = PolystreamError(Reason.TOO_MANY_CONNECTIONS)
            self._refuse(HeadError(503, error))

    def data_received(self, data: bytes) -> None:
        self._server.idle.pop(self, None)
        if self._stopped:
            self._throw_away(data)
        elif self._held:
            self._held += data
        else:
            self._take(data)

    def eof_received(self) -> bool:
        self._eof = True
        if not self._exchanges or self._exchanges[0].streaming or self._lingered is not None:
            return False  # the transport closes itself once it has sent everything
        if self._receiving is not None and len(self._exchanges) == 1:
            return False
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.lost(self)
        self._stopped = True
        self.deadline = _NEVER
        self._forget_body()
        self._held, self._partial, self._parser = b"", None, None
        exchanges, self._exchanges = self._exchanges, deque()
        self._server.requests -= len(exchanges)
        for exchange in exchanges:
            exchange.detach()
        self._wake()

    def pause_writing(self) -> None:
        if self._write_since is None:
            self._watch_writing()

    def resume_writing(self) -> None:
        self._write_since = None
        self._wake()
        self._resume_later()

    # ---- bytes in

    def _take(self, data: bytes) -> None:
        """Take what came: as many requests as are in it, up to the bounds."""
        self._burst = True
        at, size, limits = 0, len(data), self._limits
        last_turn = limits.turn_requests
        while at < size and not self._stopped:
            if self._receiving is not None:
                at = self._take_body(data, at)
                continue
            if not last_turn or len(self._exchanges) >= limits.pipelined or self._write_since is not None:
                self._held = data[at:]
                self._transport.pause_reading()
                break
            last_turn -= 1
            at = self._take_head(data, at)
        else:
            if at < size:
                self._unread = True
        self._burst = False
        if self._out:
            self._flush()
        if self._held:
            self._resume_later()
        elif not self._exchanges and self._receiving is None:
            self._rest()

    def _take_head(self, data: bytes, at: int) -> int:
        """Take a head, or the part of it that has come. Return where what follows begins."""
        partial = self._partial
        if partial is None:
            if not self._fresh and not data.startswith(b"\r", at):
                end = data.find(_HEAD_END, at) + 4
                if end > 3:
                    self._take_request(data[at:end])
                    return end
            partial, searched = bytearray(), 0
            self._partial = partial
            self._since = self._server.now
            self.deadline = min(self.deadline, self._since + self._limits.head_s)
        else:
            searched = max(0, len(partial) - 3)
        before = len(partial)
        partial += data[at:] if at else data
        if self._fresh and partial.startswith(b"P") and relay.PREFACE.startswith(partial[: len(relay.PREFACE)]):
            if len(partial) >= len(relay.PREFACE):
                self._relay(bytes(partial))
            return len(data)
        if not self._empty_line and partial.startswith(b"\r\n"):  # RFC 9112, section 2.2
            self._empty_line = True
            del partial[:2]
            before -= 2
            searched = 0
        end = partial.find(_HEAD_END, searched) + 4
        if end > 3:
            self._take_request(bytes(partial[:end]))
            return at + end - before
        fault = early_fault(partial, self._limits)
        if fault is not None:
            self._refuse(fault)
        return len(data)

    def _take_request(self, data: bytes) -> None:
        """Take a whole head."""
        self._partial = None
        self._fresh = self._empty_line = False
        parser = self._parser
        if parser is None:
            parser = self._parser = MessageParser(self._limits)
        request: HttpRequest | None = None
        try:
            head = parser.head(data)
            request = HttpRequest(head.method, head.path, head.query, head.headers, head.version, self._peer)
            if self._server.requests >= self._limits.requests:
                raise HeadError(429, PolystreamError(Reason.TOO_MANY_REQUESTS))
        except HeadError as refusal:
            self._refuse(refusal, request=request)
            return
        exchange = Exchange(self, request, closes=not head.keeps)
        self._exchanges.append(exchange)
        self._server.requests += 1
        if head.length != 0:
            self._expect_body(exchange, head)
        try:
            largest = self._door.head(exchange)
            if head.length == 0:
                self._stopped = self._stopped or exchange.closes
                if largest is not None:
                    self._door.request(exchange)
                return
        except Exception as error:
            self._door_failed(exchange, error)
            return
        if largest is None:
            self._discard(exchange)
        elif head.length is not None and head.length > largest:
            self._refuse(HeadError(413, PolystreamError(Reason.REQUEST_TOO_LARGE)), exchange)
        else:
            self._largest = largest
            if self._needs_continue and self._exchanges[0] is exchange:
                self._continue()

    def _expect_body(self, exchange: Exchange, head: RequestHead) -> None:
        self._receiving = exchange
        self._left = head.length
        self._wire, self._tail, self._counted = 0, b"", 0
        self._needs_continue = head.expects_continue
        self._since = self._server.now
        self.deadline = min(self.deadline, self._since + self._limits.body_grace_s)

    def _take_body(self, data: bytes, at: int) -> int:
        """Take what has come of a body. Return where what follows begins."""
        parser, exchange = cast(MessageParser, self._parser), cast(Exchange, self._receiving)
        end = self._body_end(data, at)
        self._needs_continue = False
        try:
            parser.feed(data if end - at == len(data) else memoryview(data)[at:end])
            if self._left is not None:
                self._left -= end - at
            else:
                self._wire += end - at
                self._tail = (self._tail + data[max(at, end - 3) : end])[-3:]
            self._bound_body(parser)
        except HeadError as refusal:
            if exchange.complete:
                self.abort()
            else:
                self._refuse(refusal, exchange)
            return end
        if parser.complete:
            self._end_body(parser, exchange)
        return end

    def _body_end(self, data: bytes, at: int) -> int:
        """Return where the message ends at the latest: what follows may be the next one."""
        if self._left is not None:
            return min(len(data), at + self._left)
        # The last chunk, with or without trailers, ends in an empty line.
        tail = self._tail
        across = (tail + data[at : at + 3]).find(_HEAD_END)
        if across >= 0:
            return at + across + 4 - len(tail)
        end = data.find(_HEAD_END, at)
        return len(data) if end < 0 else end + 4

    def _bound_body(self, parser: MessageParser) -> None:
        """Hold a body to its bounds while it arrives. Raises HeadError."""
        limits, size = self._limits, len(parser.body)
        if not parser.keeps_body:
            if self._wire > limits.discarded_body_bytes:
                raise HeadError(413, PolystreamError(Reason.REQUEST_TOO_LARGE))
            return
        if size > self._largest:
            raise HeadError(413, PolystreamError(Reason.REQUEST_TOO_LARGE))
        if self._wire > limits.chunk_overhead_bytes + 8 * size:
            raise malformed("the chunks' sizes, extensions and trailers are too long")
        if not parser.complete:
            self._server.body_bytes += size - self._counted
            self._counted = size
            if self._server.body_bytes > limits.unfinished_body_bytes:
                raise HeadError(429, PolystreamError(Reason.TOO_MANY_REQUESTS))

    def _end_body(self, parser: MessageParser, exchange: Exchange) -> None:
        keeps, body = parser.keeps_body, parser.body
        self._forget_body()
        if not keeps:
            return
        self._stopped = self._stopped or exchange.closes
        exchange.request.body = body if isinstance(body, bytes) else bytes(body)
        try:
            self._door.request(exchange)
        except Exception as error:
            self._door_failed(exchange, error)

    def _forget_body(self) -> None:
        self._server.body_bytes -= self._counted
        self._counted = 0
        self._receiving = None
        self._needs_continue = False
        if self._parser is not None:
            self._parser.body = b""

    def _discard(self, exchange: Exchange) -> None:
        """Go on after an answer that came before the body: read the rest of it, or no more at all."""
        if exchange.closes:
            self._forget_body()
            self._stopped = self._unread = True
        else:
            cast(MessageParser, self._parser).keeps_body = False

    def _door_failed(self, exchange: Exchange, error: Exception) -> None:
        log.exception("a door failed", error=type(error).__name__)
        if exchange.begun:
            self.abort()
        else:
            self._refuse(HeadError(500, PolystreamError(Reason.INTERNAL)), exchange)

    def _continue(self) -> None:
        self._needs_continue = False
        self._write(CONTINUE)

    def _resume_later(self) -> None:
        """Take what is held in another turn, once there is room."""
        if not self._held or self._resuming or self._stopped:
            return
        if len(self._exchanges) < self._limits.pipelined and self._write_since is None:
            self._resuming = True
            asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        self._resuming = False
        if self._transport.is_closing() or not self._held:
            return
        data, self._held = self._held, b""
        self._take(data)
        if not self._held:
            self._transport.resume_reading()

    # ---- answers out

    @property
    def date_line(self) -> str:
        """The header line with the time, renewed by the server."""
        return self._server.date_line

    def must_close_after(self, exchange: Exchange) -> bool:
        """Tell whether the connection has to end with an answer."""
        if exchange is self._receiving and (
            self._needs_continue or self._left is None or self._left > self._limits.discarded_body_bytes
        ):
            return True  # nobody wants to read the rest
        if self._server.leaving and exchange is self._exchanges[-1] and not self._held and not self._partial:
            self._stopped = True
            return True
        return False

    def answer(self, exchange: Exchange, data: bytes) -> None:
        """Send bytes of an answer, or keep them until the answers before are out."""
        if self._exchanges[0] is not exchange:
            if exchange.ready is None:
                exchange.ready = [data]
            else:
                exchange.ready.append(data)
            return
        self._write(data)
        if exchange.complete:
            self._advance()

    async def caught_up(self, exchange: Exchange) -> None:
        """Wait until all that an exchange has written is on its way. Raises ConnectionResetError if it never will be."""
        loop = asyncio.get_running_loop()
        while exchange.ready is not None and not self._transport.is_closing():
            exchange.turn = loop.create_future()
            await exchange.turn
        while self._write_since is not None and not self._transport.is_closing():
            self._waiter = self._waiter or loop.create_future()
            await asyncio.shield(self._waiter)
        if self._transport.is_closing():
            raise ConnectionResetError("the client has left")

    def cut(self, exchange: Exchange) -> None:
        """End the connection without the rest of an answer."""
        if self._exchanges and self._exchanges[0] is exchange:
            self._flush()
            self._close()
        else:
            exchange.closes = True
            exchange.ready = exchange.ready or []

    def _advance(self) -> None:
        """Send what was ready behind an answer that is complete."""
        exchanges = self._exchanges
        while True:
            done = exchanges.popleft()
            self._server.requests -= 1
            done.detach()
            if done.closes:
                self._finish()
                return
            if not exchanges:
                break
            following = exchanges[0]
            ready, following.ready = following.ready, None
            if following is self._receiving and self._needs_continue:
                self._continue()
            if ready is not None:
                self._write(b"".join(ready))
            if following.turn is not None and not following.turn.done():
                following.turn.set_result(None)
            if not following.complete:
                break
        if not self._burst:
            if self._held:
                self._resume_later()
            elif not exchanges and self._receiving is None:
                self._rest()

    def _write(self, data: bytes) -> None:
        if self._burst:
            self._out.append(data)
            return
        if self._write_since is not None:
            self._unsent += len(data)
        self._transport.write(data)

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            if self._write_since is not None:
                self._unsent += len(data)
            self._transport.write(data)

    def _rest(self) -> None:
        """Wait for the next request."""
        if self._stopped:
            return
        if self._partial is None:
            self._since = self._server.now
            self._server.idle[self] = None
            if self._server.leaving:
                self.deadline = min(self.deadline, self._since + self._limits.leave_idle_s)
        if self._eof:
            self._close()

    def _refuse(
        self, refusal: HeadError, exchange: Exchange | None = None, *, request: HttpRequest | None = None
    ) -> None:
        """Answer with an error of the server's own, after the answers before, and close."""
        self._stopped = self._unread = True
        self._forget_body()
        self._partial = None
        if exchange is None:
            request = request or HttpRequest("GET", "", "", {}, "1.1", self._peer)
            exchange = Exchange(self, request, closes=True)
            self._exchanges.append(exchange)
            self._server.requests += 1
        if not exchange.closes:
            exchange.closes = True
        self._server.refuse(exchange, refusal)

    def _finish(self) -> None:
        """End the connection after its last answer."""
        self._stopped = True
        self._server.idle.pop(self, None)
        self._flush()
        if not self._unread or self._eof:
            self._close()
            return
        # The client may still be sending: closing now would reset the connection, and the answer could be lost.
        self._lingered = 0
        self._held = b""
        self._since = self._server.now
        self.deadline = min(self.deadline, self._since + self._limits.linger_s)
        if not self._transport.is_closing():
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
        self._server.idle.pop(self, None)
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

    def _relay(self, data: bytes) -> None:
        self._server.relay(self, self._transport, data)

    # ---- time

    def check(self, now: float) -> float:
        """Do what is due, and return when to look again, both in seconds of the monotonic clock."""
        limits, due = self._limits, _NEVER
        if self._write_since is not None:
            due = self._check_writing(now)
        if self._lingered is not None:
            if now >= self._since + limits.linger_s:
                self.abort()
                return _NEVER
            return min(due, self._since + limits.linger_s)
        if self._stopped:
            return due
        if self._receiving is not None:
            return min(due, self._check_body(now))
        if self._partial is not None:
            if now >= self._since + limits.head_s:
                self._time_out("the head of the request did not arrive in time; send it at once")
                return now + limits.linger_s
            return min(due, self._since + limits.head_s)
        if self._exchanges:
            return min(due, now + limits.idle_s)
        idle_s = limits.leave_idle_s if self._server.leaving else limits.idle_s
        if now >= self._since + idle_s:
            self._close()
            return now + limits.write_s
        return min(due, self._since + idle_s)

    def leave(self) -> None:
        """Look again soon: the server leaves."""
        if not self._exchanges and self._receiving is None and self._partial is None:
            self._since = self._server.now
            self.deadline = min(self.deadline, self._since + self._limits.leave_idle_s)

    def abort(self) -> None:
        """End the connection at once."""
        self._stopped = True
        self._transport.abort()

    def evict(self) -> None:
        """End a connection that waits for a request, to make room."""
        self._close()

    def _check_writing(self, now: float) -> float:
        since, limits = cast(float, self._write_since), self._limits
        if now < since + limits.write_s:
            return since + limits.write_s
        left = self._transport.get_write_buffer_size()
        if self._unsent - left < limits.write_bytes_per_s * (now - since):
            self.abort()
            return _NEVER
        self._write_since, self._unsent = now, left
        return now + limits.write_s

    def _check_body(self, now: float) -> float:
        limits = self._limits
        received = self._wire if self._left is None else len(cast(MessageParser, self._parser).body)
        earned = limits.body_grace_s + received / limits.body_bytes_per_s
        due = self._since + min(limits.body_s, earned)
        if now < due:
            return due
        self._time_out("the body of the request did not arrive in time; send it faster")
        return now + limits.linger_s

    def _time_out(self, message: str) -> None:
        if self._receiving is not None and self._receiving.begun:
            self.abort()
        elif self._partial is not None and not self._partial:
            self._close()
        else:
            error = PolystreamError(Reason.REQUEST_TIMEOUT, message)
            self._refuse(HeadError(408, error), self._receiving)
