"""Faults of an update: for a while, one lane is of an older version than the gateways and the other lanes."""

import random
import signal
import time
from typing import Final

from cli.verify.breakpoints.older import make_older, make_present
from cli.verify.fault_world import STORES, FaultKind, FaultWorld, Inject
from mesh.catalog import load_catalog

_LASTS_S: Final = (3.0, 8.0)


def _outdated(store: str) -> Inject:
    """Have a lane start as an older version, and then as the present one; redrive what it set apart meanwhile."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        data_dir, lane = world.platform.data_dir, rng.choice(world.lanes_of(store))
        command = rng.choice(sorted(load_catalog().for_store(store.upper())))
        make_older(data_dir, lane, command)
        try:
            world.restart(lane, signal.SIGTERM)
            time.sleep(rng.uniform(*_LASTS_S))
        finally:
            make_present(data_dir, lane)
            world.restart(lane, signal.SIGTERM)  # as an update does it: what it has in hand is answered first
        redriven = world.redrive_all()
        return f"{lane} without {command} and other novelties, then updated; {len(redriven)} keys redriven"

    return inject


VERSION_FAULTS: Final = tuple(FaultKind(f"outdated-lane-{store}", _outdated(store)) for store in STORES)
