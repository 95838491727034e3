"""One thing that the fuzzer sends, and what may be expected of its answer."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a case is made of."""

    RAW = "raw bytes"
    GRAMMAR = "HTTP grammar"
    JSON = "JSON"
    GRPC_WEB = "gRPC-Web"


@dataclass(frozen=True, slots=True)
class Case:
    """Bytes to send.

    A framed case is one request in right HTTP framing: it has exactly one answer, and others may follow it on its
    connection. Anything else has a connection to itself, whose writing side is closed once it is sent: it has any
    number of answers, and the server has to close.
    """

    index: int
    kind: Kind
    data: bytes
    is_framed: bool
    is_head: bool = False  # answers have no body
    secret: bytes = b""  # a value in it, which no error may repeat
    is_http2: bool = False  # begins as HTTP/2 does: answers are none of HTTP/1


def request(
    verb: str, target: str, headers: list[tuple[str, str]], body: bytes = b"", *, host: str = "localhost"
) -> bytes:
    """Return an HTTP/1.1 request with right framing."""
    length = [("content-length", str(len(body)))] if body or verb in {"POST", "PUT", "PATCH"} else []
    lines = [f"{verb} {target} HTTP/1.1", f"host: {host}", *(f"{name}: {value}" for name, value in headers + length)]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogatepass") + body
