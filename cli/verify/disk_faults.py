"""Faults of the disk: no room is left for a while where the platform, or one of its engines, writes."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import psycopg

from cli.verify.fault_world import BACK_MAX_S, EMBEDDED, FaultKind, FaultWorld, Inject
from cli.verify.platform import VerifyError
from cli.verify.small_disk import obstacle

_LASTS_S: Final = (3.0, 8.0)
_PLATFORM_LASTS_S: Final = (2.0, 5.0)  # services keep spans for 7 s: none may be lost
_SWITCH_S: Final = 0.3
_PLATFORM: Final = "platform"
# By what writes there: folders below the data folder.
_FOLDERS: Final = {
    _PLATFORM: ("monitor", "logs", "run"),
    **{engine: (engine,) for engine in ("postgresql", "mongodb", "redis", "kafka")},
}


def _full(folders: Sequence[str]) -> Inject:
    """Leave no room on the disks of these folders for a while; then wait until everything is ready again."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        lasts_s = rng.uniform(*(_PLATFORM_LASTS_S if folders == _FOLDERS[_PLATFORM] else _LASTS_S))
        disks = [world.platform.small_disks[folder] for folder in folders]
        with ThreadPoolExecutor(len(disks)) as pool:
            filled = pool.map(lambda disk: disk.fill_for(lasts_s), disks)
            if "postgresql" in folders:
                _use_up_log(world, lasts_s)
            list(filled)
        if not world.platform.wait_for(lambda: _is_ready(world), BACK_MAX_S):
            raise VerifyError(f"not everything was ready again {BACK_MAX_S:g} s after there was room")
        return f"no room in {', '.join(folders)} for {lasts_s:.1f} s"

    return inject


def _use_up_log(world: FaultWorld, lasts_s: float) -> None:
    """Have PostgreSQL need a new file for its log, which it makes long before: else so short a while is none to it."""
    give_up_s = time.monotonic() + lasts_s
    while time.monotonic() < give_up_s:
        with (
            suppress(psycopg.Error),
            psycopg.connect(world.platform.endpoint("postgresql"), autocommit=True, connect_timeout=2) as db,
        ):
            db.execute("SELECT pg_switch_wal()")
        time.sleep(_SWITCH_S)


def _is_ready(world: FaultWorld) -> bool:
    return all(process.status == "ready" for process in world.platform.state.processes)


DISK_FAULTS: Final = tuple(
    FaultKind(
        f"full-disk-{name}",
        _full(folders),
        (EMBEDDED,),
        touches=frozenset({name}),
        obstacle=obstacle,
        small_disks=folders,
    )
    for name, folders in _FOLDERS.items()
)
