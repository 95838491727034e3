"""Faults of a lane's consumer group: a further process that joins and leaves while the others are at work."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cli.verify.breakpoints import LAUNCHER
from cli.verify.fault_world import STORES, FaultKind, FaultWorld, Inject
from cli.verify.platform import VerifyError
from stack.engines import process as processes
from stack.engines.spec import CommandLine
from stack.environments import service_environment

_JOIN_MAX_S: Final = 60.0
_END_MAX_S: Final = 30.0
_STAYS_S: Final = (0.5, 2.0)
_JOINS: Final = 2


def _rebalanced(store: str) -> Inject:
    """Have a further lane join, take partitions, and leave: once as it should, once by SIGKILL."""

    def inject(world: FaultWorld, rng: random.Random) -> str:
        taken: list[str] = []
        for number in (signal.SIGTERM, signal.SIGKILL)[:_JOINS]:
            with _further_lane(world, store, number) as ready_file:
                if not world.platform.wait_for(lambda: bool(_partitions(ready_file)), _JOIN_MAX_S):
                    raise VerifyError(f"a further lane of {store} got no partition within {_JOIN_MAX_S:g} s")
                taken.append(str(len(_partitions(ready_file))))
                time.sleep(rng.uniform(*_STAYS_S))
        return f"a further lane took {' and '.join(taken)} partitions, and left by SIGTERM and by SIGKILL"

    return inject


@contextmanager
def _further_lane(world: FaultWorld, store: str, leaves_by: signal.Signals) -> Iterator[Path]:
    """Run a lane that the supervisor knows nothing of while the block runs; what is given tells its health."""
    platform, name = world.platform, f"lane-{store}-further"
    ready_file = platform.data_dir / "run" / f"{name}.ready.json"
    settings = {"LANE_NAME": name, "READY_FILE": str(ready_file), "LOG_LEVEL": "WARNING"}
    process = processes.spawn(
        CommandLine(
            argv=(sys.executable, "-m", LAUNCHER, str(platform.data_dir), "processor", "--store", store),
            env=service_environment(platform.settings | settings),
            cwd=Path.cwd(),
        ),
        platform.data_dir / "logs" / f"{name}.log",
    )
    try:
        yield ready_file
        processes.send(process, leaves_by)
        process.wait(_END_MAX_S)
    except subprocess.TimeoutExpired as error:
        raise VerifyError(f"a further lane of {store} did not end within {_END_MAX_S:g} s") from error
    finally:
        processes.kill(process)
        process.wait()
        ready_file.unlink(missing_ok=True)


def _partitions(ready_file: Path) -> list[int]:
    try:
        told = json.loads(ready_file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return list(told.get("partitions") or ())


MEMBER_FAULTS: Final = tuple(FaultKind(f"rebalance-{store}", _rebalanced(store), loses_spans=True) for store in STORES)
