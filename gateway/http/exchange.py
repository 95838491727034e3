"""One request and its answer."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from gateway.http.answers import CLOSE, KEEP_ALIVE, LAST_CHUNK, answer_head, chunk, has_no_body
from gateway.http.request import HttpRequest

if TYPE_CHECKING:
    from gateway.http.sending import AnswerSender


_COPIED_MAX_BYTES: Final = 16_384  # a larger body stays as it is: many clients may be sent the same one


class Exchange:
    """One request and its answer: `respond` once, or `start`, `write` and `end`. All on the event loop.

    Answers go out in the order of their requests; one that is ready early waits in `ready`.
    """

    __slots__ = (
        "_chunked", "_connection", "_leave", "begun", "closes", "complete", "context", "ready", "request", "streaming",
        "turn",
    )  # fmt: skip

    def __init__(self, connection: "AnswerSender", request: HttpRequest, *, closes: bool) -> None:
        self.request = request
        self.context: Any = None  # the door's own, between `head` and `request`
        self.closes = closes  # whether the connection ends with this answer
        self.begun = False  # an answer is given, or a part of it
        self.complete = False  # the whole answer is given
        self.streaming = False
        self.ready: list[bytes] | None = None  # what waits for the answers before
        self.turn: asyncio.Future[None] | None = None  # set while a writer waits for the answers before
        self._connection: AnswerSender | None = connection
        self._chunked = False
        self._leave: Callable[[], object] | None = None

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Answer in full. Adds content-length, date and connection; a HEAD gets no body.

        Does nothing where the client has left. Raises RuntimeError where an answer was begun before, and ValueError
        for a header with a line break in it.
        """
        connection = self._begin()
        if connection is None:
            return
        framing = "" if has_no_body(status) else f"content-length: {len(body)}\r\n"
        head = answer_head(status, headers, framing, self._connection_line(connection), connection.date_line)
        self.begun = True
        if self.request.method == "HEAD" or not framing:
            body = b""
        if len(body) > _COPIED_MAX_BYTES:
            connection.answer(self, head)
            head = b""
        self.complete = True
        connection.answer(self, head + body if head else body)

    def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Begin an answer of unknown length: in chunks, or for HTTP/1.0 until the connection closes."""
        connection = self._begin()
        if connection is None:
            return
        self._chunked = self.request.http_version == "1.1"
        if not self._chunked:
            self.closes = True
        framing = "transfer-encoding: chunked\r\n" if self._chunked else ""
        head = answer_head(status, headers, framing, self._connection_line(connection), connection.date_line)
        self.begun = self.streaming = True
        connection.answer(self, head)

    async def write(self, data: bytes) -> None:
        """Send a part of the answer; wait while the client is behind. Raises ConnectionResetError once it is gone."""
        connection = self._connection
        if connection is None:
            raise ConnectionResetError("the client has left")
        if self.complete or not self.streaming:
            raise RuntimeError("the answer has not begun, or is complete")
        if not data or self.request.method == "HEAD":
            return
        connection.answer(self, chunk(data) if self._chunked else data)
        await connection.caught_up(self)

    def end(self, *, broken: bool = False) -> None:
        """End an answer that `start` began. `broken` cuts the connection, so that the client sees it is not whole."""
        connection = self._connection
        if connection is None or self.complete:
            return
        self.complete = True
        if broken:
            connection.cut(self)
            return
        connection.answer(self, LAST_CHUNK if self._chunked and self.request.method != "HEAD" else b"")

    def on_leave(self, callback: Callable[[], object]) -> None:
        """Call `callback` if the client leaves before the answer is complete; at once if it has left."""
        if self._connection is None and not self.complete:
            callback()
        else:
            self._leave = callback

    def detach(self) -> None:
        """Forget the connection, which has ended or has sent the answer."""
        self._connection = None
        self.context = None  # it leads back to here: two that hold each other would wait for the garbage collector
        leave, self._leave = self._leave, None
        turn, self.turn = self.turn, None
        if turn is not None and not turn.done():
            turn.set_result(None)
        if leave is not None and not self.complete:
            leave()

    def _begin(self) -> "AnswerSender | None":
        if self.begun:
            raise RuntimeError("the request was answered before")
        return self._connection

    def _connection_line(self, connection: "AnswerSender") -> str:
        if self.closes or connection.must_close_after(self):
            self.closes = True
            return CLOSE
        return KEEP_ALIVE if self.request.http_version == "1.0" else ""
