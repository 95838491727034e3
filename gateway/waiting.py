"""Callers who wait for Kafka, each until its own deadline: one timer for all of them."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

TICK_S: Final = 0.01  # how late a caller may be told that its time is up, in seconds


class Waiting(Protocol):
    """One who waits."""

    tick: int  # the tick of the clock at which it expires; 0 while it does not wait


_W = TypeVar("_W", bound=Waiting)


class WaitingRoom(Generic[_W]):
    """Whoever waits, in a set for each tick of the clock. Belongs to the event loop.

    `expire` is called with each one whose time is up, and who has left the room by then. The room is as large as its
    callers make it: the producer bounds how many wait for it.
    """

    def __init__(self, expire: Callable[[_W], None]) -> None:
        self._expire = expire
        self._by_tick: dict[int, set[_W]] = {}
        self._waiting = 0
        self._swept = 0  # the last tick that was looked at
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return self._waiting

    def enter(self, who: _W, deadline_s: float) -> None:
        """Wait until `deadline_s`, on the monotonic clock."""
        if self._timer is None:
            self._swept = int(time.monotonic() / TICK_S)
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._sweep)
        tick = int(deadline_s / TICK_S) + 1
        if tick <= self._swept:
            tick = self._swept + 1
        who.tick = tick
        room = self._by_tick.get(tick)
        if room is None:
            room = self._by_tick[tick] = set()
        room.add(who)
        self._waiting += 1

    def leave(self, who: _W) -> None:
        """Wait no longer; who does not wait may not leave."""
        self._by_tick[who.tick].remove(who)
        who.tick = 0
        self._waiting -= 1

    def _sweep(self) -> None:
        """Let those expire whose ticks have passed, and come again while anybody waits."""
        now = int(time.monotonic() / TICK_S)
        due = [who for tick in range(self._swept + 1, now + 1) for who in self._by_tick.pop(tick, ())]
        self._swept = now
        for who in due:
            who.tick = 0
        self._waiting -= len(due)
        if self._waiting:
            self._timer = asyncio.get_running_loop().call_later(TICK_S, self._sweep)
        else:
            self._by_tick.clear()
            self._timer = None
        for who in due:
            self._expire(who)
