"""Which requests the HTTP server takes and which it refuses, however their bytes are split (RFC 9110, RFC 9112)."""

import random
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

import pytest

from gateway.http.limits import HttpLimits
from gateway.http.server import HttpServer
from tests.support.http_door import RawClient, TrialDoor, serving
from tests.support.http_wire import deliver, statuses_of

LIMITS: Final = HttpLimits(
    target_bytes=200, header_bytes=300, head_bytes=1_000, headers=20, chunk_overhead_bytes=500, discarded_body_bytes=100
)
HOST: Final = b"Host: localhost\r\n"
# What comes behind each request: it is answered only if the connection goes on, and what it asks for is remembered.
PROBE: Final = b"GET /probe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
GOES_ON: Final = True
ENDS: Final = False


@dataclass(frozen=True, slots=True)
class Row:
    """A request as it is sent, the statuses that answer it, and whether the connection goes on."""

    name: str
    data: bytes
    statuses: tuple[int, ...]
    goes_on: bool


def get(*lines: bytes, target: bytes = b"/", version: bytes = b"HTTP/1.1", host: bytes = HOST) -> bytes:
    """Return a GET."""
    return b"GET " + target + b" " + version + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    """Return a POST."""
    return b"POST / " + version + b"\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    """Return a POST in chunks."""
    return post(b"Transfer-Encoding: chunked", body=body)


LENGTH: Final = b"Content-Length: 3"
CHUNKED: Final = b"Transfer-Encoding: chunked"
CLOSE: Final = b"Connection: close"
SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"

TAKEN: Final = (
    Row("get", get(), (200,), GOES_ON),
    Row("two", get() + get(), (200, 200), GOES_ON),
    Row("an empty line before", b"\r\n" + get(), (200,), GOES_ON),
    Row("an empty line between", get() + b"\r\n" + get(), (200, 200), GOES_ON),
    Row("length", post(LENGTH, body=b"abc"), (200,), GOES_ON),
    Row("length 0", post(b"Content-Length: 0"), (200,), GOES_ON),
    Row("white space around a length", post(b"Content-Length: \t 3 \t", body=b"abc"), (200,), GOES_ON),
    Row("post without a body", post(), (200,), GOES_ON),
    Row("get with a body", get(LENGTH)[:-2] + b"\r\n" + SMUGGLED[:3], (200,), GOES_ON),
    Row("a body that looks like a request", post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED), (200,), GOES_ON),  # noqa: E501
    Row("chunks", chunked(b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"), (200,), GOES_ON),
    Row("no chunks", chunked(b"0\r\n\r\n"), (200,), GOES_ON),
    Row("chunks, twice", chunked(b"0\r\n\r\n") + chunked(b"1\r\nx\r\n0\r\n\r\n"), (200, 200), GOES_ON),
    Row("coding in capitals", post(b"TRANSFER-ENCODING: CHUNKED", body=b"3\r\nabc\r\n0\r\n\r\n"), (200,), GOES_ON),
    Row("size in capitals, with zeros", chunked(b"00A\r\n0123456789\r\n0\r\n\r\n"), (200,), GOES_ON),
    Row("empty lines in a chunk", chunked(b"8\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n"), (200,), GOES_ON),
    Row("a request in a chunk", chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)), (200,), GOES_ON),
    Row("chunk extension", chunked(b'3;a=b;c="d"\r\nabc\r\n0;e\r\n\r\n'), (200,), GOES_ON),
    Row("trailers", chunked(b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nCookie: a\r\n\r\n"), (200,), GOES_ON),
    Row("trailers that name a host", chunked(b"0\r\nHost: elsewhere\r\nAuthorization: x\r\n\r\n"), (200,), GOES_ON),
    Row("close", get(CLOSE), (200,), ENDS),
    Row("close among others", get(b"Connection: x, Close"), (200,), ENDS),
    Row("close in a second line", get(b"Connection: x", CLOSE), (200,), ENDS),
    Row("close with a body", post(CLOSE, LENGTH, body=b"abc"), (200,), ENDS),
    Row("1.0", get(version=b"HTTP/1.0"), (200,), ENDS),
    Row("1.0 without host", get(version=b"HTTP/1.0", host=b""), (200,), ENDS),
    Row("1.0 that stays", get(b"Connection: keep-alive", version=b"HTTP/1.0"), (200,), GOES_ON),
    Row("1.0 with a length", post(LENGTH, body=b"abc", version=b"HTTP/1.0"), (200,), ENDS),
    Row("1.0 that expects", post(LENGTH, b"Expect: x", body=b"abc", version=b"HTTP/1.0"), (200,), ENDS),
    Row("whole url", get(target=b"http://localhost/a?b"), (200,), GOES_ON),
    Row("whole url, other case and port", get(target=b"HTTP://LOCALHOST:80"), (200,), GOES_ON),
    Row("options for all", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", (200,), GOES_ON),
    Row("host with port", get(host=b"Host: localhost:8000\r\n"), (200,), GOES_ON),
    Row("host of IPv6", get(host=b"Host: [::1]:8000\r\n"), (200,), GOES_ON),
    Row("escapes and rare characters", get(target=b"/%C3%A9/|{}[]?a='b'&c=%"), (200,), GOES_ON),
    Row("empty header", get(b"X-Empty:"), (200,), GOES_ON),
    Row("header in two lines", get(b"Accept: a", b"Accept: b"), (200,), GOES_ON),
    Row("header with an underscore", get(b"x_y: z"), (200,), GOES_ON),
    Row("header value beyond ASCII", get(b"X: caf\xc3\xa9"), (200,), GOES_ON),
    Row("expect", post(LENGTH, b"Expect: 100-continue", body=b"abc"), (100, 200), GOES_ON),
    Row("expect, other case", post(LENGTH, b"expect: 100-Continue", body=b"abc"), (100, 200), GOES_ON),
    Row("expect without a body", get(b"Expect: 100-continue"), (200,), GOES_ON),
    Row("upgrade", get(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"), (200,), GOES_ON),  # noqa: E501
    Row("upgrade with a length", post(b"Connection: upgrade", b"Upgrade: h2c", LENGTH, body=b"abc"), (200,), GOES_ON),
    Row(
        "upgrade with a request as body",
        post(b"Connection: upgrade", b"uPgrade: h2c", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
        (200,),
        GOES_ON,
    ),
    Row("upgrade in chunks", post(b"Upgrade: x", b"Connection: upgrade", CHUNKED, body=b"0\r\n\r\n"), (200,), GOES_ON),
    Row("refused early, the body is read", post(LENGTH, body=b"abc").replace(b"/ ", b"/refused ", 1), (403,), GOES_ON),
    Row("refused early, no body", get(target=b"/refused"), (403,), GOES_ON),
    Row("the door fails", get(target=b"/fails"), (500,), ENDS),
)  # fmt: skip

REFUSED: Final = (
    Row("no host", get(host=b""), (400,), ENDS),
    Row("two hosts", get(HOST[:-2]), (400,), ENDS),
    Row("two hosts, 1.0", get(HOST[:-2], version=b"HTTP/1.0"), (400,), ENDS),
    Row("empty host", get(host=b"Host:\r\n"), (400,), ENDS),
    Row("host with a space", get(host=b"Host: a b\r\n"), (400,), ENDS),
    Row("host with a path", get(host=b"Host: a/b\r\n"), (400,), ENDS),
    Row("host with a user", get(host=b"Host: a@b\r\n"), (400,), ENDS),
    Row("hosts in a list", get(host=b"Host: a,\tb\r\n"), (400,), ENDS),
    Row("host with a wrong port", get(host=b"Host: a:b\r\n"), (400,), ENDS),
    Row("host with two ports", get(host=b"Host: a:1:2\r\n"), (400,), ENDS),
    Row("host of half IPv6", get(host=b"Host: [::1\r\n"), (400,), ENDS),
    Row("length and chunks", post(LENGTH, CHUNKED, body=b"0\r\n\r\n"), (400,), ENDS),
    Row("chunks and length", post(CHUNKED, LENGTH, body=b"0\r\n\r\n"), (400,), ENDS),
    Row("two lengths", post(LENGTH, b"Content-Length: 4", body=b"abcd"), (400,), ENDS),
    Row("the same length twice", post(LENGTH, LENGTH, body=b"abc"), (400,), ENDS),
    Row("lengths in a list", post(b"Content-Length: 3, 3", body=b"abc"), (400,), ENDS),
    Row("length with plus", post(b"Content-Length: +3", body=b"abc"), (400,), ENDS),
    Row("length with minus", post(b"Content-Length: -3", body=b"abc"), (400,), ENDS),
    Row("length with zeros", post(b"Content-Length: 003", body=b"abc"), (400,), ENDS),
    Row("length 00", post(b"Content-Length: 00"), (400,), ENDS),
    Row("length in hexadecimal", post(b"Content-Length: 0x3", body=b"abc"), (400,), ENDS),
    Row("length with a space in it", post(b"Content-Length: 3 3", body=b"abc"), (400,), ENDS),
    Row("empty length", post(b"Content-Length:"), (400,), ENDS),
    Row("endless length", post(b"Content-Length: 99999999999999999999"), (400,), ENDS),
    Row("length with a comma", post(b"Content-Length: 3,", body=b"abc"), (400,), ENDS),
    Row("coding gzip", post(b"Transfer-Encoding: gzip", body=b"abc"), (501,), ENDS),
    Row("coding gzip, chunked", post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), (501,), ENDS),
    Row("coding identity", post(b"Transfer-Encoding: identity"), (501,), ENDS),
    Row("coding xchunked", post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), (501,), ENDS),
    Row("coding chunked, gzip", post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), (400,), ENDS),
    Row("coding chunked twice", post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), (400,), ENDS),
    Row("coding in two lines", post(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), (400,), ENDS),
    Row("coding with a space", post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"), (400,), ENDS),
    Row("coding with a control character", post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), (400,), ENDS),
    Row("coding folded", post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"), (400,), ENDS),
    Row("coding in quotes", post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), (400,), ENDS),
    Row("empty coding", post(b"Transfer-Encoding:", body=b"0\r\n\r\n"), (400,), ENDS),
    Row("chunks, 1.0", post(CHUNKED, body=b"0\r\n\r\n", version=b"HTTP/1.0"), (400,), ENDS),
    Row("chunk size with plus", chunked(b"+3\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk size with minus", chunked(b"-3\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk size with 0x", chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk size with a space", chunked(b"3 \r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk size before a space", chunked(b" 3\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("no chunk size", chunked(b"\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("no hexadecimal chunk size", chunked(b"g\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("endless chunk size", chunked(b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk size ended by LF", chunked(b"3\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk size ended by CR", chunked(b"3\rabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk ended by LF", chunked(b"3\r\nabc\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk longer than it says", chunked(b"3\r\nabcd\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk shorter than it says", chunked(b"5\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk extension with NUL", chunked(b"3;a\x00\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("chunk extension with LF", chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("long chunk extension", chunked(b"3;" + b"a" * 600 + b"\r\nabc\r\n0\r\n\r\n"), (400,), ENDS),
    Row("many chunk extensions", chunked(b"1;aaaaaaaaaaaaaaa\r\nx\r\n" * 60 + b"0\r\n\r\n"), (400,), ENDS),
    Row("long trailers", chunked(b"0\r\nX: " + b"a" * 600 + b"\r\n\r\n"), (400,), ENDS),
    Row("trailer with a space", chunked(b"0\r\nX : a\r\n\r\n"), (400,), ENDS),
    Row("trailer with a length", chunked(b"0\r\nContent-Length: 3\r\n\r\n"), (400,), ENDS),
    Row("trailers ended by LF", chunked(b"0\r\nX: a\n\r\n"), (400,), ENDS),
    Row("folded", get(b"X: a\r\n b"), (400,), ENDS),
    Row("folded before the first", get(host=b" Host: localhost\r\n"), (400,), ENDS),
    Row("folded by a tab", get(b"X: a\r\n\tb"), (400,), ENDS),
    Row("line ended by LF", get(b"X: a\nY: b"), (400,), ENDS),
    Row("line ended by CR", get(b"X: a\rY: b"), (400,), ENDS),
    Row("head ended by LF", b"GET / HTTP/1.1\n" + HOST + b"\r\n", (400,), ENDS),
    Row("only LF", get().replace(b"\r", b""), (400,), ENDS),
    Row("CR CR LF", get(b"X: a\r"), (400,), ENDS),
    Row("space before a colon", get(b"X : a"), (400,), ENDS),
    Row("tab before a colon", get(b"X\t: a"), (400,), ENDS),
    Row("no colon", get(b"X"), (400,), ENDS),
    Row("no name", get(b": a"), (400,), ENDS),
    *(
        Row(f"{char!r} in a header's {where}", get(b"X" + char + b"Y: a" if where == "name" else b"X: a" + char + b"b"),
            (400,), ENDS)
        for where, chars in (
            ("name", (b"\x00", b"\x01", b"\x7f", b"@", b"(", b"/", b"[", b'"', b"\\", b"{", b"=", b";", b",", b"\xe9", b" ")),  # noqa: E501
            ("value", (b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1b", b"\x7f")),
        )
        for char in chars
    ),
    Row("NUL in the target", get(target=b"/a\x00"), (400,), ENDS),
    Row("control character in the target", get(target=b"/a\x1f"), (400,), ENDS),
    Row("bytes beyond ASCII in the target", get(target=b"/\xc3\xa9"), (400,), ENDS),
    Row("space in the target", get(target=b"/a b"), (400,), ENDS),
    Row("tab in the target", get(target=b"/a\tb"), (400,), ENDS),
    Row("fragment", get(target=b"/a#b"), (400,), ENDS),
    Row("fragment of a whole url", get(target=b"http://localhost/#b"), (400,), ENDS),
    Row("two spaces before the target", b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", (400,), ENDS),
    Row("two spaces behind the target", b"GET /  HTTP/1.1\r\n" + HOST + b"\r\n", (400,), ENDS),
    Row("space at the line's end", b"GET / HTTP/1.1 \r\n" + HOST + b"\r\n", (400,), ENDS),
    Row("space at the line's start", b" GET / HTTP/1.1\r\n" + HOST + b"\r\n", (400,), ENDS),
    Row("tab as a separator", b"GET\t/ HTTP/1.1\r\n" + HOST + b"\r\n", (400,), ENDS),
    Row("no version", b"GET /\r\n" + HOST + b"\r\n", (400,), ENDS),
    Row("no target", b"GET HTTP/1.1\r\n" + HOST + b"\r\n", (400,), ENDS),
    Row("nothing", b"\r\n\r\n" + get(), (400,), ENDS),
    Row("version 1.2", get(version=b"HTTP/1.2"), (505,), ENDS),
    Row("version 2.0", get(version=b"HTTP/2.0"), (505,), ENDS),
    Row("version 0.9", get(version=b"HTTP/0.9"), (505,), ENDS),
    Row("version 1.10", get(version=b"HTTP/1.10"), (400,), ENDS),
    Row("version in lower case", get(version=b"http/1.1"), (400,), ENDS),
    Row("no HTTP", get(version=b"RTSP/1.0"), (400,), ENDS),
    Row("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (400,), ENDS),
    Row("nonsense", b"nonsense\r\n\r\n", (400,), ENDS),
    Row("unknown method", get().replace(b"GET", b"FROB"), (501,), ENDS),
    Row("method in lower case", get().replace(b"GET", b"get"), (501,), ENDS),
    Row("method that is no token", get().replace(b"GET", b"G(T"), (400,), ENDS),
    Row("trace", get().replace(b"GET", b"TRACE"), (405,), ENDS),
    Row("connect", b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + b"\r\n", (405,), ENDS),
    Row("authority as a target", get(target=b"localhost:80"), (400,), ENDS),
    Row("name as a target", get(target=b"index"), (400,), ENDS),
    Row("get for all", get(target=b"*"), (400,), ENDS),
    Row("url of another host", get(target=b"http://elsewhere/"), (400,), ENDS),
    Row("url of another port", get(target=b"http://localhost:81/"), (400,), ENDS),
    Row("url with a user", get(target=b"http://a@localhost/", host=b"Host: a@localhost\r\n"), (400,), ENDS),
    Row("url without a host", get(target=b"http:///a"), (400,), ENDS),
    Row("url of another scheme", get(target=b"ftp://localhost/"), (400,), ENDS),
    Row("unknown expectation", post(LENGTH, b"Expect: 200-ok", body=b"abc"), (417,), ENDS),
    Row("unknown expectation beside", post(LENGTH, b"Expect: 100-continue, x", body=b"abc"), (417,), ENDS),
    *(
        Row(f"{name.decode()} twice", get(name + b": a", name + b": a"), (400,), ENDS)
        for name in (b"Content-Type", b"Authorization", b"Content-Encoding", b"Idempotency-Key", b"traceparent",
                     b"Origin", b"content-length", b"HOST", b"Grpc-Timeout")
    ),
    Row("long target", get(target=b"/" + b"a" * 200), (414,), ENDS),
    Row("very long target", get(target=b"/" + b"a" * 1_200), (414,), ENDS),
    Row("long header", get(b"X: " + b"a" * 300), (431,), ENDS),
    Row("long head", get(*(b"X%d: %b" % (i, b"a" * 90) for i in range(12))), (431,), ENDS),
    Row("endless header", get(b"X: " + b"a" * 2_000), (431,), ENDS),
    Row("many headers", get(*(b"X%d: a" % i for i in range(20))), (431,), ENDS),
    Row("length over the bound", post(b"Content-Length: 1001"), (413,), ENDS),
    Row("length over the bound, expect", post(b"Content-Length: 1001", b"Expect: 100-continue"), (413,), ENDS),
    Row("chunk over the bound", chunked(b"3e9\r\n" + b"a" * 1_001 + b"\r\n0\r\n\r\n"), (413,), ENDS),
    Row("refused early, long", post(b"Content-Length: 101").replace(b"/ ", b"/refused ", 1), (403,), ENDS),
    Row("refused early, chunks", chunked(b"0\r\n\r\n").replace(b"/ ", b"/refused ", 1), (403,), ENDS),
    Row(
        "refused early, expect",
        post(LENGTH, b"Expect: 100-continue").replace(b"/ ", b"/refused ", 1),
        (403,),
        ENDS,
    ),
)  # fmt: skip

ROWS: Final = (*TAKEN, *REFUSED)


@pytest.fixture
def door() -> TrialDoor:
    """Return a door."""
    return TrialDoor(largest=1_000)


@pytest.fixture
async def server(door: TrialDoor) -> AsyncIterator[HttpServer]:
    """Return a server with small bounds."""
    async with serving(door, LIMITS) as running:
        yield running


def whole(data: bytes) -> Iterator[bytes]:
    """Return all in one piece."""
    yield data


def single(data: bytes) -> Iterator[bytes]:
    """Return byte by byte."""
    return (data[i : i + 1] for i in range(len(data)))


def split(data: bytes, seed: int) -> Iterator[bytes]:
    """Return pieces of random lengths, short ones more often."""
    draw, at = random.Random(seed), 0
    while at < len(data):
        size = draw.choice((1, 2, 3, 7, 20, 100, 1_000, 50_000))
        yield data[at : at + size]
        at += size


def check(row: Row, sent: bytes | bytearray, door: TrialDoor) -> None:
    """Hold what was sent, and what the door was asked, to a row."""
    assert statuses_of(sent) == [*row.statuses, *([200] if row.goes_on else [])]
    assert "/smuggled" not in {request.path for request in door.requests}
    assert ("/probe" in {request.path for request in door.requests}) == row.goes_on
    assert (b"connection: close" in bytes(sent).lower()) or not row.statuses


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_request_is_answered_however_it_is_split(row: Row, door: TrialDoor, server: HttpServer) -> None:
    """In one piece, byte by byte and in random pieces: the same answers, and none to what is no request."""
    data = row.data + PROBE
    ways = [whole(data), single(data), *(split(data, seed) for seed in range(4))]
    for pieces in ways:
        door.requests.clear()
        transport = await deliver(server, pieces)
        check(row, transport.sent, door)
    assert server.requests == 0
    assert server.waiting_bytes == 0
    assert not server.connections
    assert not server.idle
    assert not server.heads


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_a_client_can_read_each_answer(row: Row, door: TrialDoor, server: HttpServer) -> None:
    """Over a real connection nothing resets the answer, though the client sends more than is read."""
    client = await RawClient.connect(server)
    await client.send(row.data + PROBE)
    sent = await client.rest()
    check(row, sent, door)
    client.close()


async def test_random_rows_one_behind_the_other(door: TrialDoor, server: HttpServer) -> None:
    """Whatever requests follow each other, and however they are split: each gets the answer that it gets alone."""
    draw = random.Random(14)
    going_on = [row for row in TAKEN if row.goes_on]
    for seed in range(300):
        rows = [*draw.choices(going_on, k=draw.randrange(6)), draw.choice(ROWS)]
        data = b"".join(row.data for row in rows) + PROBE
        expected = [status for row in rows for status in row.statuses] + ([200] if rows[-1].goes_on else [])
        transport = await deliver(server, split(data, seed))
        assert statuses_of(transport.sent) == expected, (seed, [row.name for row in rows])
    assert "/smuggled" not in {request.path for request in door.requests}
    assert server.waiting_bytes == 0


@pytest.mark.parametrize(
    ("data", "path", "query"),
    [
        (get(target=b"/a%2Fb?c=d?e"), "/a%2Fb", "c=d?e"),
        (get(target=b"http://localhost/a?b"), "/a", "b"),
        (get(target=b"http://localhost?b"), "/", "b"),
        (get(target=b"https://LOCALHOST:443"), "/", ""),
        (get(target=b"//elsewhere/a"), "//elsewhere/a", ""),
        (get(target=b"/?"), "/", ""),
        (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", "*", ""),
        (b"OPTIONS http://localhost HTTP/1.1\r\n" + HOST + b"\r\n", "*", ""),
    ],
)
async def test_a_target_has_a_path_and_a_query(
    data: bytes, path: str, query: str, door: TrialDoor, server: HttpServer
) -> None:
    """Each form of a request target is reduced to a path and a query, as they were sent."""
    await deliver(server, whole(data))
    assert [(request.path, request.query) for request in door.requests] == [(path, query)]


async def test_headers_are_joined_and_trailers_dropped(door: TrialDoor, server: HttpServer) -> None:
    """A list may come in several lines; names are in lower case; what trails a body is no header of it or the next."""
    lines = (b"ACCEPT: a ", b"accept: b", b"X-Latin: caf\xe9", b"Transfer-Encoding: chunked")
    data = post(*lines, body=b"1\r\nx\r\n0\r\nCookie: y\r\n\r\n") + get()
    await deliver(server, single(data))
    first, second = door.requests
    assert first.headers == {
        "host": "localhost", "accept": "a, b", "x-latin": "café", "transfer-encoding": "chunked"
    }  # fmt: skip
    assert first.body == b"x"
    assert first.peer == "192.0.2.1"
    assert second.headers == {"host": "localhost"}


async def test_a_refusal_says_what_is_wrong_and_quotes_nothing(server: HttpServer) -> None:
    """The server's own errors have the door's shape, and no value of the client's."""
    for row in REFUSED:
        transport = await deliver(server, whole(row.data + PROBE))
        sent = bytes(transport.sent)
        if b"application/json" in sent:
            assert re.search(rb'"reason": "[A-Z_]+", "message": "[^"]{15,}"', sent), row.name
            assert b"localhost" not in sent, row.name


async def test_head_has_no_body(server: HttpServer) -> None:
    """HEAD is answered as GET is, without the body; refusals too."""
    head = get().replace(b"GET", b"HEAD")
    transport = await deliver(server, whole(head + head + head.replace(HOST, b"") + PROBE))
    assert statuses_of(transport.sent, heads=(0, 1, 2)) == [200, 200, 400]
    assert b"content-length: 8\r\n" in transport.sent
