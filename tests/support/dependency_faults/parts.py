"""The states of the platform's own parts, which its supervisor starts again."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from tests.support.dependency_faults.cell import Cause
from tests.support.dependency_faults.world import World
from tests.support.waiting import eventually

_BACK_TIMEOUT_S: Final = 120.0


def killed(part: str) -> Cause:
    """SIGKILL; the supervisor ends the state by itself."""

    @contextmanager
    def cause(world: World) -> Iterator[None]:
        before = world.platform.pid(part)
        world.platform.kill(part)
        yield
        eventually(lambda: world.platform.pid(part) not in {0, before}, _BACK_TIMEOUT_S)

    return cause


def standing_still(part: str) -> Cause:
    """SIGSTOP: it keeps its connections, and does nothing; in the end SIGCONT, if it still is that process."""

    @contextmanager
    def cause(world: World) -> Iterator[None]:
        pid = world.platform.pid(part)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    return cause
