"""The monitor's share of the processors: less than a service's, so that it never slows one down."""

import contextlib
import os
from pathlib import Path
from typing import Final

# A ninth of the share that a service has where both want to run, by Linux's weights; all of it where no one else does.
NICENESS: Final = 10
_AUTOGROUP: Final = Path("/proc/self/autogroup")


def yield_to_services() -> None:
    """Let the platform's other processes go first, from now on.

    What the monitor can't keep up with waits in Kafka meanwhile, and its lag is told. On a desktop's Linux, processes
    are weighed by session before they are weighed by niceness (sched(7), "The autogroup feature"): a session of its own
    is given the same niceness, one that the monitor shares with others is left alone.
    """
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        with contextlib.suppress(OSError):  # a system without autogroups, or one that shows /proc to read alone
            _AUTOGROUP.write_text(str(NICENESS), encoding="ascii")
