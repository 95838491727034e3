"""Callers who wait: each is told once that its time is up, and one timer does for all of them."""

import asyncio
import time

from gateway.waiting import TICK_S, WaitingRoom
from tests.support.waiting import eventually_async


class Caller:
    """One who waits."""

    tick = 0


async def test_each_expires_at_its_own_time_and_who_left_does_not() -> None:
    """In the order of their deadlines, no earlier, whatever the order in which they came."""
    began_s = time.monotonic()
    expired: list[tuple[Caller, float]] = []
    all_gone = asyncio.Event()

    def expire(caller: Caller) -> None:
        assert caller.tick == 0
        expired.append((caller, time.monotonic()))
        if len(expired) == 3:
            all_gone.set()

    room: WaitingRoom[Caller] = WaitingRoom(expire)
    late, soon, left, overdue = Caller(), Caller(), Caller(), Caller()
    room.enter(late, began_s + 8 * TICK_S)
    room.enter(soon, began_s + 3 * TICK_S)
    room.enter(left, began_s + 3 * TICK_S)
    room.enter(overdue, began_s - 1)
    room.leave(left)
    assert (len(room), left.tick) == (3, 0)
    async with asyncio.timeout(10):
        await all_gone.wait()
    assert [caller for caller, _ in expired] == [overdue, soon, late]
    assert expired[1][1] >= began_s + 3 * TICK_S
    assert expired[2][1] >= began_s + 8 * TICK_S
    assert len(room) == 0


async def test_an_empty_room_needs_no_timer_and_can_be_entered_again() -> None:
    """It stops when the last one is gone, and begins with the next."""
    gone = asyncio.Event()

    def expire(_caller: Caller) -> None:
        gone.set()

    room: WaitingRoom[Caller] = WaitingRoom(expire)
    caller = Caller()
    room.enter(caller, time.monotonic() + 60)
    room.leave(caller)

    async def has_no_timer() -> bool:
        return room._timer is None

    await eventually_async(has_no_timer, 10)
    assert not gone.is_set()
    room.enter(caller, time.monotonic())
    async with asyncio.timeout(10):
        await gone.wait()
