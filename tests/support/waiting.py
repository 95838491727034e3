"""Waiting for a condition: the one place where tests poll.

A check that opens connections or starts programs costs the machine more than the test. So the pause between two checks
is at least three times as long as a check takes, up to a bound: what is waited for gets most of the machine.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

_PAUSE_MAX_S: Final = 0.5
_PAUSES_A_CHECK: Final = 3


def eventually(check: Callable[[], T | None], timeout_s: float, interval_s: float = 0.05) -> T:
    """Call `check` until it returns something true, and return that.

    `interval_s` is the least pause between two checks; with 0 there is none, for a check that waits by itself.
    An exception counts as "not yet". After `timeout_s` an AssertionError tells the last value, and has the last
    exception as its cause.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        value, error, began = None, None, time.monotonic()
        try:
            value = check()
        except Exception as raised:  # noqa: BLE001 - whatever it is, it may pass
            error = raised
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(timeout_s, value, error)) from error
        time.sleep(_pause_s(interval_s, began))


async def eventually_async(check: Callable[[], Awaitable[T | None]], timeout_s: float, interval_s: float = 0.05) -> T:
    """Await `check()` until it returns something true, as `eventually` does."""
    deadline = time.monotonic() + timeout_s
    while True:
        value, error, began = None, None, time.monotonic()
        try:
            value = await check()
        except Exception as raised:  # noqa: BLE001 - whatever it is, it may pass
            error = raised
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(_failure(timeout_s, value, error)) from error
        await asyncio.sleep(_pause_s(interval_s, began))


def _pause_s(interval_s: float, began: float) -> float:
    took_s = time.monotonic() - began
    return max(interval_s, min(_PAUSE_MAX_S, _PAUSES_A_CHECK * took_s)) if interval_s else 0.0


def _failure(timeout_s: float, value: object, error: Exception | None) -> str:
    last = f"{type(error).__name__}: {error}" if error else repr(value)
    return f"not within {timeout_s} s; at last: {last}"
