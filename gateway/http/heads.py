"""The rules for a request's head that the parser leaves open, or sees too leniently (RFC 9110 and RFC 9112)."""

import re
from functools import lru_cache
from typing import Final

from gateway.http.limits import HttpLimits
from mesh.errors import PolystreamError, Reason

# What no head has: control characters, and CR and LF that are not a line's end.
STRAY: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")
TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# Headers with one value: of two, different programs take different ones.
SINGLE: Final = frozenset({
    "access-control-request-method", "authorization", "content-encoding", "content-length", "content-location",
    "content-range", "content-type", "expect", "grpc-timeout", "host", "idempotency-key", "if-modified-since",
    "if-unmodified-since", "max-forwards", "origin", "proxy-authorization", "range", "referer", "traceparent",
    "transfer-encoding", "user-agent", "x-correlation-id", "x-http-method-override", "x-request-id",
})  # fmt: skip

_NAMES: dict[bytes, str] = {}
_NAMES_MAX: Final = 1_024  # spellings of header names that are remembered
_NAME_BYTES_MAX: Final = 64

_HOST: Final = re.compile(
    r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9\-._~!$&'()*+,;=%]{1,255})(?::[0-9]{0,5})?"  # RFC 3986, section 3.2.2
)
_DEFAULT_PORTS: Final = {"http": ":80", "https": ":443"}
_LENGTH: Final = re.compile(r"0|[1-9][0-9]{0,17}")


class HeadError(Exception):
    """A head that is refused: the status, and the error in the shape of all errors."""

    def __init__(self, status: int, error: PolystreamError, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error
        self.headers = headers  # beside the door's


def malformed(message: str) -> HeadError:
    """Return the refusal of a request that breaks the rules of HTTP."""
    return HeadError(400, PolystreamError(Reason.MALFORMED_REQUEST, message))


def too_large(head: bytes | bytearray, limits: HttpLimits) -> HeadError:
    """Return the refusal of a head that is over a bound in bytes."""
    end = head.find(b"\r\n")
    if (end if end >= 0 else len(head)) > limits.target_bytes:
        message = f"the request target is too long; send at most {limits.target_bytes} bytes"
        return HeadError(414, PolystreamError(Reason.HEADERS_TOO_LARGE, message))
    message = f"send headers of at most {limits.head_bytes} bytes in all, and of {limits.header_bytes} bytes each"
    return HeadError(431, PolystreamError(Reason.HEADERS_TOO_LARGE, message))


def lower_name(name: bytes) -> str:
    """Return a header's name in lower case. Spellings that come often are looked up."""
    known = _NAMES.get(name)
    if known is None:
        known = name.decode("ascii").lower()
        if len(_NAMES) < _NAMES_MAX and len(name) <= _NAME_BYTES_MAX:
            _NAMES[name] = known
    return known


def body_length(headers: dict[str, str], version: str) -> int | None:
    """Return the body's length in bytes, 0 without one, or None for chunks. Raises HeadError."""
    length, coding = headers.get("content-length"), headers.get("transfer-encoding")
    if coding is not None:
        if length is not None:
            raise malformed("the request has both content-length and transfer-encoding; send one of them")
        if version == "1.0":
            raise malformed("HTTP/1.0 has no transfer-encoding; send content-length")
        codings = [part.strip(" \t").lower() for part in coding.split(",")]
        if codings == ["chunked"]:
            return None
        if "chunked" in codings[:-1] or not all(TOKEN.match(part) for part in codings):
            raise malformed("transfer-encoding is not valid; chunked has to be the last, and only once")
        raise HeadError(
            501, PolystreamError(Reason.UNIMPLEMENTED, "this transfer-encoding is not supported; send chunked alone")
        )
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise malformed("content-length is not a length; send it once, as decimal digits without leading zeros")
    return int(length)


def read_target(target: str, method: str, host: str | None) -> tuple[str, str]:
    """Return a request target's path and query (RFC 9112, section 3.2). Raises HeadError for any other form."""
    if target.startswith("/"):
        path, _, query = target.partition("?")
    elif target == "*" and method == "OPTIONS":
        return "*", ""
    else:
        scheme, found, rest = target.partition("://")
        port = _DEFAULT_PORTS.get(scheme.lower())
        if not found or port is None:
            raise malformed("the request target has to be a path, or a whole http URL")
        authority = re.split(r"[/?]", rest, maxsplit=1)[0]
        check_host(authority)
        if host is not None and _same(authority, port) != _same(host, port):
            raise malformed("the header host and the request target name different hosts")
        path, _, query = rest[len(authority) :].partition("?")
        path = path or ("*" if method == "OPTIONS" and not query else "/")
    if "#" in target:
        raise malformed("the request target has a fragment; leave out what follows the #")
    return path, query


@lru_cache(maxsize=256)
def check_host(host: str) -> None:
    """Raise HeadError unless a Host header, or an authority, has a host's syntax (RFC 9110, section 7.2)."""
    if not _HOST.fullmatch(host):
        raise malformed("the header host is not a host name with or without a port")


def _same(authority: str, default_port: str) -> str:
    return authority.lower().removesuffix(default_port).removesuffix(":")
