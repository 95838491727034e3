"""Messages from bytes: llhttp by `httptools`, held to the rules that it leaves open."""

import re
from dataclasses import dataclass
from typing import Final

from httptools import HttpParserError, HttpParserInvalidMethodError, HttpParserUpgrade, HttpRequestParser

from gateway.http.heads import (
    SINGLE,
    STRAY,
    TOKEN,
    HeadError,
    body_length,
    check_host,
    lower_name,
    malformed,
    read_target,
    too_large,
)
from gateway.http.limits import HttpLimits
from mesh.errors import PolystreamError, Reason

_VERSIONS: Final = {b"HTTP/1.1": "1.1", b"HTTP/1.0": "1.0"}
_OTHER_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_METHODS: Final = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
}
_NEVER_ALLOWED: Final = frozenset({"TRACE", "CONNECT"})
_ALLOW: Final = (("allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),)
_UPGRADE: Final = re.compile(rb"(?i)(?<=\r\n)upgrade:[^\r\n]*\r\n")


@dataclass(slots=True)
class RequestHead:
    """What a request's head says."""

    method: str
    path: str
    query: str
    version: str
    headers: dict[str, str]
    length: int | None  # of the body in bytes; None in chunks
    keeps: bool  # whether the connection may go on after it
    expects_continue: bool


class MessageParser:
    """Reads one message after another.

    llhttp gets whole heads only, and never a byte beyond a message's end, so how the bytes were split on their way
    changes nothing.
    """

    __slots__ = ("_fault", "_headers", "_keeps", "_limits", "_parser", "body", "complete", "keeps_body")

    def __init__(self, limits: HttpLimits) -> None:
        self._limits = limits
        self._parser = HttpRequestParser(self)
        self._headers: dict[str, str] | None = None  # of the head that is read; None: trailers, which are dropped
        self._fault: HeadError | None = None
        self._keeps = True
        self.complete = False  # the message's end was read
        self.keeps_body = True
        self.body: bytes | bytearray = b""

    def head(self, data: bytes) -> RequestHead:
        """Read a whole head, with the empty line at its end. Raises HeadError."""
        try:
            return self._head(data)
        except HeadError:
            # However the bytes came: what would have been refused before the head was whole has the first word.
            if STRAY.search(data, 0, self._limits.head_bytes):
                raise malformed("the head of the request has a control character or a bare line break in it") from None
            raise

    def feed(self, data: bytes | memoryview) -> None:
        """Read bytes of a body. Raises HeadError."""
        try:
            self._parser.feed_data(data)
        except HttpParserError as error:
            raise malformed(f"the body is not valid HTTP: {error}") from None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; llhttp calls this."""
        headers = self._headers
        if headers is None:
            return
        key = lower_name(name)
        text = value.decode("latin-1").rstrip(" \t")
        if key not in headers:
            headers[key] = text
        elif key in SINGLE:
            self._fault = malformed(f"the header {key} may come once only")
        else:
            headers[key] = f"{headers[key]}, {text}"

    def on_body(self, data: bytes) -> None:
        """Keep bytes of a body; llhttp calls this."""
        if not self.keeps_body:
            return
        body = self.body
        if not body:
            self.body = data
        elif isinstance(body, bytearray):
            body += data
        else:
            self.body = bytearray(body) + data

    def on_headers_complete(self) -> None:
        """Note whether the connection may go on: llhttp forgets it at the message's end. It calls this."""
        self._keeps = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """Note a message's end; llhttp calls this."""
        self.complete = True

    def _head(self, data: bytes) -> RequestHead:
        self._check_size(data)
        line = data[: data.index(b"\r\n")].split(b" ")
        if len(line) != 3:
            raise malformed("the first line of the request has to be a method, a target and a version")
        version = _VERSIONS.get(line[2])
        if version is None:
            raise _unknown_version(line[2])
        headers: dict[str, str] = {}
        upgrades = self._feed_head(data, headers, version)
        if self._fault is not None:
            raise self._fault
        host = headers.get("host")
        if host is not None:
            check_host(host)
        elif version == "1.1":
            raise malformed("HTTP/1.1 asks for the header host")
        length: int | None = 0
        if "content-length" in headers or "transfer-encoding" in headers:
            length = body_length(headers, version)
            if upgrades and length != 0:
                # llhttp hands over to another protocol here, and would read the body as the next request.
                self._parser = HttpRequestParser(self)
                self._feed_head(_UPGRADE.sub(b"", data), {}, version)
        if self.complete != (length == 0):
            raise malformed("it is unclear where the body of the request ends")
        method = _METHODS.get(line[0]) or line[0].decode("ascii")
        path, query = _targets(line[1].decode("ascii"), method, host)
        expects = "expect" in headers and version == "1.1" and _expects_continue(headers["expect"])
        return RequestHead(method, path, query, version, headers, length, self._keeps, expects and length != 0)

    def _feed_head(self, data: bytes, headers: dict[str, str], version: str) -> bool:
        """Give a head to llhttp. Return whether it would hand over to another protocol. Raises HeadError."""
        self.complete, self._fault, self._headers = False, None, headers
        self.body, self.keeps_body = b"", True
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            return True
        except HttpParserInvalidMethodError:
            method = data[: data.index(b" ")].decode("latin-1")
            if not TOKEN.fullmatch(method):
                raise malformed("the method of the request is not a token") from None
            raise HeadError(501, PolystreamError(Reason.UNIMPLEMENTED, "this method is not known here")) from None
        except HttpParserError as error:
            if "transfer-encoding" in headers:
                body_length(headers, version)
            if "url" in str(error):
                raise malformed(
                    "the request target has a character that may not stand there; percent-encode it"
                ) from None
            raise malformed(f"the request is not valid HTTP: {error}") from None
        finally:
            self._headers = None
        return False

    def _check_size(self, data: bytes) -> None:
        limits = self._limits
        if data[0] in b"\r\n":
            raise malformed("the request begins with empty lines")
        if len(data) > limits.head_bytes:
            raise too_large(data, limits)
        if data.count(b"\r\n") - 2 > limits.headers:
            raise HeadError(
                431, PolystreamError(Reason.HEADERS_TOO_LARGE, f"send at most {limits.headers} headers with a request")
            )
        if len(data) > min(limits.header_bytes, limits.target_bytes):
            lines = data.split(b"\r\n")
            if max(map(len, lines[1:])) > limits.header_bytes or len(lines[0]) > limits.target_bytes:
                raise too_large(data, limits)


def early_fault(partial: bytearray, seen: int, limits: HttpLimits) -> HeadError | None:
    """Return why a head is refused before it is whole, if it is. Its first `seen` bytes were looked at before."""
    if partial.startswith(b"\r\n"):
        return malformed("the request begins with empty lines")
    if STRAY.search(partial, max(0, seen - 2), limits.head_bytes):
        return malformed("the head of the request has a control character or a bare line break in it")
    if len(partial) > limits.head_bytes:
        return too_large(partial, limits)
    return None


def _targets(target: str, method: str, host: str | None) -> tuple[str, str]:
    """Return path and query of a target. Raises HeadError, also for what no target allows."""
    if method in _NEVER_ALLOWED:
        raise HeadError(405, PolystreamError(Reason.UNIMPLEMENTED, "this method is never allowed here"), _ALLOW)
    return read_target(target, method, host)


def _expects_continue(expect: str) -> bool:
    """Read the header expect (RFC 9110, section 10.1.1). Raises HeadError."""
    if expect.lower() != "100-continue":
        raise HeadError(417, PolystreamError(Reason.UNIMPLEMENTED, "only 100-continue can be expected"))
    return True


def _unknown_version(version: bytes) -> HeadError:
    if _OTHER_VERSION.fullmatch(version):
        return HeadError(
            505, PolystreamError(Reason.UNIMPLEMENTED, "send HTTP/1.1, HTTP/1.0, or HTTP/2 from the start")
        )
    return malformed("the first line of the request does not end in a version of HTTP")
