"""A thread that dies is told of, once."""

import asyncio
import threading

import pytest
from structlog.testing import CapturingLogger

from mesh.threads import CriticalThreads


def fail() -> None:
    """Die."""
    raise RuntimeError("a secret value")


async def test_the_first_death_is_told_by_its_name() -> None:
    """Whoever waits hears of it, and whoever waits afterwards too."""
    threads = CriticalThreads()
    waiting = asyncio.create_task(threads.first_death())
    given_up = asyncio.create_task(threads.first_death())
    await asyncio.sleep(0)
    given_up.cancel()
    for name in ("first", "second"):
        thread = threads.new(name, fail)
        assert thread.daemon
        thread.start()
        thread.join()
    assert not threads.all_alive
    assert await asyncio.wait_for(waiting, 5) == "first"
    assert await asyncio.wait_for(threads.first_death(), 5) == "first"


def test_a_death_is_logged_without_what_the_error_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drivers put values into their messages."""
    log = CapturingLogger()
    monkeypatch.setattr("mesh.threads._LOG", log)
    threads = CriticalThreads()
    thread = threads.new("poll", fail)
    thread.start()
    thread.join()
    (call,) = log.calls
    assert call.method_name == "critical"
    assert call.kwargs == {"thread": "poll", "error": "RuntimeError", "exc_info": True}
    assert "a secret value" not in str(call)


def test_a_thread_that_ends_has_not_died() -> None:
    """It was told to stop."""
    threads, ended = CriticalThreads(), threading.Event()
    thread = threads.new("poll", ended.set)
    thread.start()
    thread.join()
    assert ended.is_set()
    assert threads.all_alive
