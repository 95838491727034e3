"""Processes that hang: they keep their connections and answer nothing."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.waiting import eventually

_TIMEOUT_S = 10.0


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a process and its children in their tracks while the block runs, which may kill them."""
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    try:
        for process in family:
            process.suspend()
        # The signal stops a thread when that one next gets its turn: until then it may answer.
        eventually(lambda: all(map(_is_still, family)), _TIMEOUT_S, interval_s=0.001)
        yield
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _is_still(process: psutil.Process) -> bool:
    """Tell whether every thread of a process is stopped, or has ended."""
    threads = Path(f"/proc/{process.pid}/task").glob("*/stat")
    states = [thread.read_text(encoding="utf-8").rpartition(")")[2].split()[0] for thread in threads]
    return all(state in "TZ" for state in states)
