"""The lock file of a cluster, postmaster.pid, when the server that wrote it was killed.

PostgreSQL takes it for its own as long as any process has the process ID that stands in it: one that took the number
over, or a dead one that nobody has reaped, as below a first process of a container that reaps nothing. Whether a server
lives on the cluster, its shared memory tells: every process of it is attached to that, and none that is dead.
"""

import time
from pathlib import Path
from typing import Final

import psutil

from stack.engines.spec import StackError

_SEGMENTS: Final = Path("/proc/sysvipc/shm")
_MEMORY_LINE: Final = 6  # of the lock file: the key and the ID of its shared memory, once the server has it
_ENDS_WITHIN_S: Final = 5.0  # the processes of a server that was killed notice it, and end
_INTERVAL_S: Final = 0.05


def remove_dead_owners_lock(cluster: Path) -> None:
    """Remove the lock file of a server that is dead. Raises StackError where a server lives on the cluster.

    Only for whoever holds the data folder's lock: nobody starts another server meanwhile.
    """
    lock = cluster / "postmaster.pid"
    give_up_s = time.monotonic() + _ENDS_WITHIN_S
    while (owner := _living_owner(lock)) is not None:
        if time.monotonic() > give_up_s:
            raise StackError(
                f"postgresql: a server (pid {owner}) still runs on {cluster}: end it, or use another --data-dir"
            )
        time.sleep(_INTERVAL_S)
    lock.unlink(missing_ok=True)


def _living_owner(lock: Path) -> int | None:
    """Return the process ID in the lock file if a server lives that it stands for, else None."""
    try:
        lines = lock.read_text(encoding="utf-8", errors="replace").splitlines()
        pid = abs(int(lines[0]))  # negative: a server without clients
    except (FileNotFoundError, ValueError, IndexError):
        return None  # none, or a full disk has left nothing in it
    attached = _attached(lines)
    lives = _is_server(pid) if attached is None else attached
    return pid if lives else None


def _attached(lines: list[str]) -> bool | None:
    """Tell whether any process is attached to the server's shared memory; None where that can't be known."""
    try:
        segment = lines[_MEMORY_LINE].split()[1]
        rows = [row.split() for row in _SEGMENTS.read_text(encoding="ascii").splitlines()[1:]]
        return any(row[1] == segment and int(row[6]) > 0 for row in rows)
    except (OSError, ValueError, IndexError):
        return None


def _is_server(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name().startswith("postgres")
    except psutil.Error:
        return False
