"""gRPC-Web (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md): binary and text, unary and server streams.

A message is a frame: a byte of flags, its length in four bytes, its bytes. An answer ends with a frame of its trailers.
In the text form, all of this is base64.
"""

import base64
import binascii
import re
import struct
from contextlib import aclosing
from typing import Final

import structlog
from google.protobuf.message import Message
from google.rpc import status_pb2

from gateway.call_metrics import GRPC_WEB
from gateway.calls import Caller, CallError, Calls, Rpc, RpcKind
from gateway.doors import content
from gateway.doors.deadlines import deadline_s, timeout_s
from gateway.doors.statuses import CORRELATION_ID, Header, grpc_trailers, unknown_method
from gateway.doors.tasks import CallTasks, answer_query
from gateway.http.exchange import Exchange
from gateway.operations.accepted import Serializable
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id

BINARY: Final = frozenset({"application/grpc-web", "application/grpc-web+proto"})
TEXT: Final = frozenset({"application/grpc-web-text", "application/grpc-web-text+proto"})

_HEADER: Final = struct.Struct(">BI")
_COMPRESSED: Final = 0x01
_TRAILERS: Final = 0x80
_OK_TRAILERS: Final = b"grpc-status:0\r\n"
# A text body may be several pieces of base64, each with its own padding.
_PIECE: Final = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_MAX_PIECES: Final = 1_024  # a client has one for each time that it wrote
_ENCODING: Final[Header] = ("grpc-accept-encoding", "identity")

log = structlog.stdlib.get_logger(__name__)


def is_grpc(media_type: str) -> bool:
    """Whether a media type is one of gRPC's own."""
    return media_type == "application/grpc" or media_type.startswith(("application/grpc+", "application/grpc-"))


class GrpcWebDoor:
    """Takes gRPC-Web. `max_request_bytes` bounds a message."""

    def __init__(self, calls: Calls, *, max_request_bytes: int) -> None:
        self._calls = calls
        self._max_bytes = max_request_bytes + _HEADER.size
        self._tasks = CallTasks()

    def head(self, exchange: Exchange, media_type: str, answer_headers: tuple[Header, ...]) -> int | None:
        """Look at a request without its body, whose media type is one of gRPC's.

        Return how many bytes the body may have; None if it is answered. Raises PolystreamError
        UNSUPPORTED_CONTENT_TYPE for gRPC itself, and for messages that are not protobuf's.
        """
        if media_type not in BINARY and media_type not in TEXT:
            raise _unsupported(media_type)
        request = exchange.request
        rpc = self._calls.rpcs.get(request.path[1:])
        call = GrpcWebCall(exchange, rpc, answer_headers, media_type, self)
        exchange.context = call
        if rpc is None:
            call.refuse(unknown_method())
            return None
        # Four characters for three bytes, and a little for padding between pieces.
        max_bytes = self._max_bytes if media_type in BINARY else self._max_bytes * 3 // 2
        if int(request.headers.get("content-length", "0")) > max_bytes:
            call.refuse(content.too_large(self._max_bytes - _HEADER.size))  # HTTP's own refusal is not status 200
            return None
        return max_bytes

    def request(self, call: "GrpcWebCall", rpc: Rpc) -> None:
        """Answer a request that is whole."""
        headers = call.exchange.request.headers
        caller = Caller(headers.get("traceparent"), headers.get("tracestate"), door=GRPC_WEB)
        decoded: Message | PolystreamError
        try:
            caller.deadline_s = deadline_s(headers.get("grpc-timeout"), timeout_s(rpc))
            decoded = rpc.admission.decode(self._message(call))
        except PolystreamError as error:
            decoded = error
        if rpc.kind is RpcKind.COMMAND:
            self._calls.command(rpc, decoded, caller, call)
        elif rpc.kind is RpcKind.STREAM:
            self._tasks.run(self._stream(call, rpc, decoded, caller), call.exchange)
        else:
            self._tasks.run(answer_query(self._calls, rpc, decoded, caller, call), call.exchange)

    async def _stream(self, call: "GrpcWebCall", rpc: Rpc, decoded: Message | PolystreamError, caller: Caller) -> None:
        begun = False
        try:
            async with aclosing(self._calls.stream(rpc, decoded, caller)) as messages:  # type: ignore[type-var]
                async for correlation_id, message in messages:
                    if not begun:
                        begun = True
                        call.begin(correlation_id)
                    await call.exchange.write(call.encoded(_frame(0, message.SerializeToString())))
            await self._end(call, _OK_TRAILERS, begun=begun)
        except CallError as error:
            if begun:
                await self._end(call, _lines(grpc_trailers(error.status, error.correlation_id)), begun=True)
            else:
                call.fail(error.correlation_id, error.status)
        except ConnectionResetError:
            pass  # nobody is there who could be told
        except Exception as error:  # noqa: BLE001 - every request has an end
            log.error("a stream could not be sent", method=rpc.name, error=type(error).__name__)
            call.exchange.end(broken=True)

    async def _end(self, call: "GrpcWebCall", trailers: bytes, *, begun: bool) -> None:
        if not begun:
            call.begin(new_correlation_id())
        try:
            await call.exchange.write(call.encoded(_frame(_TRAILERS, trailers)))
        except ConnectionResetError:
            return
        call.exchange.end()

    def _message(self, call: "GrpcWebCall") -> bytes:
        """Return the request's one message. Raises PolystreamError: MALFORMED_REQUEST, UNIMPLEMENTED."""
        request = call.exchange.request
        if content.content_codings(request.headers):
            raise PolystreamError(Reason.UNIMPLEMENTED, "a gRPC-Web body has no content encoding; send it plain")
        if request.headers.get("grpc-encoding", "identity") != "identity":
            raise _compressed()
        body = _from_text(request.body) if call.is_text else request.body
        if len(body) < _HEADER.size:
            raise _malformed("the body has no whole frame")
        flags, length = _HEADER.unpack_from(body)
        if flags == _COMPRESSED:
            raise _compressed()
        if flags:
            raise _malformed("the body's frame is no message")
        end = _HEADER.size + length
        if len(body) < end:
            raise _malformed("the frame is longer than the body")
        if len(body) > end:
            raise _malformed("something follows the frame, and the method takes one message")
        return body[_HEADER.size :]


class GrpcWebCall:
    """One request and its answer: the responder of its call."""

    __slots__ = ("_answer_headers", "_door", "_media_type", "_rpc", "exchange", "is_text")

    def __init__(
        self,
        exchange: Exchange,
        rpc: Rpc | None,
        answer_headers: tuple[Header, ...],
        media_type: str,
        door: GrpcWebDoor,
    ) -> None:
        self.exchange = exchange
        self.is_text = media_type in TEXT
        self._rpc = rpc
        self._answer_headers = answer_headers
        self._media_type = media_type
        self._door = door

    @property
    def route(self) -> str:
        """The method's path; empty where there is no such method."""
        return f"/{self._rpc.name}" if self._rpc is not None else ""

    def received(self) -> None:
        """Go on: the body is whole."""
        if self._rpc is not None:
            self._door.request(self, self._rpc)

    def begin(self, correlation_id: str) -> None:
        """Begin to answer with several messages."""
        self.exchange.start(200, self._headers(correlation_id))

    def succeed(self, correlation_id: str, response: Serializable) -> None:
        """Answer with a message."""
        body = _frame(0, response.SerializeToString()) + _frame(_TRAILERS, _OK_TRAILERS)
        self.exchange.respond(200, self._headers(correlation_id), self.encoded(body))

    def fail(self, correlation_id: str, status: status_pb2.Status) -> None:
        """Answer with an error, in the trailers; the HTTP status of gRPC-Web is always 200."""
        body = _frame(_TRAILERS, _lines(grpc_trailers(status, correlation_id)))
        self.exchange.respond(200, self._headers(correlation_id), self.encoded(body))

    def refuse(self, error: PolystreamError) -> None:
        """Answer with the error of a request that becomes no call."""
        self.fail(new_correlation_id(), error.to_status())

    def encoded(self, frames: bytes) -> bytes:
        """Return frames in the form of this answer."""
        return base64.b64encode(frames) if self.is_text else frames

    def _headers(self, correlation_id: str) -> tuple[Header, ...]:
        return (("content-type", self._media_type), (CORRELATION_ID, correlation_id), _ENCODING, *self._answer_headers)


def refusal(media_type: str, error: PolystreamError, correlation_id: str) -> tuple[list[Header], bytes]:
    """Return the answer, headers and body, to a gRPC-Web request that HTTP itself refuses."""
    frame = _frame(_TRAILERS, _lines(grpc_trailers(error.to_status(), correlation_id)))
    body = base64.b64encode(frame) if media_type in TEXT else frame
    return [("content-type", media_type), (CORRELATION_ID, correlation_id), _ENCODING], body


def _frame(flags: int, data: bytes) -> bytes:
    return _HEADER.pack(flags, len(data)) + data


def _lines(trailers: list[Header]) -> bytes:
    return "".join(f"{name}:{value}\r\n" for name, value in trailers).encode()


def _from_text(body: bytes) -> bytes:
    """Return the bytes of a text body. Raises PolystreamError MALFORMED_REQUEST."""
    pieces, at = [], 0
    while at < len(body):
        piece = _PIECE.match(body, at)
        if piece is None:
            raise _malformed("the body is not base64")
        try:
            pieces.append(base64.b64decode(piece[0], validate=True))
        except binascii.Error as error:
            raise _malformed("the body is not base64") from error
        at = piece.end()
        if len(pieces) > _MAX_PIECES:
            raise _malformed(f"the body has more than the {_MAX_PIECES} pieces of base64 that are allowed")
    return b"".join(pieces)


def _malformed(what: str) -> PolystreamError:
    return PolystreamError(Reason.MALFORMED_REQUEST, f"the request could not be read: {what}")


def _compressed() -> PolystreamError:
    return PolystreamError(Reason.UNIMPLEMENTED, "compressed messages are not supported; send them as they are")


def _unsupported(media_type: str) -> PolystreamError:
    if media_type.startswith("application/grpc-web"):
        return PolystreamError(
            Reason.UNSUPPORTED_CONTENT_TYPE,
            "gRPC-Web has protobuf messages here; send application/grpc-web+proto, or JSON to a REST path",
        )
    return PolystreamError(
        Reason.UNSUPPORTED_CONTENT_TYPE,
        "gRPC needs HTTP/2, and this is HTTP/1; speak HTTP/2, send application/grpc-web+proto, or JSON to a REST path",
    )
