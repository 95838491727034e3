"""Connections: requests are taken in their order, and answered in it."""

import asyncio
import logging
import struct
from collections import deque
from typing import Final, cast

from broker.broker import Broker
from broker.errors import ErrorCode
from broker.requests import API_VERSIONS, APIS, Answer, BrokerRequest, api_versions
from broker.wire import MalformedRequestError, WireReader, WireWriter

_LOG = logging.getLogger(__name__)
_REQUEST_BYTES_MAX: Final = 16 * 1024 * 1024  # clients send a batch of a megabyte for each partition at the most
_UNREAD_BYTES_MAX: Final = 8 * 1024 * 1024  # of answers that a client has not read yet: no request of it is taken then
_UNANSWERED_MAX: Final = 1000  # requests of a connection that wait for their answers
_CONNECTIONS_MAX: Final = 1000
_LENGTH: Final = struct.Struct(">i")


class BrokerConnection(asyncio.Protocol):
    """One client's connection."""

    def __init__(self, broker: Broker, connections: "set[BrokerConnection]") -> None:
        self._broker = broker
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._unanswered: deque[tuple[WireWriter, asyncio.Future[Answer]]] = deque()
        self._reads_slowly = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, where there are not too many."""
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._transport.set_write_buffer_limits(high=_UNREAD_BYTES_MAX)
        if len(self._connections) > _CONNECTIONS_MAX:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what the client still waited for."""
        del exc
        self._transport = None
        self._connections.discard(self)
        for _, answer in self._unanswered:
            answer.cancel()
        self._unanswered.clear()

    def pause_writing(self) -> None:
        """Take no more requests of a client that does not read its answers."""
        self._reads_slowly = True
        if self._transport:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on, with what had come already first."""
        self._reads_slowly = False
        if self._transport:
            self._transport.resume_reading()
        self.data_received(b"")

    def close(self) -> None:
        """End it; what was written is still sent."""
        if self._transport:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take what has come; a client that does not speak the protocol is cut off."""
        self._received += data
        try:
            self._take_requests()
        except MalformedRequestError as error:
            _LOG.warning("a client was cut off: %s", error)
            if self._transport:
                self._transport.abort()

    def _take_requests(self) -> None:
        taken = 0
        while self._transport and not self._reads_slowly and len(self._received) >= taken + 4:
            (length,) = _LENGTH.unpack_from(self._received, taken)
            if not 8 <= length <= _REQUEST_BYTES_MAX:
                raise MalformedRequestError(f"a request of {length} bytes")
            if len(self._received) < taken + 4 + length:
                break
            request = bytes(memoryview(self._received)[taken + 4 : taken + 4 + length])
            taken += 4 + length
            self._take(WireReader(request))
        del self._received[:taken]

    def _take(self, body: WireReader) -> None:
        key, version, correlation = body.int16(), body.int16(), body.int32()
        head = WireWriter().int32(correlation)
        api = APIS.get(key)
        if api is None:
            raise MalformedRequestError(f"a request of kind {key}, which is not known here")
        if not api.versions[0] <= version <= api.versions[1]:
            if key == API_VERSIONS:
                self._answer(head, api_versions(0, ErrorCode.UNSUPPORTED_VERSION))
                return
            raise MalformedRequestError(f"a request of kind {key} in version {version}, which is not known here")
        client_id = body.text()
        if version >= api.flexible_from:
            body.skip_tags()
            head.tags(compact=key != API_VERSIONS)
        self._answer(head, api.handle(BrokerRequest(version, client_id, body, self._broker)))

    def _answer(self, head: WireWriter, answer: "Answer | asyncio.Future[Answer]") -> None:
        """Send an answer, when those before it are sent and it is there."""
        if not isinstance(answer, asyncio.Future):
            if not self._unanswered:
                self._send(head, answer)
                return
            ready: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            ready.set_result(answer)
            answer = ready
        self._unanswered.append((head, answer))
        if len(self._unanswered) > _UNANSWERED_MAX:
            raise MalformedRequestError(f"{_UNANSWERED_MAX} requests wait for an answer")
        if answer.done():
            self._send_ready()
        else:
            answer.add_done_callback(lambda _: self._send_ready())

    def _send_ready(self) -> None:
        while self._unanswered and self._unanswered[0][1].done():
            head, answer = self._unanswered.popleft()
            if not answer.cancelled():
                self._send(head, answer.result())

    def _send(self, head: WireWriter, answer: Answer) -> None:
        if answer is None or self._transport is None:
            return
        body = head.bytes() + answer.bytes()
        self._transport.write(_LENGTH.pack(len(body)) + body)
