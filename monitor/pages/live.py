"""Keeps open pages up to date by server-sent events.

Pages that show the same share one feed, which renders them once for all: what a page costs does not grow with the
number of people who look at it. A stream holds no more than the newest state: a browser that reads slowly misses what
was between, and nothing piles up.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from mesh.errors import PolystreamError

MAX_STREAMS: Final = 100
_HEARTBEAT_S: Final = 15.0  # proxies close what is silent for longer
_RETRY_MS: Final = 1000  # after which a browser connects again

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fragment:
    """The part of a page that changes."""

    html: str
    has_ended: bool = False  # nothing will change any more


Render = Callable[[], Awaitable[Fragment]]


@dataclass(slots=True, eq=False)
class _Reader:
    """One open page: the newest message that it has not been sent."""

    waiting: bytes | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, message: bytes) -> None:
        self.waiting = message
        self.woken.set()


class TooManyStreamsError(Exception):
    """As many pages are open as are kept up to date."""


class LivePages:
    """The feeds of all open pages. It belongs to the event loop."""

    def __init__(self, max_streams: int = MAX_STREAMS, heartbeat_s: float = _HEARTBEAT_S) -> None:
        self._max_streams = max_streams
        self._heartbeat_s = heartbeat_s
        self._feeds: dict[str, _Feed] = {}
        self._closed = False

    @property
    def streams(self) -> int:
        """How many pages are open."""
        return sum(len(feed.readers) for feed in self._feeds.values())

    @property
    def feeds(self) -> int:
        """How many different pages they are."""
        return len(self._feeds)

    def open(self, key: str, render: Render, interval_s: float) -> AsyncIterator[bytes]:
        """Return the stream of a page, which is the same as all that have its key.

        Raises TooManyStreamsError.
        """
        if self._closed or self.streams >= self._max_streams:
            raise TooManyStreamsError
        return self._stream(key, render, interval_s)

    def close(self) -> None:
        """End every stream, and open no other one."""
        self._closed = True
        for feed in self._feeds.values():
            feed.stop()

    async def _stream(self, key: str, render: Render, interval_s: float) -> AsyncIterator[bytes]:
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = _Feed(render, interval_s)
        reader = _Reader()
        if feed.newest is not None:
            reader.put(feed.newest)
        feed.readers.add(reader)
        try:
            yield f"retry: {_RETRY_MS}\n\n".encode()
            while not (feed.has_ended and reader.waiting is None):
                try:
                    await asyncio.wait_for(reader.woken.wait(), self._heartbeat_s)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                reader.woken.clear()
                message, reader.waiting = reader.waiting, None
                if message is not None:
                    yield message
        finally:
            feed.readers.discard(reader)
            if not feed.readers:
                feed.stop()
                if self._feeds.get(key) is feed:
                    del self._feeds[key]


class _Feed:
    """Renders a page again and again while anybody looks, and tells them when it has changed."""

    def __init__(self, render: Render, interval_s: float) -> None:
        self.readers: set[_Reader] = set()
        self.newest: bytes | None = None
        self.has_ended = False
        self._render = render
        self._interval_s = interval_s
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Render no more."""
        self.has_ended = True
        self._task.cancel()
        self._wake()

    async def _run(self) -> None:
        try:
            while not self.has_ended:
                fragment = await self._fragment()
                self.has_ended = fragment is not None and fragment.has_ended
                await asyncio.sleep(0 if self.has_ended else self._interval_s)
        finally:
            self.has_ended = True
            self._wake()

    async def _fragment(self) -> Fragment | None:
        try:
            fragment = await self._render()
        except PolystreamError as error:
            self._tell(_event("trouble", error.reason.name))
            return None
        except Exception:  # the page stays as it is, and the others go on
            log.exception("a page could not be rendered")
            self._tell(_event("trouble", "INTERNAL"))
            return None
        self._tell(_event("end" if fragment.has_ended else "page", fragment.html))
        return fragment

    def _tell(self, message: bytes) -> None:
        if message == self.newest:
            return
        self.newest = message
        for reader in self.readers:
            reader.put(message)

    def _wake(self) -> None:
        for reader in self.readers:
            reader.woken.set()


def _event(name: str, data: str) -> bytes:
    """Write one event (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
    lines = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"event: {name}\n{lines}\n".encode()
