"""Streams of open pages: shared, bounded, with nothing but the newest, and ended when the monitor stops."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from mesh.errors import PolystreamError, Reason
from monitor.pages.live import Fragment, LivePages, TooManyStreamsError


class Clicks:
    """A page that changes when it is told to, and counts how often it is rendered."""

    def __init__(self) -> None:
        self.html = "<p>0</p>"
        self.renders = 0
        self.has_ended = False
        self.error: PolystreamError | None = None

    async def render(self) -> Fragment:
        """Render it."""
        self.renders += 1
        if self.error is not None:
            raise self.error
        return Fragment(self.html, self.has_ended)


async def next_event(stream: AsyncIterator[bytes]) -> str:
    """Return the next event, without retry times and heartbeats."""
    async with asyncio.timeout(5):
        while True:
            message = (await anext(stream)).decode()
            if message.startswith("event:"):
                return message


async def test_those_who_see_the_same_share_one_feed() -> None:
    """It is rendered once for all of them, and each is told of a change."""
    live, page = LivePages(), Clicks()
    streams = [live.open("en /", page.render, 0.01) for _ in range(10)]
    for stream in streams:
        assert await next_event(stream) == "event: page\ndata: <p>0</p>\n\n"
    assert (live.feeds, live.streams) == (1, 10)
    page.html = "<p>1</p>\n<p>2</p>"
    for stream in streams:
        assert await next_event(stream) == "event: page\ndata: <p>1</p>\ndata: <p>2</p>\n\n"
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined] # they are generators
    assert (live.feeds, live.streams) == (0, 0)
    renders = page.renders
    await asyncio.sleep(0.05)  # nobody looks: nothing is rendered
    assert page.renders == renders


async def test_a_slow_reader_gets_the_newest_alone() -> None:
    """What was between is never piled up."""
    live, page = LivePages(), Clicks()
    quick, slow = live.open("k", page.render, 0.001), live.open("k", page.render, 0.001)
    await next_event(slow)
    for number in range(1, 20):
        page.html = f"<p>{number}</p>"
        while f"<p>{number}</p>" not in await next_event(quick):
            pass
    assert "<p>19</p>" in await next_event(slow)
    live.close()


async def test_a_page_that_ends_says_so() -> None:
    """The stream ends with it."""
    live, page = LivePages(), Clicks()
    page.has_ended = True
    stream = live.open("k", page.render, 10)
    assert (await next_event(stream)).startswith("event: end\n")
    with pytest.raises(StopAsyncIteration):
        await next_event(stream)


async def test_trouble_is_told_and_passes() -> None:
    """A store that does not answer leaves the page as it is until it does."""
    live, page = LivePages(), Clicks()
    page.error = PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)
    stream = live.open("k", page.render, 0.01)
    assert await next_event(stream) == "event: trouble\ndata: EVENT_LOG_UNAVAILABLE\n\n"
    page.error = None
    assert "<p>0</p>" in await next_event(stream)
    live.close()


async def test_streams_are_bounded_and_end_with_the_monitor() -> None:
    """One too many is refused, and so is every one once it stops."""
    live, page = LivePages(max_streams=2), Clicks()
    streams = [live.open("k", page.render, 0.01) for _ in range(2)]
    for stream in streams:
        await next_event(stream)
    with pytest.raises(TooManyStreamsError):
        live.open("k", page.render, 0.01)
    live.close()
    for stream in streams:
        assert len([message async for message in stream]) <= 1  # what was on its way
    with pytest.raises(TooManyStreamsError):
        live.open("k", page.render, 0.01)


async def test_a_silent_stream_has_a_heartbeat() -> None:
    """So that no proxy closes it."""
    live, page = LivePages(heartbeat_s=0.01), Clicks()
    stream = live.open("k", page.render, 60)
    await next_event(stream)
    async with asyncio.timeout(5):
        assert await anext(stream) == b": still here\n\n"
    live.close()
