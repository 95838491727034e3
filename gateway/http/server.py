"""The HTTP port: its connections, what all of them together may hold, and the clock that ends what takes too long."""

import asyncio
import math
import resource
import socket
import time
from collections import deque
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

import structlog

from gateway.http.acceptor import Acceptor
from gateway.http.connection import HttpConnection
from gateway.http.exchange import Exchange
from gateway.http.heads import HeadError
from gateway.http.limits import HttpLimits
from gateway.http.relay import Relay
from gateway.http.request import Door
from gateway.http.sending import AnswerSender

_OTHER_FILES: Final = 256  # what the process opens beside connections
_TURN_S: Final = 0.01  # while requests come, the event loop goes round more often than that

log = structlog.stdlib.get_logger(__name__)


class HttpServer:
    """Serves a door over HTTP/1.0 and HTTP/1.1, and relays HTTP/2 to `grpc_address`, a host and a port.

    With `reuse_port` several processes share one port, and the system deals connections out to those that listen.
    The constructor raises OSError where the port cannot be had.
    """

    def __init__(
        self,
        door: Door,
        limits: HttpLimits,
        *,
        host: str,
        port: int,
        reuse_port: bool,
        grpc_address: tuple[str, int] | None,
    ) -> None:
        self.door = door
        self.limits = limits
        self.now = time.monotonic()  # as of the last sweep, in seconds: no request asks the clock
        self.date_line = _date_line()
        self.leaving = False
        self.connections: dict[HttpConnection, None] = {}
        self.idle: dict[HttpConnection, None] = {}  # without a request, the one that waits longest first
        self.heads: dict[HttpConnection, None] = {}  # with a part of a request's head, likewise
        self.bodies: dict[HttpConnection, None] = {}  # with a part of a request's body, likewise
        self.behind: dict[AnswerSender, None] = {}  # whose clients have answers to read
        self.lingering: set[HttpConnection] = set()  # over the bound: each is told so
        self.relays: dict[Relay, None] = {}
        self.parting: dict[Relay, None] = {}  # refused, until the client has read why
        self.requests = 0  # under way
        self.waiting_bytes = 0  # of what is not whole, or whose turn has not come
        self.unsent_bytes = 0  # of answers, for all who are behind
        self._grpc_address = grpc_address
        self._socket = _bind(host, port, reuse_port=reuse_port)
        if not reuse_port:
            self._socket.listen(limits.backlog)  # only a port that listens is refused to others
        self.port: int = self._socket.getsockname()[1]
        self._acceptor = Acceptor(self._socket, lambda: HttpConnection(self), self._tell_ended)
        self._sweeper: asyncio.TimerHandle | None = None
        self._ended: asyncio.Event | None = None  # set as something has ended, where somebody waits for that
        self._connections_max = limits.connections
        self._turn_requests = 0  # taken since the event loop went round
        self._turn: asyncio.TimerHandle | None = None  # where some are
        self._held_back: deque[HttpConnection] = deque()  # whose turn comes later; bounded by connections
        self._resuming = False

    async def start(self) -> None:
        """Accept connections."""
        limits = self.limits
        wanted = limits.connections + limits.lingering + 3 * limits.relays + _OTHER_FILES  # the gRPC server is here
        self._connections_max = min(limits.connections, limits.connections - wanted + _open_files(wanted))
        if self._connections_max < limits.connections:
            log.warning("the system allows fewer open files than connections", connections=self._connections_max)
        self._sweep()
        self._acceptor.start(limits.backlog)

    def leave(self) -> None:
        """Accept no more connections. Each ends with the answer to its last request, or when it has none."""
        if self.leaving:
            return
        self.leaving = True
        self._acceptor.close(self.limits.backlog)
        for connection in self.connections:
            connection.leave()

    async def handed_over(self, grace_s: float) -> None:
        """After `leave`, wait until every connection has had its last answer, at most `grace_s` seconds.

        Relays are not waited for: their clients close them, if anybody does.
        """
        await self._until(self._has_handed_over, grace_s)

    async def stop(self, grace_s: float) -> None:
        """Leave, wait `grace_s` seconds for what is under way, and end what is left then."""
        self.leave()
        if not await self._until(self._is_empty, grace_s):
            log.warning("connections were still open", connections=len(self.connections), relays=len(self.relays))
        for connection in (*self.connections, *self.lingering):
            connection.abort()
        for relay in (*self.relays, *self.parting):
            relay.abort()
        for timer in (self._sweeper, self._turn):
            if timer is not None:
                timer.cancel()
        self._sweeper = self._turn = None

    # ---- what connections ask

    def admit(self, connection: HttpConnection) -> bool:
        """Take a new connection, in place of the one that has waited for a request longest if there are too many.

        Those that wait for a whole request go after those that wait for any.
        """
        if len(self.connections) + len(self.relays) >= self._connections_max:
            oldest = next(iter(self.idle or self.heads or self.bodies), None)
            if oldest is None:
                return False
            self.connections.pop(oldest, None)
            self.idle.pop(oldest, None)
            self.heads.pop(oldest, None)
            self.lingering.add(oldest)
            oldest.evict()
        self.connections[connection] = None
        return True

    def takes_turn(self) -> bool:
        """Tell whether one more request may be taken before the event loop goes round.

        Where more than a thousand sockets can be read, libuv reads 49,000 times before it looks at a timer or at what
        another thread has to tell: measured, commands that were acknowledged waited 13 s for their answers meanwhile.
        """
        if self._turn is None:
            self._turn = asyncio.get_running_loop().call_later(_TURN_S, self._end_turn)
        if self._turn_requests >= self.limits.turn_all_requests:
            return False
        self._turn_requests += 1
        return True

    def resume_later(self, connection: HttpConnection) -> None:
        """Have a connection go on with what it holds in a later turn, the one that has waited longest first."""
        self._held_back.append(connection)
        if not self._resuming:
            self._resuming = True
            asyncio.get_running_loop().call_soon(self._resume)

    def may_begin(self) -> bool:
        """Tell whether one more request may be under way, in place of the one whose body has come in longest."""
        limit = self.limits.requests
        if self.requests >= limit and self.bodies:
            next(iter(self.bodies)).evict()
        return self.requests < limit

    def count_unsent(self, connection: AnswerSender, before: int, unsent: int) -> None:
        """Count what waits for a client. Those for whom most waits are cut where it is too much in all."""
        self.unsent_bytes += unsent - before
        if unsent:
            self.behind[connection] = None
        else:
            self.behind.pop(connection, None)
        if unsent <= before or self.unsent_bytes <= self.limits.unsent_bytes:
            return
        waiting = sorted(((one.unsent_bytes, number) for number, one in enumerate(self.behind)), reverse=True)
        connections = tuple(self.behind)
        for _, number in waiting:
            if self.unsent_bytes <= self.limits.unsent_bytes * 7 // 8:
                break
            connections[number].abort()

    def may_linger(self, connection: HttpConnection) -> bool:
        """Tell whether a connection over the bound may stay until it has read that it is."""
        if len(self.lingering) >= self.limits.lingering:
            return False
        self.lingering.add(connection)
        return True

    def lost(self, connection: HttpConnection) -> None:
        """Forget a connection that has ended."""
        self.connections.pop(connection, None)
        self.idle.pop(connection, None)
        self.heads.pop(connection, None)
        self.bodies.pop(connection, None)
        self.lingering.discard(connection)
        self._tell_ended()

    def refuse(self, exchange: Exchange, refusal: HeadError) -> None:
        """Answer with an error of the server's own, in the door's shape."""
        headers, body = self.door.refusal(refusal.status, refusal.error, exchange.request)
        headers.extend(refusal.headers)
        retry_delay_s = refusal.error.retry_delay_s
        if retry_delay_s is not None and not any(name.lower() == "retry-after" for name, _ in headers):
            headers.append(("retry-after", str(math.ceil(retry_delay_s))))
        exchange.respond(refusal.status, headers, body)

    def relay(self, connection: HttpConnection, transport: asyncio.Transport, data: bytes) -> None:
        """Hand a connection that begins with HTTP/2's preface on to the gRPC server."""
        relay = Relay(self, transport, data)
        self.connections.pop(connection, None)
        self.lingering.discard(connection)
        if self._grpc_address is None:
            relay.refuse_absent()
        elif len(self.relays) < self.limits.relays or self._evict_relay():
            self.relays[relay] = None
            relay.connect(self._grpc_address)
        else:
            relay.refuse_busy()

    def part(self, relay: Relay) -> bool:
        """Tell whether a refused relay may stay until the client has read why."""
        self.relays.pop(relay, None)
        if len(self.parting) >= self.limits.lingering:
            return False
        self.parting[relay] = None
        return True

    def relay_ended(self, relay: Relay) -> None:
        """Forget a relay."""
        self.relays.pop(relay, None)
        self.parting.pop(relay, None)
        self._tell_ended()

    def _evict_relay(self) -> bool:
        """Make room for a relay in place of one that nothing goes over."""
        stalest = min(self.relays, key=lambda relay: relay.active_s)
        if self.now - stalest.active_s < self.limits.relay_evict_s:
            return False
        self.relays.pop(stalest)
        stalest.abort()
        return True

    # ---- time

    def _end_turn(self) -> None:
        self._turn_requests, self._turn = 0, None

    def _resume(self) -> None:
        self._turn_requests = 0
        for _ in range(min(len(self._held_back), self.limits.turn_all_requests)):
            self._held_back.popleft().resume()
        self._resuming = bool(self._held_back)
        if self._resuming:
            asyncio.get_running_loop().call_soon(self._resume)

    def _sweep(self) -> None:
        """Look what is due, and do it. One timer for all connections: a request sets none."""
        self._sweeper = asyncio.get_running_loop().call_later(self.limits.sweep_s, self._sweep)
        self.date_line = _date_line()
        now = self.now = time.monotonic()
        for connection in (*self.connections, *self.lingering):
            if connection.deadline <= now:
                connection.deadline = connection.check(now)
        for relays, stale_s in ((self.relays, self.limits.relay_idle_s), (self.parting, self.limits.linger_s)):
            for relay in [relay for relay in relays if relay.active_s <= now - stale_s]:
                relay.abort()

    async def _until(self, reached: Callable[[], bool], grace_s: float) -> bool:
        """Wait until connections have ended as `reached` wants it; False where `grace_s` seconds pass first."""
        if reached():
            return True
        self._ended = asyncio.Event()
        try:
            async with asyncio.timeout(grace_s):
                while not reached():
                    self._ended.clear()
                    await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def _tell_ended(self) -> None:
        if self._ended is not None:
            self._ended.set()

    def _has_handed_over(self) -> bool:
        return not (self.connections or self.lingering or self._acceptor.is_making)

    def _is_empty(self) -> bool:
        return self._has_handed_over() and not self.relays


def _open_files(wanted: int) -> int:
    """Return how many files the process may open, `wanted` at most. It raises that bound itself, when it starts."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if allowed == resource.RLIM_INFINITY else min(allowed, wanted)


def _date_line() -> str:
    return f"date: {formatdate(usegmt=True)}\r\n"


def _bind(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Bind a port of the first address of `host`. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.setblocking(False)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
