"""However many clients send at once, the event loop goes round: timers, acknowledgements and new clients have turns."""

import asyncio
import errno
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest

from gateway.http import acceptor
from gateway.http.acceptor import Acceptor
from gateway.http.exchange import Exchange
from gateway.http.limits import HttpLimits
from tests.support.http_door import RawClient, TrialDoor, serving
from tests.support.waiting import eventually_async

GET: Final = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
WAIT_S: Final = 10.0
CLIENTS: Final = 60


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""

    async def check() -> object:
        return condition()

    await eventually_async(check, WAIT_S, 0.005)


class TurnDoor(TrialDoor):
    """Notes how many requests come between two turns of the event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._now = 0
        self._noted = False

    def request(self, exchange: Exchange) -> None:
        """Take a request."""
        if not self._noted:
            self._noted = True
            asyncio.get_running_loop().call_soon(self._turn)
        self._now += 1
        super().request(exchange)

    def _turn(self) -> None:
        self.most, self._now, self._noted = max(self.most, self._now), 0, False


@pytest.mark.parametrize("pieces", [1, 3], ids=["alone", "pipelined"])
async def test_no_more_is_taken_in_a_turn_than_may_be(pieces: int) -> None:
    """What is over it waits, on its connection, and is answered in the next turns, the first first."""
    door, limits = TurnDoor(), replace(HttpLimits(), turn_all_requests=8)
    async with serving(door, limits) as server:
        clients = [await RawClient.connect(server) for _ in range(CLIENTS)]
        for client in clients:
            client.writer.write(GET * pieces)
        async with asyncio.timeout(WAIT_S):
            for client in clients:
                for _ in range(pieces):
                    assert (await client.answer())[0] == 200
        assert len(door.requests) == CLIENTS * pieces
        # What had waited, and what comes then.
        assert 0 < door.most <= 2 * limits.turn_all_requests


async def test_a_client_that_leaves_while_its_turn_has_not_come_holds_up_nobody() -> None:
    """Its request is forgotten, and the next one's turn comes."""
    door, limits = TrialDoor(), replace(HttpLimits(), turn_all_requests=1)
    async with serving(door, limits) as server:
        clients = [await RawClient.connect(server) for _ in range(CLIENTS)]
        for number, client in enumerate(clients):
            client.writer.write(GET * 2)
            if number % 2:
                client.close()
        async with asyncio.timeout(WAIT_S):
            for client in clients[::2]:
                assert (await client.answer())[0] == 200
                assert (await client.answer())[0] == 200


class Made(asyncio.Protocol):
    """Counts connections."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        Made.count += 1
        transport.close()


@pytest.fixture
def bound() -> socket.socket:
    """Return a port that is bound."""
    bound = socket.socket()
    bound.setblocking(False)
    bound.bind(("127.0.0.1", 0))
    return bound


async def test_many_connections_are_accepted_in_one_turn(bound: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """But no more than that: the others come in the next."""
    monkeypatch.setattr(acceptor, "_TURN_CONNECTIONS", 10)
    Made.count, made, settled = 0, Acceptor(bound, Made, lambda: None), []
    made.start(100)
    clients = [socket.create_connection(bound.getsockname()) for _ in range(25)]
    for _ in range(3):
        made._accept()
        settled.append(len(made._making))
    assert settled == [10, 20, 25]
    await until(lambda: Made.count == 25 and not made.is_making)
    made.close(100)
    for client in clients:
        client.close()


async def test_without_a_file_left_it_waits_and_then_goes_on(
    bound: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket stays readable: asked again at once, it would take the whole processor."""
    monkeypatch.setattr(acceptor, "_PAUSE_S", 0.05)
    calls: list[int] = []

    class Exhausted:
        """A socket whose first answers are errors."""

        def __getattr__(self, name: str) -> Any:
            return getattr(bound, name)

        def fileno(self) -> int:
            """Tell which file it is."""
            return bound.fileno()

        def accept(self) -> Any:
            """Accept, but not at first."""
            calls.append(errno.EMFILE)
            if len(calls) == 1:
                raise OSError(errno.EMFILE, "too many open files")
            if len(calls) == 2:
                raise OSError(errno.ECONNABORTED, "the client has left")
            return bound.accept()

    Made.count = 0
    made = Acceptor(Exhausted(), Made, lambda: None)  # type: ignore[arg-type]
    made.start(100)
    with socket.create_connection(bound.getsockname()):
        await until(lambda: Made.count)
    assert len(calls) <= 6
    made.close(100)
