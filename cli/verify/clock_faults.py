"""Faults of the wall clock: one process goes by another time than the others."""

import random
import signal
import time
from collections.abc import Callable
from typing import Final

from cli.verify.breakpoints.clock import set_clock
from cli.verify.fault_world import STORES, FaultKind, FaultWorld, Inject

_OFFSETS_S: Final = (600, 3 * 86_400)  # ahead or behind
_LASTS_S: Final = (3.0, 6.0)


def _clock_off(part: Callable[[FaultWorld, random.Random], str]) -> Inject:
    """End a process, have it come back with a wrong clock, and after a while with the right one."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        name, offset_s = part(world, rng), rng.choice((-1, 1)) * rng.randrange(*_OFFSETS_S)
        set_clock(world.platform.data_dir, name, offset_s)
        try:
            world.restart(name, signal.SIGTERM)
            time.sleep(rng.uniform(*_LASTS_S))
        finally:
            set_clock(world.platform.data_dir, name, 0)
            world.restart(name, signal.SIGTERM)
        return f"the clock of {name} {offset_s / 3600:+.1f} h off, and right again"

    return inject


def _lane(store: str) -> Callable[[FaultWorld, random.Random], str]:
    return lambda world, rng: rng.choice(world.lanes_of(store))


def _gateway(_world: FaultWorld, _rng: random.Random) -> str:
    return "gateway-0"


CLOCK_FAULTS: Final = (
    FaultKind("clock-gateway", _clock_off(_gateway)),
    *(FaultKind(f"clock-lane-{store}", _clock_off(_lane(store))) for store in STORES),
)
