"""The states of the platform's own parts, which its supervisor starts again."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.dependency_faults.cell import Cause
from tests.support.dependency_faults.world import World


def killed(part: str) -> Cause:
    """SIGKILL: with it the cause has ended, and the supervisor starts the part again."""

    @contextmanager
    def cause(world: World) -> Iterator[None]:
        world.platform.kill(part)
        yield

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
