"""The bytes of an answer's head."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"

CLOSE: Final = "connection: close\r\n"
KEEP_ALIVE: Final = "connection: keep-alive\r\n"  # only HTTP/1.0 has to be told

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


def has_no_body(status: int) -> bool:
    """Tell whether answers of a status never have a body (RFC 9110, section 6.4.1)."""
    return status < 200 or status in (204, 304)


def answer_head(status: int, headers: Sequence[tuple[str, str]], framing: str, connection: str, date: str) -> bytes:
    """Return the status line and the headers. `framing`, `connection` and `date` are whole lines, or empty.

    Raises ValueError for a header with a line break in it.
    """
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header of the answer has a line break in it")
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    return f"{line}{lines}{framing}{connection}{date}\r\n".encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return data as one chunk (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
