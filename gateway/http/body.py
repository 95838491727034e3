"""The body of the request that a connection takes at the moment."""

from typing import Final

from gateway.http.heads import HeadError, malformed
from gateway.http.limits import HttpLimits
from gateway.http.parser import MessageParser, RequestHead
from mesh.errors import PolystreamError, Reason

_MESSAGE_END: Final = b"\r\n\r\n"  # the last chunk, with or without trailers, ends in an empty line


class IncomingBody:
    """Finds where a body ends, and holds it to its bounds while it arrives. One a connection, for all its requests."""

    __slots__ = ("_limits", "_parser", "_tail", "_wire", "largest", "left", "needs_continue")

    def __init__(self, parser: MessageParser, limits: HttpLimits) -> None:
        self._parser = parser
        self._limits = limits
        self.left: int | None = 0  # bytes that are to come; None in chunks
        self.largest = 0  # bytes that the door takes
        self.needs_continue = False
        self._wire = 0  # bytes of a body in chunks, as they came
        self._tail = b""  # the last of them, in which the message's end may begin

    def expect(self, head: RequestHead) -> None:
        """Begin a body, of which the door has yet to say whether it wants it."""
        self.left = head.length
        self.largest = self._wire = 0
        self._tail = b""
        self.needs_continue = head.expects_continue

    def forget(self) -> None:
        """Let go of the body: it is whole, or nobody wants it."""
        self.needs_continue = False
        self._parser.body = b""

    def take(self, data: bytes, at: int) -> int:
        """Take what has come. Return where what follows begins. Raises HeadError.

        The parser's `complete` tells whether the body is whole.
        """
        parser = self._parser
        end = self._end(data, at)
        self.needs_continue = False
        parser.feed(data if end - at == len(data) else memoryview(data)[at:end])
        if self.left is not None:
            self.left -= end - at
        else:
            self._wire += end - at
            self._tail = (self._tail + data[max(at, end - 3) : end])[-3:]
        self._check_size()
        return end

    @property
    def held_bytes(self) -> int:
        """How much of a body waits here for the rest of it."""
        return len(self._parser.body)

    @property
    def wait_s(self) -> float:
        """How long a body may take, as much of it as has come, in seconds."""
        limits = self._limits
        received = self._wire if self.left is None else len(self._parser.body)
        return min(limits.body_s, limits.body_grace_s + received / limits.body_bytes_per_s)

    @property
    def is_worth_reading(self) -> bool:
        """Whether a body that nobody wants is so short that the connection is kept for it."""
        return not self.needs_continue and self.left is not None and self.left <= self._limits.discarded_body_bytes

    def _end(self, data: bytes, at: int) -> int:
        """Return where the message ends at the latest: what follows may be the next one."""
        if self.left is not None:
            return min(len(data), at + self.left)
        tail = self._tail
        across = (tail + data[at : at + 3]).find(_MESSAGE_END)
        if across >= 0:
            return at + across + 4 - len(tail)
        end = data.find(_MESSAGE_END, at)
        return len(data) if end < 0 else end + 4

    def _check_size(self) -> None:
        parser, limits = self._parser, self._limits
        size = len(parser.body)
        if parser.keeps_body:
            if size > self.largest:
                raise HeadError(413, PolystreamError(Reason.REQUEST_TOO_LARGE))
            if self._wire > limits.chunk_overhead_bytes + 8 * size:
                raise malformed("the chunks' sizes, extensions and trailers are too long")
