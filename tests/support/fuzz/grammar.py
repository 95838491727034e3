"""HTTP/1.1 requests by their grammar (RFC 9112), with what the grammar forbids mixed in."""

import gzip
from random import Random
from typing import Final

from tests.support.fuzz.cases import request
from tests.support.fuzz.contract import Endpoint

_METHODS: Final = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "QUERY", "get", "M-SEARCH")
_BAD_METHODS: Final = ("", "G T", "GET\x00", "CONNECT", "PRI", "@", "A" * 300, "GÉT", "\r\nGET")
_VERSIONS: Final = ("HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/3", "http/1.1", "HTTP/1.1 ", "HTTP/11", "")
_PARTS: Final = (
    *("..", ".", "", "%2e%2e", "%2F", "%00", "%", "%zz", "%C3%28", "%ff", "a%20b", "*", "{user_id}", ":wait", "1234:x"),
    *("😀", "a" * 2000, "1234;v=1", "1234?", "v1", "users", "-1", "9" * 30, "0x10", "%31234", "1e3", "1234\t"),
)
_QUERIES: Final = (
    *("", "user_id=1", "user_id=1&user_id=2", "userId=1", "unknown=1", "=", "&", "&&=&", "a=b=c", "page_size=-1"),
    *("page_size=10", "page_size=99999999999", "page_token=%00", "read_mask=*", "$alt=json", "%75ser_id=1", "user_id"),
    *("user_id=%", "user_id=%ff", "page_size=1e1", "page_size=+1", "x" * 3000, "&".join(f"a{n}=1" for n in range(300))),
    *("kind=MOVIE", "kind=1", "conteudo_id=5678", "filter.a.b.c=1", "a[b]=1", "page_size=1;page_size=2", "?", "#x"),
)
_HEADERS: Final = (
    *(("accept", "*/*"), ("accept", "text/event-stream"), ("accept", "application/xml;q=0"), ("accept", "\x7f")),
    *(("connection", "keep-alive"), ("connection", "x, , y"), ("upgrade", "websocket"), ("te", "trailers")),
    *(("origin", "https://example.com"), ("origin", "null"), ("cookie", "a=b"), ("x-a", ""), ("x-a", "é" * 20)),
    *(
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("traceparent", "zz"),
        ("x", "y" * 4000),
    ),
    *(("idempotency-key", "k" * 200), ("idempotency-key", ""), ("idempotency-key", "k"), ("range", "bytes=0-1")),
    *(
        ("accept-encoding", "gzip, br;q=0"),
        ("content-language", "pt"),
        ("if-none-match", '"x"'),
        ("authorization", "x"),
    ),
    *(("x-http-method-override", "DELETE"), ("forwarded", "for=1"), ("grpc-timeout", "1x"), ("grpc-timeout", "0n")),
)
_CONTENT_TYPES: Final = (
    *("application/json", "application/json; charset=utf-8", "application/json;charset=latin-1", "text/plain", ""),
    *(
        "application/x-www-form-urlencoded",
        "multipart/form-data",
        "application/json, text/plain",
        "*/*",
        "json",
        "\xff",
    ),
)
_BAD_LINES: Final = (
    *("content-length: 5", "content-length: -1", "content-length: +3", "content-length: 0x5", "content-length: 1, 1"),
    *("content-length: 99999999999999999999", "content-length:", "content-length : 0", "transfer-encoding: chunked"),
    *("transfer-encoding: gzip", "transfer-encoding: chunked, chunked", "transfer-encoding: identity", "host: a"),
    *("transfer-encoding: x, chunked", "transfer-encoding:\x0bchunked", "transfer-encoding: chunked\r\n x", "host:"),
    *("host: a b", "host: example.com@localhost", " folded: x", "no colon", ": empty", "a b: c", "x\x00: y", "x: \x00"),
    *(
        "x: a\rb",
        "x: a\nb: c",
        "expect: 100-continue",
        "expect: 200",
        "connection: upgrade\r\nupgrade: h2c",
        "x:" + "y" * 70_000,
    ),
    "\r\n".join(f"x-{number}: y" for number in range(300)),
)
_CHUNKED: Final = (
    *(
        "2\r\n{}\r\n0\r\n\r\n",
        "02\r\n{}\r\n000\r\n\r\n",
        "2;a=b\r\n{}\r\n0\r\nx: y\r\n\r\n",
        "2\n{}\n0\n\n",
        "2\r\n{}0\r\n\r\n",
    ),
    *(
        "0x2\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\n{}\r\n",
        "2\r\n{}\r\n",
        "2 \r\n{}\r\n0\r\n\r\n",
    ),
    *(
        "2;" + "a" * 20_000 + "\r\n{}\r\n0\r\n\r\n",
        "z\r\n{}\r\n0\r\n\r\n",
        "\r\n",
        "2\r\n{}\r\n0\r\nhost: x\r\ncontent-length: 3\r\n\r\n",
    ),
)
_BODIES: Final = (b"", b"{}", b"null", b"[]", b"x" * 100_000, gzip.compress(b"{}"), gzip.compress(b" " * 3_000_000))


def framed(draw: Random, all_endpoints: list[Endpoint]) -> tuple[bytes, bool]:
    """Return a request in right framing, odd in whatever else it has, and whether it is a HEAD."""
    endpoint = draw.choice(all_endpoints)
    verb = endpoint.verb if draw.random() < 0.6 else draw.choice(_METHODS)
    body = draw.choice(_BODIES) if verb not in {"GET", "HEAD", "OPTIONS"} or draw.random() < 0.1 else b""
    headers = draw.sample(_HEADERS, draw.randint(0, 4))
    if body:
        headers.append(("content-type", draw.choice(_CONTENT_TYPES)))
        if draw.random() < 0.3:
            headers.append(("content-encoding", draw.choice(("gzip", "br", "identity", "gzip, gzip", ""))))
    # What may not stand in a target or a field, however odd, would break the framing.
    target = _target(draw, endpoint).replace(" ", "+").replace("\t", "+").replace("#", "%23")
    return request(verb, target, headers, body).replace(b"\x7f", b""), verb == "HEAD"


def unframed(draw: Random, all_endpoints: list[Endpoint]) -> bytes:
    """Return a request whose line, fields or body break the grammar."""
    endpoint = draw.choice(all_endpoints)
    method = draw.choice((endpoint.verb, draw.choice(_METHODS), draw.choice(_BAD_METHODS)))
    target = draw.choice(
        (_target(draw, endpoint), "*", "http://localhost/health", "//x", "localhost:1", "http://", "\\")
    )
    version = "HTTP/1.1" if draw.random() < 0.6 else draw.choice(_VERSIONS)
    lines = [f"{method} {target} {version}", *(["host: localhost"] if draw.random() < 0.9 else [])]
    lines += [f"{name}: {value}" for name, value in draw.sample(_HEADERS, draw.randint(0, 2))]
    if endpoint.body or draw.random() < 0.2:
        lines.append("content-type: application/json")
    if draw.random() < 0.4:
        lines.append("transfer-encoding: chunked")
        body = draw.choice(_CHUNKED).encode()
    else:
        body = draw.choice(_BODIES[:4])
    for _ in range(draw.randint(0, 2)):
        lines.insert(draw.randint(1, len(lines)), draw.choice(_BAD_LINES))
    end = "\r\n" if draw.random() < 0.9 else draw.choice(("\n", "\r", "\r\r\n", "\n\r"))
    head = end.join([*lines, "", ""]).encode("utf-8", "surrogatepass")
    following = request("GET", "/health", []) if draw.random() < 0.3 else b""
    return head + body + following


def _target(draw: Random, endpoint: Endpoint) -> str:
    path = endpoint.path({name: draw.choice(_PARTS) for name in endpoint.variables if draw.random() < 0.5})
    if draw.random() < 0.3:
        parts = path.split("/")
        parts.insert(draw.randint(1, len(parts)), draw.choice(_PARTS))
        path = "/".join(parts)
    return f"{path}?{draw.choice(_QUERIES)}" if draw.random() < 0.4 else path
