"""Waiting for a condition: the one place where tests poll."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T | None], timeout_s: float, interval_s: float = 0.05) -> T:
    """Call `check` until it returns something true, and return that.

    An exception counts as "not yet". After `timeout_s` an AssertionError tells the last value, and has the last
    exception as its cause.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value, error = None, None
        try:
            value = check()
        except Exception as raised:  # noqa: BLE001 - whatever it is, it may pass
            error = raised
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(timeout_s, value, error)) from error
        time.sleep(interval_s)


async def eventually_async(check: Callable[[], Awaitable[T | None]], timeout_s: float, interval_s: float = 0.05) -> T:
    """Await `check()` until it returns something true, as `eventually` does."""
    deadline = time.monotonic() + timeout_s
    while True:
        value, error = None, None
        try:
            value = await check()
        except Exception as raised:  # noqa: BLE001 - whatever it is, it may pass
            error = raised
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(timeout_s, value, error)) from error
        await asyncio.sleep(interval_s)


def _failure(timeout_s: float, value: object, error: Exception | None) -> str:
    last = f"{type(error).__name__}: {error}" if error else repr(value)
    return f"not within {timeout_s} s; at last: {last}"
