"""What one client, and all of them together, can hold open: times, sizes and numbers, each with its end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import pytest

from gateway.http.exchange import Exchange
from gateway.http.limits import HttpLimits
from gateway.http.server import HttpServer
from tests.support.http_door import TEXT, RawClient, TrialDoor, serving
from tests.support.waiting import eventually_async

LIMITS: Final = HttpLimits(sweep_s=0.02)
GET: Final = b"GET /%b HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST: Final = b"POST /%b HTTP/1.1\r\nHost: localhost\r\n"
WAIT_S: Final = 10.0


def more_than(held: list[Exchange], count: int) -> bool:
    """Tell whether more requests than that have come."""
    return len(held) > count


async def until(condition: Callable[[], object]) -> None:
    """Wait for a condition."""

    async def check() -> object:
        return condition()

    await eventually_async(check, WAIT_S, 0.005)


async def test_answers_go_out_in_the_order_of_their_requests() -> None:
    """Whichever is ready first."""
    door = TrialDoor()
    async with serving(door) as server:
        client = await RawClient.connect(server)
        await client.send(b"".join(GET % b"held%d" % i for i in range(5)))
        await until(lambda: len(door.held) == 5)
        for exchange in reversed(door.held):
            exchange.respond(200, TEXT, exchange.request.path.encode())
        assert [(await client.answer())[2] for _ in range(5)] == [b"/held%d" % i for i in range(5)]
        assert server.requests == 0


async def test_a_stream_waits_for_its_turn_and_others_wait_for_it() -> None:
    """A stream behind a slow request begins once that is answered, and what is behind the stream follows."""
    door = TrialDoor()
    async with serving(door) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"held" + GET % b"stream" + GET % b"last")
        await until(lambda: len(door.requests) == 3)
        door.held[0].respond(200, TEXT, b"first")
        assert [(await client.answer())[2] for _ in range(3)] == [b"first", b"partpartpart", b"GET /last? "]


async def test_no_more_requests_are_read_than_may_wait() -> None:
    """What a client sends beyond that stays where it is, and is answered later."""
    door, limits = TrialDoor(), replace(LIMITS, pipelined=4)
    async with serving(door, limits) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"held" * 20)
        for done in range(20):
            await until(partial(more_than, door.held, done))
            assert len(door.held) <= done + 4
            assert server.requests <= 4
            door.held[done].respond(200, TEXT, b"%d" % done)
            assert (await client.answer())[2] == b"%d" % done


async def test_many_requests_in_one_burst_are_all_answered() -> None:
    """They take turns with other connections."""
    async with serving(TrialDoor()) as server:
        client = await RawClient.connect(server)
        await client.send(b"".join(GET % b"%d" % i for i in range(1_000)))
        for i in range(1_000):
            assert (await client.answer())[2] == b"GET /%d? " % i


@pytest.mark.parametrize(
    ("sent", "limits", "status"),
    [
        (b"GET / HT", replace(LIMITS, head_s=0.05), 408),
        (POST % b"" + b"Content-Length: 9\r\n\r\nabc", replace(LIMITS, body_grace_s=0.05), 408),
        (POST % b"" + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab", replace(LIMITS, body_grace_s=0.05), 408),
        (POST % b"" + b"Content-Length: 9\r\n\r\nabc", replace(LIMITS, body_s=0.05), 408),
        (POST % b"" + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", replace(LIMITS, body_s=0.05), 100),
        (b"", replace(LIMITS, idle_s=0.05), None),
        (b"\r\n", replace(LIMITS, head_s=0.05), None),
        (GET % b"", replace(LIMITS, idle_s=0.05), 200),
    ],
    ids=["head", "body", "chunks", "body in all", "continue", "nothing", "empty line", "kept"],
)
async def test_what_does_not_come_in_time_ends(sent: bytes, limits: HttpLimits, status: int | None) -> None:
    """A slow request is told so; a connection without one is closed."""
    async with serving(TrialDoor(), limits) as server:
        client = await RawClient.connect(server)
        await client.send(sent)
        answer = await asyncio.wait_for(client.rest(), WAIT_S)
        assert answer.startswith(b"HTTP/1.1 %d" % status if status else b"")
        assert bool(answer) == (status is not None)
        client.close()
        await until(lambda: not server.connections)
        assert server.waiting_bytes == 0


async def test_a_body_that_comes_at_its_rate_has_the_time_it_needs() -> None:
    """The grace is for a beginning; what has come earns more time."""
    limits = replace(LIMITS, body_grace_s=0.1, body_bytes_per_s=1_000)
    async with serving(TrialDoor(), limits) as server:
        client = await RawClient.connect(server)
        await client.send(POST % b"" + b"Content-Length: 1001\r\n\r\n" + b"a" * 1_000)
        began = time.monotonic()
        assert (await client.answer())[0] == 408
        assert time.monotonic() - began >= 0.9


async def test_a_client_that_does_not_read_is_cut_and_the_stream_told() -> None:
    """What waits for it is bounded, and so is how long."""
    door = TrialDoor()
    door.part, door.parts = b"a" * 100_000, 10_000
    async with serving(door, replace(LIMITS, write_s=0.1)) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"stream")
        await until(lambda: door.errors)
        assert door.left == ["/stream"]
        await until(lambda: not server.connections)
        client.close()


async def test_a_client_that_never_reads_its_answers_is_cut() -> None:
    """Nor are its next requests taken while answers wait for it."""
    door = TrialDoor()
    async with serving(door, replace(LIMITS, write_s=0.1)) as server:
        client = await RawClient.connect(server)
        request = POST % b"" + b"Content-Length: 90000\r\n\r\n" + b"a" * 90_000
        with pytest.raises(ConnectionError):  # noqa: PT012 # which of them meets it is open
            while len(door.requests) < 10_000:
                await client.send(request)
        await until(lambda: not server.connections)
        assert len(door.requests) < 1_000
        assert server.waiting_bytes == 0


async def test_a_client_that_leaves_is_told_to_who_answers() -> None:
    """Once, and answering it afterwards does nothing."""
    door = TrialDoor()
    async with serving(door) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"held" + GET % b"held/2")
        await until(lambda: len(door.held) == 2)
        client.reset()
        await until(lambda: len(door.left) == 2)
        assert door.left == ["/held", "/held/2"]
        for exchange in door.held:
            exchange.respond(200, TEXT, b"late")
            with pytest.raises(ConnectionResetError):
                await exchange.write(b"late")
        late: list[int] = []
        door.held[0].on_leave(lambda: late.append(1))
        assert late == [1]
        assert server.requests == 0
        assert len(door.left) == 2


async def test_a_client_that_sends_no_more_gets_its_answers() -> None:
    """Half of the connection may be closed before the answer is there."""
    door = TrialDoor()
    async with serving(door) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"held" + GET % b"next")
        client.writer.write_eof()
        await until(lambda: len(door.requests) == 2)
        door.held[0].respond(200, TEXT, b"held")
        assert [(await client.answer())[2] for _ in range(2)] == [b"held", b"GET /next? "]
        assert await client.rest() == b""
        await until(lambda: not server.connections)


@pytest.mark.parametrize("path", [b"stream", b"stream/broken"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_stream_is_in_chunks_or_ends_with_the_connection(path: bytes, version: bytes) -> None:
    """One that breaks never looks whole where HTTP can tell."""
    async with serving(TrialDoor()) as server:
        client = await RawClient.connect(server)
        await client.send((GET % path).replace(b"1.1", version) + GET % b"next")
        sent = await asyncio.wait_for(client.reader.readuntil(b"part" * 1), WAIT_S)
        client.writer.write_eof()
        sent += await client.rest()
        assert sent.count(b"part") == 3
        assert (b"transfer-encoding: chunked" in sent) == (version == b"1.1")
        assert (b"0\r\n\r\n" in sent) == (version == b"1.1" and path == b"stream")
        assert (b"/next" in sent) == (version == b"1.1" and path == b"stream")


async def test_continue_is_said_once_the_door_agrees_and_in_order() -> None:
    """Not before the answers to earlier requests."""
    door = TrialDoor()
    async with serving(door) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"held" + POST % b"" + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        await until(lambda: door.heads == 2)
        door.held[0].respond(200, TEXT, b"held")
        assert (await client.answer())[2] == b"held"
        assert (await client.answer())[0] == 100
        await client.send(b"abc")
        assert (await client.answer())[2] == b"POST /? abc"


async def test_an_answer_is_given_once_and_its_headers_are_lines() -> None:
    """A door that errs is told so."""
    door = TrialDoor()
    async with serving(door) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"held")
        await until(lambda: door.held)
        exchange: Exchange = door.held[0]
        for value in ("a\r\nb: c", "a\nb", "a\rb"):
            with pytest.raises(ValueError, match="line break"):
                exchange.respond(200, [("x", value)], b"")
        with pytest.raises(RuntimeError):
            await exchange.write(b"not begun")
        exchange.respond(204, (), b"")
        with pytest.raises(RuntimeError):
            exchange.respond(200, (), b"again")
        status, headers, _ = await client.answer()
        assert status == 204
        assert "content-length" not in headers


async def test_too_many_requests_under_way_are_refused() -> None:
    """With when to come again; the others are answered."""
    door = TrialDoor()
    async with serving(door, replace(LIMITS, requests=2)) as server:
        clients = [await RawClient.connect(server) for _ in range(3)]
        for client in clients[:2]:
            await client.send(GET % b"held")
        await until(lambda: len(door.held) == 2)
        await clients[2].send(GET % b"more")
        status, headers, body = await clients[2].answer()
        assert (status, headers["retry-after"]) == (429, "1")
        assert b"TOO_MANY_REQUESTS" in body
        for exchange, client in zip(door.held, clients, strict=False):
            exchange.respond(200, TEXT, b"held")
            assert (await client.answer())[0] == 200


async def test_unfinished_bodies_are_bounded_together() -> None:
    """However many clients there are, and requests without a body go on."""
    door, limits = TrialDoor(), replace(LIMITS, waiting_bytes=1_000_000)
    async with serving(door, limits) as server:
        clients = [await RawClient.connect(server) for _ in range(60)]
        for client in clients:
            await client.send(
                POST % b"" + b"Transfer-Encoding: chunked\r\n\r\n" + b"ea60\r\n" + b"a" * 60_000 + b"\r\n"
            )
        done, waiting = await asyncio.wait(
            [asyncio.ensure_future(client.answer()) for client in clients], return_when=asyncio.FIRST_COMPLETED
        )
        await until(lambda: len([task for task in (*done, *waiting) if task.done()]) >= 43)
        assert server.waiting_bytes <= 1_000_000
        answers = [task.result() for task in (*done, *waiting) if task.done()]
        assert {status for status, _, _ in answers} == {429}
        other = await RawClient.connect(server)
        await other.send(GET % b"")
        assert (await other.answer())[0] == 200
        for task in waiting:
            task.cancel()
        for client in clients:
            client.writer.transport.abort()
        await until(lambda: server.waiting_bytes == 0)


async def test_idle_connections_make_room_and_the_oldest_goes_first() -> None:
    """Those that wait for a request keep nobody else out; those that have one are left alone."""
    door = TrialDoor()
    async with serving(door, replace(LIMITS, connections=3)) as server:
        held, oldest, kept = [await RawClient.connect(server) for _ in range(3)]
        await until(lambda: len(server.idle) == 3)
        await held.send(GET % b"held")
        await kept.send(GET % b"")
        await kept.answer()
        await until(lambda: door.held)
        late = await RawClient.connect(server)
        await late.send(GET % b"")
        assert (await late.answer())[0] == 200
        assert await oldest.rest() == b""
        door.held[0].respond(200, TEXT, b"")
        assert (await held.answer())[0] == 200


async def test_slow_heads_make_room_too() -> None:
    """A client that sends a head bit by bit is told to come again."""
    async with serving(TrialDoor(), replace(LIMITS, connections=2)) as server:
        slow = [await RawClient.connect(server) for _ in range(2)]
        for client in slow:
            await client.send(b"GET / HTTP/1.1\r\n")
        await until(lambda: len(server.heads) == 2)
        late = await RawClient.connect(server)
        await late.send(GET % b"")
        assert (await late.answer())[0] == 200
        status, headers, _ = await slow[0].answer()
        assert (status, headers["retry-after"]) == (503, "1")


async def test_one_connection_too_many_is_told_so() -> None:
    """Where all others have a request under way."""
    door = TrialDoor()
    async with serving(door, replace(LIMITS, connections=1, lingering=1, linger_s=0.1)) as server:
        busy = await RawClient.connect(server)
        await busy.send(GET % b"held")
        await until(lambda: door.held)
        late = await RawClient.connect(server)
        await late.send(GET % b"")
        status, headers, body = await late.answer()
        assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
        assert b"TOO_MANY_CONNECTIONS" in body
        cut = await RawClient.connect(server)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):  # noqa: PT012 # likewise
            await cut.send(GET % b"")
            await cut.answer()
        await until(lambda: not server.lingering)
        door.held[0].respond(200, TEXT, b"")
        assert (await busy.answer())[0] == 200


async def test_4096_idle_connections_keep_nobody_out(door_free_files: int) -> None:
    """A request among them is answered."""
    count = min(4_096, door_free_files)
    async with serving(TrialDoor(), LIMITS) as server:
        loop = asyncio.get_running_loop()
        transports = []
        for _ in range(count):
            transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", server.port)
            transports.append(transport)
        await until(lambda: len(server.connections) == count)
        client = await RawClient.connect(server)
        await client.send(GET % b"")
        assert (await client.answer())[0] == 200
        for transport in transports:
            transport.abort()
        client.close()
        await until(lambda: not server.connections)


@pytest.fixture
def door_free_files() -> int:
    """Return how many connections this process may have both ends of."""
    import resource  # noqa: PLC0415 # only this test asks

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = min(hard, 16_384)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return (max(soft, wanted) - 512) // 2


async def test_leaving_answers_what_is_under_way_and_closes_the_rest() -> None:
    """No new connection is taken; each ends with its last answer."""
    door = TrialDoor()
    async with serving(door, replace(LIMITS, leave_idle_s=0.05)) as server:
        held, idle, slow = [await RawClient.connect(server) for _ in range(3)]
        await held.send(GET % b"held")
        await slow.send((GET % b"")[:20])
        await until(lambda: door.held and server.heads)
        server.leave()
        with pytest.raises(OSError, match="Connect call failed"):
            await RawClient.connect(server)
        assert await idle.rest() == b""
        await slow.send((GET % b"")[20:])
        status, headers, _ = await slow.answer()
        assert (status, headers["connection"]) == (200, "close")
        stopping = asyncio.ensure_future(server.stop(WAIT_S))
        await until(lambda: len(server.connections) == 1)
        door.held[0].respond(200, TEXT, b"held")
        status, headers, body = await held.answer()
        assert (status, headers["connection"], body) == (200, "close", b"held")
        await stopping


async def test_stopping_has_an_end() -> None:
    """What is not answered in time is cut."""
    door = TrialDoor()
    async with serving(door, LIMITS) as server:
        client = await RawClient.connect(server)
        await client.send(GET % b"held")
        await until(lambda: door.held)
        await server.stop(0.05)
        await until(lambda: door.left)
        assert await client.rest() == b""


async def test_no_answer_is_lost_as_the_server_leaves_under_load() -> None:
    """Every request that was sent on an open connection is answered, and those that were being accepted are, too."""
    door, limits = TrialDoor(), replace(LIMITS, leave_idle_s=0.3)
    lost: list[str] = []
    answered = 0

    async def ask(server: HttpServer) -> None:
        nonlocal answered
        while True:
            try:
                client = await RawClient.connect(server)
            except OSError:
                return  # not accepted
            while True:
                try:
                    await client.send(GET % b"load")
                    status, headers, _ = await client.answer()
                except (ConnectionError, asyncio.IncompleteReadError) as error:
                    lost.append(type(error).__name__)
                    return
                assert status == 200
                answered += 1
                if headers.get("connection") == "close":
                    client.close()
                    break

    async with serving(door, limits) as server:
        clients = [asyncio.ensure_future(ask(server)) for _ in range(32)]
        await until(lambda: answered > 500)
        server.leave()
        await asyncio.gather(*clients)
        await server.stop(WAIT_S)
    assert lost == []


async def test_two_servers_share_a_port() -> None:
    """Each takes its share; a port that is not shared is refused."""
    doors = TrialDoor(), TrialDoor()
    first = HttpServer(doors[0], LIMITS, host="127.0.0.1", port=0, reuse_port=True, grpc_address=None)
    second = HttpServer(doors[1], LIMITS, host="127.0.0.1", port=first.port, reuse_port=True, grpc_address=None)
    await first.start()
    await second.start()
    with pytest.raises(OSError, match="in use"):
        HttpServer(doors[0], LIMITS, host="127.0.0.1", port=first.port, reuse_port=False, grpc_address=None)
    for _ in range(100):
        client = await RawClient.connect(first)
        await client.send(GET % b"")
        assert (await client.answer())[0] == 200
        client.close()
    assert all(door.requests for door in doors)
    await RawClient.close_all()
    await asyncio.gather(first.stop(WAIT_S), second.stop(WAIT_S))
