"""Accepts connections: many in one turn of the event loop, and no more than that.

libuv accepts one a turn (since 1.46). Where a turn has many requests to answer, clients that come then wait for
seconds: measured, with 8,000 connections busy, a new one waited for 12 to 18 s.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

import structlog

_TURN_CONNECTIONS: Final = 512  # of a busy gateway, a turn takes up to half a second
_PAUSE_S: Final = 0.5  # where the process has no file left for a connection, or the system no memory
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

log = structlog.stdlib.get_logger(__name__)


class Acceptor:
    """Accepts the connections of a bound socket, and owns it. Belongs to the event loop.

    `make_protocol` is called for each connection. `on_settled` is called once it is made, or lost.
    """

    def __init__(
        self, bound: socket.socket, make_protocol: Callable[[], asyncio.Protocol], on_settled: Callable[[], None]
    ) -> None:
        self._socket = bound
        self._make_protocol = make_protocol
        self._on_settled = on_settled
        self._making: set[asyncio.Task[object]] = set()
        self._paused: asyncio.TimerHandle | None = None
        self._accepts = False

    @property
    def is_making(self) -> bool:
        """Whether a connection is accepted that has no protocol yet."""
        return bool(self._making)

    def start(self, backlog: int) -> None:
        """Listen, and accept. `backlog` is how many connections the system keeps until they are accepted."""
        self._socket.listen(backlog)
        self._accepts = True
        asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def close(self, backlog: int) -> None:
        """Accept what the system has, which it would reset, and listen no more."""
        if self._accepts:
            self._accepts = False
            if self._paused is not None:
                self._paused.cancel()
            asyncio.get_running_loop().remove_reader(self._socket)
            for _ in range(backlog):
                if not self._accept_one():
                    break
        self._socket.close()

    def _accept(self) -> None:
        for _ in range(_TURN_CONNECTIONS):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Accept a connection, and tell whether there may be more."""
        try:
            accepted, _ = self._socket.accept()
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno in _EXHAUSTED:
                self._pause(error)
                return False
            return True  # of that connection alone: its client has left again, or its network is down
        accepted.setblocking(False)
        loop = asyncio.get_running_loop()
        task = loop.create_task(loop.connect_accepted_socket(self._make_protocol, accepted))
        self._making.add(task)
        task.add_done_callback(self._made)
        return True

    def _made(self, task: asyncio.Task[object]) -> None:
        self._making.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a connection was lost while it was accepted")
        self._on_settled()

    def _pause(self, error: OSError) -> None:
        """Accept nothing for a moment: the socket stays readable, and would be asked again at once."""
        if not self._accepts:
            return
        log.warning("no connection can be accepted", error=errno.errorcode.get(error.errno or 0))
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._paused = loop.call_later(_PAUSE_S, loop.add_reader, self._socket, self._accept)
