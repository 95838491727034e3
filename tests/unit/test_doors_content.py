"""Content types, content encodings, and what a client accepts."""

import gzip
import zlib

import pytest

from gateway.doors import content
from mesh.errors import PolystreamError, Reason

OFFERED = ("application/json", "application/x-ndjson", "text/event-stream")
MAX_BYTES = 1000


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json;",
        "application/json ; profile=x",
        "application/json;\tcharset=utf-8;",
    ],
)
def test_json_in_utf_8_is_json(content_type: str) -> None:
    """However it is written, and with parameters that say nothing of JSON (RFC 8259, section 11)."""
    assert content.is_json(content_type)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/grpcfoo",
        "application/grpc-web+json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/json5",
        "application/a+json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; charset",
        "application/json, text/plain",
        "application/json charset=utf-8",
        "json",
        "",
        "*/*",
    ],
)
def test_what_is_no_json_is_told_apart(content_type: str) -> None:
    """Another type, another encoding, and what is malformed."""
    assert not content.is_json(content_type)


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("text/event-stream", "text/event-stream"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("Application/X-NDJSON", "application/x-ndjson"),
        ("text/event-stream, */*;q=0.1", "text/event-stream"),
        ("text/event-stream, */*", "text/event-stream"),
        ("application/json;q=0.5, text/event-stream;q=0.9", "text/event-stream"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "application/json"),
        ("application/json;q=0, */*", "application/x-ndjson"),
        ('text/plain;title="a,b", application/x-ndjson', "application/x-ndjson"),
        ("not a media type", "application/json"),
        ("application/json;q=2", "application/json"),
        ("x/y," * 1000, "application/json"),
        ("", "application/json"),
        ("text/html", None),
        ("image/*", None),
        ("*/*;q=0", None),
        ("application/json;q=0.000", None),
    ],
)
def test_the_answer_is_what_the_client_likes_best(accept: str | None, chosen: str | None) -> None:
    """By weight, then by exactness, then by our own order; a malformed header takes anything."""
    assert content.choose(accept, OFFERED) == chosen


@pytest.mark.parametrize(
    ("accept_encoding", "accepted"),
    [
        (None, False),
        ("", False),
        ("gzip", True),
        ("GZIP, deflate, br", True),
        ("br;q=1.0, gzip;q=0.8", True),
        ("x-gzip", True),
        ("*", True),
        ("identity", False),
        ("gzip;q=0", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
        ("gzip ; q=0.000", False),
    ],
)
def test_gzip_is_sent_to_who_takes_it(accept_encoding: str | None, accepted: bool) -> None:
    """The header says it, by name or by `*`."""
    assert content.accepts_gzip(accept_encoding) is accepted


@pytest.mark.parametrize("coding", ["gzip", "GZip", "x-gzip", "identity, gzip"])
def test_a_gzipped_body_is_read(coding: str) -> None:
    """As one member or several (RFC 1952)."""
    headers = {"content-encoding": coding}
    content.check_encoding(headers)
    assert content.decode(gzip.compress(b'{"a":1}'), headers, MAX_BYTES) == b'{"a":1}'
    assert content.decode(gzip.compress(b'{"a"') + gzip.compress(b":1}"), headers, MAX_BYTES) == b'{"a":1}'


@pytest.mark.parametrize("headers", [{}, {"content-encoding": "identity"}, {"content-encoding": ""}])
def test_a_plain_body_stays_as_it_is(headers: dict[str, str]) -> None:
    """Without an encoding there is nothing to undo."""
    content.check_encoding(headers)
    assert content.decode(b'{"a":1}', headers, MAX_BYTES) == b'{"a":1}'


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "compress", "gzip, gzip", "gzip, br", "nonsense"])
def test_another_encoding_is_refused(coding: str) -> None:
    """The error says what is taken."""
    with pytest.raises(PolystreamError) as refused:
        content.check_encoding({"content-encoding": coding})
    assert refused.value.reason is Reason.UNSUPPORTED_ENCODING


@pytest.mark.parametrize(
    "body",
    [
        b'{"name":"Ana"}',
        gzip.compress(b'{"a":1}')[:-4],
        gzip.compress(b'{"a":1}') + b"more",
        gzip.compress(b"") * 100 + gzip.compress(b'{"a":1}'),
        zlib.compress(b'{"a":1}'),
        b"\x1f\x8b",
        gzip.compress(b'{"a":1}')[:-8] + b"\0" * 8,
    ],
    ids=["plain", "cut off", "with more after it", "zlib", "two bytes", "wrong check sum"],
)
def test_what_is_no_gzip_is_malformed(body: bytes) -> None:
    """Plain JSON under a wrong label, what is cut off, what has a wrong check sum."""
    with pytest.raises(PolystreamError) as refused:
        content.decode(body, {"content-encoding": "gzip"}, MAX_BYTES)
    assert refused.value.reason is Reason.MALFORMED_REQUEST


@pytest.mark.parametrize(
    "parts_bytes",
    [(MAX_BYTES + 1,), (100_000_000,), (MAX_BYTES, 1)],
    ids=["a byte too much", "a bomb", "two members"],
)
def test_a_body_that_grows_too_large_is_refused(parts_bytes: tuple[int, ...]) -> None:
    """Before it is all there."""
    body = b"".join(gzip.compress(b"\0" * size) for size in parts_bytes)

    with pytest.raises(PolystreamError) as refused:
        content.decode(body, {"content-encoding": "gzip"}, MAX_BYTES)
    assert refused.value.reason is Reason.REQUEST_TOO_LARGE
    assert content.decode(gzip.compress(b"\0" * MAX_BYTES), {"content-encoding": "gzip"}, MAX_BYTES)


@pytest.mark.parametrize(
    ("headers", "announced"),
    [
        ({}, False),
        ({"content-length": "0"}, False),
        ({"content-length": "00"}, False),
        ({"content-length": "10"}, True),
        ({"transfer-encoding": "chunked"}, True),
    ],
)
def test_a_body_is_announced(headers: dict[str, str], announced: bool) -> None:
    """By its length, or by its transfer encoding."""
    assert content.has_body(headers) is announced
