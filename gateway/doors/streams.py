"""How many messages go out over one HTTP answer: as lines of JSON, or as server-sent events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Protocol

from google.protobuf.message import Message
from google.rpc import status_pb2

from gateway.calls import CallError
from gateway.doors.content import JSON
from gateway.doors.statuses import CORRELATION_ID, Header
from gateway.http.exchange import Exchange
from gateway.rest.json_writer import status_json

EVENTS: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
OFFERED: Final = (JSON, LINES, EVENTS)  # lines of JSON have the type of JSON where nothing else is asked for

# Proxies and browsers cut a connection on which nothing comes for a minute or so.
KEEP_ALIVE_S: Final = 15.0
_KEEP_ALIVE: Final = b": keep-alive\n\n"
_END: Final = b"event: end\ndata: {}\n\n"  # EventSource connects again after any end: so a page knows to close it


class Printed(Protocol):
    """How a message of the stream is printed; a Binding."""

    def write(self, message: Message) -> bytes:
        """Return the message as JSON, on one line."""


@dataclass(frozen=True, slots=True)
class StreamAnswer:
    """One answer of many messages. `media_type` is one of `OFFERED`."""

    exchange: Exchange
    media_type: str
    headers: tuple[Header, ...]
    printed: Printed

    async def send(self, messages: AsyncIterator[tuple[str, Message]]) -> None:
        """Send messages, each with the call's correlation ID, as they come.

        Raises CallError for one that comes before any message: the answer is not begun then. One that comes later is
        told in the stream. Raises ConnectionResetError where the client has left.
        """
        keeping: asyncio.Task[None] | None = None
        count = 0
        try:
            async with aclosing(messages) as items:  # type: ignore[type-var] # a generator
                async for correlation_id, message in items:
                    count += 1
                    if count == 1:
                        self._start(correlation_id)
                        if self.media_type == EVENTS:
                            keeping = asyncio.create_task(self._keep_alive())
                    await self.exchange.write(self._message(count, self.printed.write(message)))
        except CallError as error:
            if count == 0:
                raise
            await self._fail(error.status)
            return
        finally:
            if keeping is not None:
                keeping.cancel()
        await self._finish(count)

    def _start(self, correlation_id: str) -> None:
        headers = [
            ("content-type", self.media_type),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),  # what nginx before the gateway asks about a stream
            (CORRELATION_ID, correlation_id),
            *self.headers,
        ]
        self.exchange.start(200, headers)

    def _message(self, number: int, json: bytes) -> bytes:
        if self.media_type == EVENTS:
            return b"id: %d\ndata: %b\n\n" % (number, json)
        return json + b"\n"

    async def _finish(self, count: int) -> None:
        if count == 0:
            self._start("")
        if self.media_type == EVENTS:
            await self.exchange.write(_END)
        self.exchange.end()

    async def _fail(self, status: status_pb2.Status) -> None:
        """Tell an error in mid-stream. Lines end without their last chunk, so that no client takes them for whole."""
        json = status_json(status.SerializeToString())
        if self.media_type == EVENTS:
            await self.exchange.write(b"event: error\ndata: %b\n\n" % json)
            self.exchange.end()
            return
        await self.exchange.write(b'{"error":%b}\n' % json)
        self.exchange.end(broken=True)

    async def _keep_alive(self) -> None:
        """Send a comment now and then. It is whole in itself, and may stand between any two events."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_S)
            await self.exchange.write(_KEEP_ALIVE)
