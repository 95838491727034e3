"""Ending what a supervisor that was killed may have left behind.

Only for whoever holds the data folder's lock, or knows that nobody does.
"""

import time

import psutil

from stack.engines.spec import StackError
from stack.supervisor.state import PlatformState, ProcessState

_ASK_S = 3.0
_KILL_S = 5.0
_INTERVAL_S = 0.05


def end_stale_processes(state: PlatformState) -> list[str]:
    """End every process of `state` that still runs, by ID and start time, and return their names.

    Raises StackError where one does not end.
    """
    left = [process for process in state.processes if process.is_alive()]
    names = [process.name for process in left]
    for process in left:
        _signal(process, kill=False)
    left = _wait(left, _ASK_S)
    for process in left:
        _signal(process, kill=True)
    left = _wait(left, _KILL_S)
    if left:
        who = ", ".join(f"{process.name} (pid {process.pid})" for process in left)
        raise StackError(f"processes of an earlier run do not end: {who}. End them, then start again.")
    return names


def _signal(process: ProcessState, *, kill: bool) -> None:
    try:
        found = psutil.Process(process.pid)
        if kill:
            found.kill()
        else:
            found.terminate()
    except psutil.NoSuchProcess:
        pass
    except psutil.AccessDenied as error:
        raise StackError(
            f"{process.name} (pid {process.pid}) of an earlier run belongs to another user: end it, or use --data-dir"
        ) from error


def _wait(processes: list[ProcessState], timeout_s: float) -> list[ProcessState]:
    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if process.is_alive()]) and time.monotonic() < deadline:
        time.sleep(_INTERVAL_S)
    return left
