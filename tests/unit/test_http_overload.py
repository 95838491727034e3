"""What clients can pile up by not reading, by sending slowly, and by leaving: each has a bound, and others go on."""

import asyncio
from dataclasses import replace
from typing import Final

import pytest

from gateway.http.exchange import Exchange
from gateway.http.limits import HttpLimits
from tests.support.http_door import TEXT, RawClient, TrialDoor, serving
from tests.support.waiting import eventually_async

LIMITS: Final = HttpLimits(sweep_s=0.02)
GET: Final = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
SLOW_BODY: Final = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\nslow"
WAIT_S: Final = 10.0
BIG: Final = bytes(8_388_608)  # more than the system takes for a client that does not read


class BigDoor(TrialDoor):
    """Answers `/big` with more than the system's buffers hold."""

    def request(self, exchange: Exchange) -> None:
        """Take a request."""
        if exchange.request.path == "/big":
            self.requests.append(exchange.request)
            exchange.respond(200, TEXT, BIG)
        else:
            super().request(exchange)


async def until(condition: object) -> None:
    """Wait for a condition, a function without arguments."""
    assert callable(condition)

    async def check() -> object:
        return condition()

    await eventually_async(check, WAIT_S, 0.005)


@pytest.mark.parametrize("burst", [b"big", b"big?a=%b" % (b"x" * 4_000)], ids=["short", "long"])
async def test_no_more_is_answered_than_is_read(burst: bytes) -> None:
    """Of many requests in one piece, one big answer waits; once it is read, so comes the next."""
    door = BigDoor()
    async with serving(door, LIMITS) as server:
        client = await RawClient.connect(server)
        await client.send(GET % burst * 10)
        await until(lambda: server.behind)
        assert len(door.requests) == 1
        for _ in range(10):
            assert len((await client.answer())[2]) == len(BIG)
        assert server.unsent_bytes == 0
        assert not server.behind


async def test_those_who_leave_most_unread_are_cut() -> None:
    """The bound is over all clients; who has the least to read keeps its place."""
    door, limits = BigDoor(), replace(LIMITS, unsent_bytes=3 * len(BIG))
    async with serving(door, limits) as server:
        modest = await RawClient.connect(server)
        await modest.send(GET % b"held" + GET % b"small")
        await until(lambda: server.unsent_bytes)
        greedy = [await RawClient.connect(server) for _ in range(6)]
        for client in greedy:
            await client.send(GET % b"big")
        await until(lambda: len(door.requests) == 8)
        await until(lambda: len(server.connections) < 7)
        assert server.unsent_bytes <= limits.unsent_bytes
        door.held[0].respond(200, TEXT, b"first")
        assert [(await modest.answer())[2] for _ in range(2)] == [b"first", b"GET /small? "]


async def test_an_answer_that_waits_for_its_turn_takes_no_request_s_place() -> None:
    """One slow request holds no more than its own place, however many are behind it."""
    door, limits = TrialDoor(), replace(LIMITS, requests=4)
    async with serving(door, limits) as server:
        client, other = await RawClient.connect(server), await RawClient.connect(server)
        await client.send(GET % b"held" + GET % b"ready" * 8)
        await until(lambda: len(door.requests) == 9)
        assert server.requests == 1
        await other.send(GET % b"other")
        assert (await other.answer())[0] == 200
        door.held[0].respond(200, TEXT, b"")
        assert [(await client.answer())[0] for _ in range(9)] == [200] * 9
        client.reset()
        await until(lambda: len(server.connections) == 1)
        assert server.requests == 0
        assert server.unsent_bytes == 0


@pytest.mark.parametrize("limits", [replace(LIMITS, connections=4), replace(LIMITS, requests=4)])
async def test_slow_bodies_make_room(limits: HttpLimits) -> None:
    """The one that has come in longest is told to come later."""
    async with serving(TrialDoor(), limits) as server:
        slow = [await RawClient.connect(server) for _ in range(4)]
        for number, client in enumerate(slow):
            await client.send(SLOW_BODY)
            await until(lambda number=number: len(server.bodies) == number + 1)
        other = await RawClient.connect(server)
        await other.send(GET % b"other")
        assert (await other.answer())[0] == 200
        assert (await slow[0].answer())[0] == 503
        await slow[1].send(b"0123456789abcdef")
        assert (await slow[1].answer())[2] == b"POST /upload? slow0123456789abcdef"


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_client_that_sends_no_more_is_answered_for_so_long(version: bytes) -> None:
    """It may as well have left: who answers is told after a while."""
    door, limits = TrialDoor(), replace(LIMITS, half_closed_s=0.3)
    async with serving(door, limits) as server:
        client = await RawClient.connect(server)
        await client.send(b"GET /held HTTP/%b\r\nHost: localhost\r\n\r\n" % version)
        client.writer.write_eof()
        began_s = asyncio.get_running_loop().time()
        await until(lambda: door.left == ["/held"])
        assert asyncio.get_running_loop().time() - began_s >= 0.25
        assert not server.connections
