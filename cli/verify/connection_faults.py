"""Faults of the connections between the services and their engines: slow, cut, or open with nothing coming through."""

import random
import time
from typing import Final

from cli.verify.breakpoints.redirection import PROXIED
from cli.verify.fault_proxy import Behaviour
from cli.verify.fault_world import FaultKind, FaultWorld, Inject

_LASTS_S: Final = (3.0, 6.0)
_DELAY_S: Final = (0.2, 0.7)  # of each answer
_CUTS: Final = 8
_CUT_INTERVAL_S: Final = (0.1, 0.7)


def _slow(engine: str) -> Inject:
    def inject(world: FaultWorld, rng: random.Random) -> str:
        delay_s, lasts_s = rng.uniform(*_DELAY_S), rng.uniform(*_LASTS_S)
        with world.platform.proxies[engine].set_to(Behaviour.DELAY, delay_s=delay_s):
            time.sleep(lasts_s)
        return f"answers of {engine} {delay_s:.1f} s late for {lasts_s:.1f} s"

    return inject


def _cut(engine: str) -> Inject:
    def inject(world: FaultWorld, rng: random.Random) -> str:
        ended = 0
        for _ in range(_CUTS):
            ended += world.platform.proxies[engine].connections
            world.platform.proxies[engine].cut()
            time.sleep(rng.uniform(*_CUT_INTERVAL_S))
        return f"{ended} connections to {engine} reset, {_CUTS} times all that were open"

    return inject


def _silent(engine: str) -> Inject:
    def inject(world: FaultWorld, rng: random.Random) -> str:
        lasts_s = rng.uniform(*_LASTS_S)
        with world.platform.proxies[engine].set_to(Behaviour.BLACK_HOLE):
            time.sleep(lasts_s)
        return f"nothing came through to or from {engine} for {lasts_s:.1f} s"

    return inject


CONNECTION_FAULTS: Final = tuple(
    FaultKind(f"{name}-{engine}", make(engine), touches=frozenset({engine}), is_proxied=True)
    for name, make in (("slow", _slow), ("cut", _cut), ("silent", _silent))
    for engine in PROXIED
)
