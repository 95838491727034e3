"""One HTTP/1 connection: bytes in, requests to the door, answers out in their order."""

import asyncio
from typing import TYPE_CHECKING, Final, cast

import structlog

from gateway.http.answers import CONTINUE
from gateway.http.body import IncomingBody
from gateway.http.exchange import Exchange
from gateway.http.heads import HeadError
from gateway.http.parser import MessageParser, early_fault
from gateway.http.relay import PREFACE
from gateway.http.request import HttpRequest
from gateway.http.sending import NEVER, AnswerSender
from mesh.errors import PolystreamError, Reason

if TYPE_CHECKING:
    from gateway.http.server import HttpServer

_HEAD_END: Final = b"\r\n\r\n"

log = structlog.stdlib.get_logger(__name__)


class HttpConnection(AnswerSender):
    """One client's connection. What comes beyond `limits.pipelined` requests waits here as bytes."""

    __slots__ = (
        "_body", "_counted", "_door", "_empty_line", "_fresh", "_more", "_parser", "_partial", "_peer", "_receiving",
        "_resuming",
    )  # fmt: skip

    def __init__(self, server: "HttpServer") -> None:
        super().__init__(server)
        self._door = server.door
        self._peer = ""
        self._parser: MessageParser  # made, as the next one, for the first head
        self._body: IncomingBody | None = None
        self._partial: bytearray | None = None  # a head that is not whole
        self._fresh = True  # the first head may be HTTP/2's preface
        self._empty_line = False  # the one that may stand before a head has come
        self._receiving: Exchange | None = None  # whose body comes in
        self._more = False  # bytes follow that were read already
        self._resuming = False
        self._counted = 0  # bytes that wait here, as the server counts them

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client, or tell it that there are too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self._limits.write_buffer_bytes)
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if address else ""
        self.deadline = self._since + self._idle_s
        if self._server.admit(self):
            self._server.idle[self] = None
        elif self._server.may_linger(self):
            self._refuse(HeadError(503, PolystreamError(Reason.TOO_MANY_CONNECTIONS)))
        else:
            self.abort()

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        self._server.idle.pop(self, None)
        if self._stopped:
            self._throw_away(data)
        elif self._held:
            self._held += data
            self._count_waiting()
        else:
            self._take(data)

    def eof_received(self) -> bool:
        """Answer what is whole, though the client sends no more."""
        self._eof = True
        exchanges, receiving = self._exchanges, self._receiving
        if not exchanges or exchanges[0].streaming or exchanges[0] is receiving or self._lingered is not None:
            self._close()
        else:
            self._since = self._server.now
            self.deadline = min(self.deadline, self._since + self._limits.half_closed_s)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget everything, and tell those who still answer."""
        del exc
        self._stopped = True
        self.deadline = NEVER
        self._forget_body()
        self._held, self._partial = b"", None
        self._count_waiting()
        self._aborted = True
        self.count_unsent()
        self._server.lost(self)
        exchanges = tuple(self._exchanges)
        self._exchanges.clear()
        self._server.requests -= sum(not exchange.complete for exchange in exchanges)
        for exchange in exchanges:
            exchange.detach()
        self._wake()

    # ---- bytes in

    def _take(self, data: bytes) -> None:
        """Take as many requests as are in what came, up to the bounds."""
        self._burst = True
        at, size, turns = 0, len(data), self._limits.turn_requests
        while at < size and not self._stopped:
            if self._receiving is not None and self._body is not None:
                at = self._take_body(self._receiving, self._body, data, at)
            elif turns and self._has_room() and self._server.takes_turn():
                turns -= 1
                at = self._take_head(data, at)
            else:
                self._held = data[at:]
                self._transport.pause_reading()
                break
        self._burst = False
        self._more = False
        if self._stopped and at < size:
            self._unread = True
        if self._out:
            self._flush()
        if self._receiving is not None:
            self._server.bodies.setdefault(self)
        if self._partial is not None or self._receiving is not None or self._held or self._counted:
            self._count_waiting()
        self._after_answer()

    def _take_head(self, data: bytes, at: int) -> int:
        """Take a head, or the part of it that has come. Return where what follows begins."""
        partial = self._partial
        if partial is None:
            if not self._fresh and not data.startswith(b"\r", at):
                end = data.find(_HEAD_END, at) + 4
                if end > 3:
                    self._more = end < len(data)
                    self._take_request(data if not at and not self._more else data[at:end])
                    return end
            partial = self._partial = bytearray()
            self._since = self._server.now
            self.deadline = min(self.deadline, self._since + self._limits.head_s)
        before = len(partial)
        partial += memoryview(data)[at:]
        if self._fresh and PREFACE.startswith(partial[: len(PREFACE)]):
            if len(partial) >= len(PREFACE):
                self._hand_on(bytes(partial))
            return len(data)
        if not self._empty_line and partial.startswith(b"\r\n"):  # RFC 9112, section 2.2
            self._empty_line = True
            del partial[:2]
            before -= 2
        end = partial.find(_HEAD_END, max(0, before - 3)) + 4
        if end > 3:
            self._server.heads.pop(self, None)
            self._more = end < len(partial)
            self._take_request(bytes(partial[:end]))
            return at + end - before
        fault = early_fault(partial, before, self._limits)
        if fault is not None:
            self._refuse(fault)
        else:
            self._server.heads.setdefault(self)
        return len(data)

    def _take_request(self, data: bytes) -> None:
        """Take a whole head."""
        self._partial = None
        self._fresh = self._empty_line = False
        if self._body is None:
            self._parser = MessageParser(self._limits)
            self._body = IncomingBody(self._parser, self._limits)
        try:
            head = self._parser.head(data)
        except HeadError as refusal:
            method = "HEAD" if data.startswith(b"HEAD ") else "GET"  # all that matters here: whether there is a body
            self._refuse(refusal, request=HttpRequest(method, "", "", {}, "1.1", self._peer))
            return
        request = HttpRequest(head.method, head.path, head.query, head.headers, head.version, self._peer)
        if self._server.requests >= self._limits.requests and not self._server.may_begin():
            self._refuse(HeadError(429, PolystreamError(Reason.TOO_MANY_REQUESTS)), request=request)
            return
        exchange = Exchange(self, request, closes=not head.keeps)
        self._exchanges.append(exchange)
        self._server.requests += 1
        if head.length != 0:
            self._receiving = exchange
            self._body.expect(head)
            self._since = self._server.now
            self.deadline = min(self.deadline, self._since + self._limits.body_grace_s)
        elif exchange.closes:
            self._stopped = True
        try:
            largest = self._door.head(exchange)
            if head.length != 0:
                self._bound(exchange, self._body, largest)
            elif largest is not None:
                self._door.request(exchange)
        except Exception:  # noqa: BLE001 # a door's fault is one request's, not the server's
            self._door_failed(exchange)

    def _bound(self, exchange: Exchange, body: IncomingBody, largest: int | None) -> None:
        """Go on with a body as the door wants it: up to so many bytes, or not at all."""
        if largest is None:
            if exchange.closes:
                self._forget_body()
                self._stopped = self._unread = True
            else:
                self._parser.keeps_body = False
        elif body.left is not None and body.left > largest:
            self._refuse(HeadError(413, PolystreamError(Reason.REQUEST_TOO_LARGE)), exchange)
        else:
            body.largest = largest
            if body.needs_continue and self._exchanges[0] is exchange:
                self._continue(body)

    def _take_body(self, exchange: Exchange, body: IncomingBody, data: bytes, at: int) -> int:
        """Take what has come of a body. Return where what follows begins."""
        try:
            end = body.take(data, at)
        except HeadError as refusal:
            if exchange.begun:
                self.abort()
            else:
                self._refuse(refusal, exchange)
            return len(data)
        self._more = end < len(data)
        if self._parser.complete:
            self._end_body(self._parser, exchange)
        return end

    def _end_body(self, parser: MessageParser, exchange: Exchange) -> None:
        keeps, body = parser.keeps_body, parser.body
        self._forget_body()
        if not keeps:
            return
        self._stopped = self._stopped or exchange.closes
        exchange.request.body = body if isinstance(body, bytes) else bytes(body)
        try:
            self._door.request(exchange)
        except Exception:  # noqa: BLE001 # as above
            self._door_failed(exchange)

    def _forget_body(self) -> None:
        if self._receiving is not None:
            self._receiving = None
            self._server.bodies.pop(self, None)
        if self._body is not None:
            self._body.forget()

    def _door_failed(self, exchange: Exchange) -> None:
        log.exception("the door failed")  # noqa: LOG004 # called from the handlers
        if exchange.begun:
            self.abort()
        else:
            self._refuse(HeadError(500, PolystreamError(Reason.INTERNAL)), exchange)

    def _continue(self, body: IncomingBody) -> None:
        body.needs_continue = False
        self._write(CONTINUE)

    def _resume_later(self) -> None:
        """Take what is held in another turn, once there is room."""
        if self._held and not self._resuming and not self._stopped and self._has_room():
            self._resuming = True
            self._server.resume_later(self)

    def resume(self) -> None:
        """Take what is held: its turn has come."""
        self._resuming = False
        data, self._held = self._held, b""
        if data and not self._stopped:
            self._take(data)
        if not self._held and not self._transport.is_closing():
            self._transport.resume_reading()

    def _count_waiting(self) -> None:
        """Count the bytes that wait here among those of all connections, and refuse them if those are too many."""
        waiting = len(self._held)
        if self._partial is not None:
            waiting += len(self._partial)
        if self._receiving is not None and self._body is not None:
            waiting += self._body.held_bytes
        self._server.waiting_bytes += waiting - self._counted
        grows, self._counted = waiting > self._counted, waiting
        if grows and self._server.waiting_bytes > self._limits.waiting_bytes:
            self._refuse(HeadError(429, PolystreamError(Reason.TOO_MANY_REQUESTS)), self._receiving)

    # ---- answers out

    def must_close_after(self, exchange: Exchange) -> bool:
        """Tell whether the connection has to end with an answer."""
        if exchange is self._receiving and self._body is not None and not self._body.is_worth_reading:
            return True
        if not self._server.leaving or exchange is not self._exchanges[-1]:
            return False
        if self._more or self._held or self._partial:
            return False  # another request has come
        self._stopped = True
        return True

    def _begin_turn(self, exchange: Exchange) -> None:
        if exchange is self._receiving and self._body is not None and self._body.needs_continue:
            self._continue(self._body)
        super()._begin_turn(exchange)

    def _after_answer(self) -> None:
        if self._held:
            self._resume_later()
        elif not self._exchanges and self._receiving is None and not self._stopped:
            if self._partial is None:
                self._since = self._server.now
                self._server.idle[self] = None
                if self._server.leaving:
                    self.deadline = min(self.deadline, self._since + self._idle_s)
            if self._eof:
                self._close()

    def _refuse(
        self, refusal: HeadError, exchange: Exchange | None = None, *, request: HttpRequest | None = None
    ) -> None:
        """Answer with an error of the server's own, after the answers before, and close."""
        self._stopped = self._unread = True
        self._forget_body()
        self._partial, self._held = None, b""
        self._server.heads.pop(self, None)
        if exchange is None:
            exchange = Exchange(self, request or HttpRequest("GET", "", "", {}, "1.1", self._peer), closes=True)
            self._exchanges.append(exchange)
            self._server.requests += 1
        exchange.closes = True
        self._server.refuse(exchange, refusal)
        if self._counted:
            self._count_waiting()

    def _close(self) -> None:
        self._server.idle.pop(self, None)
        super()._close()

    def _hand_on(self, data: bytes) -> None:
        """Leave the connection to a relay."""
        self._stopped = True
        self._partial = None
        self._server.heads.pop(self, None)
        self._server.relay(self, self._transport, data)

    # ---- time

    @property
    def _idle_s(self) -> float:
        return self._limits.leave_idle_s if self._server.leaving else self._limits.idle_s

    def check(self, now: float) -> float:
        """Do what is due, and return when to look again, both in seconds of the monotonic clock."""
        due = self._check_writing(now)
        if self._lingered is not None:
            wait_s = self._limits.linger_s
        elif self._eof and self._exchanges:
            wait_s = self._limits.half_closed_s
        elif self._stopped:
            return due
        elif self._receiving is not None and self._body is not None:
            wait_s = self._body.wait_s
        elif self._partial is not None:
            wait_s = self._limits.head_s
        elif self._exchanges:
            return min(due, now + self._limits.idle_s)
        else:
            wait_s = self._idle_s
        if now < self._since + wait_s:
            return min(due, self._since + wait_s)
        self._time_out()
        return now + self._limits.sweep_s

    def leave(self) -> None:
        """Look again soon: the server leaves."""
        if not self._exchanges and self._receiving is None and self._partial is None:
            self._since = self._server.now
            self.deadline = min(self.deadline, self._since + self._idle_s)

    def evict(self) -> None:
        """End a connection that waits for a request, to make room for another."""
        receiving = self._receiving
        if receiving is not None and receiving.begun:
            self.abort()
        elif receiving is not None or self._partial:
            self._refuse(HeadError(503, PolystreamError(Reason.TOO_MANY_CONNECTIONS)), receiving)
        else:
            self._close()

    def _time_out(self) -> None:
        receiving = self._receiving
        has_left = self._lingered is not None or (self._eof and self._exchanges)
        if has_left or (receiving is not None and receiving.begun):
            self.abort()
        elif receiving is not None or self._partial:
            part = "head" if receiving is None else "body"
            message = f"the {part} of the request did not arrive in time; send it faster"
            self._refuse(HeadError(408, PolystreamError(Reason.REQUEST_TIMEOUT, message)), receiving)
        else:
            self._close()
