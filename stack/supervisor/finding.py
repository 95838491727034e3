"""Finding the platform that runs on a data folder: the lock says whether one does, its supervisor says how it is."""

import time
from pathlib import Path
from typing import Final

from stack.supervisor.lock import Holder
from stack.supervisor.state import PlatformState, RunFolder, read_state, start_id_of
from stack.supervisor.state_socket import StateClient

_SIGNED_WITHIN_S: Final = 10.0  # a supervisor signs the lock as soon as it has been loaded
_ANSWER_TIMEOUT_S: Final = 3.0
_INTERVAL_S: Final = 0.02


def find_holder(folder: RunFolder) -> Holder | None:
    """Return who has the lock, None where nobody has; waits for one that is about to start, for 10 s at most.

    Raises StackError where this user may not know.
    """
    give_up_s = time.monotonic() + _SIGNED_WITHIN_S
    while (holder := folder.holder()) is not None and holder.pid is None and time.monotonic() < give_up_s:
        if (pid := _locker_of_earlier_version(folder)) is not None:
            return Holder(pid)
        time.sleep(_INTERVAL_S)
    return holder


def find_state(folder: RunFolder) -> PlatformState | None:
    """Return how the platform is, as its supervisor says; None where none runs. Its status is `starting` before that.

    It is `unknown` where the supervisor does not answer. Raises StackError where this user may not know.
    """
    holder = folder.holder()
    if holder is None:
        return None
    if holder.pid is None and (holder := find_holder(folder)) is None:
        return None
    if holder.pid is None:
        return _unknown(folder, 0, "a platform holds this data folder, and can't be seen from here: in a container?")
    give_up_s = time.monotonic() + _ANSWER_TIMEOUT_S
    while time.monotonic() < give_up_s:  # it signs the lock a moment before it answers
        answer = StateClient(folder.path, holder.pid).now(_ANSWER_TIMEOUT_S)
        if (state := read_state(answer or "")) is not None:
            return state
        if folder.holder() is None:
            return None
        time.sleep(_INTERVAL_S)
    return _unknown(
        folder,
        holder.pid,
        f"the supervisor (pid {holder.pid}) does not answer: what it wrote last may be old",
    )


def _unknown(folder: RunFolder, pid: int, detail: str) -> PlatformState:
    state = folder.read()
    if state is None or state.pid != pid:
        state = PlatformState(pid, start_id_of(pid) or "", "", 0)
    state.status, state.detail = "unknown", detail
    return state


def _locker_of_earlier_version(folder: RunFolder) -> int | None:
    """Return the supervisor that wrote the state, if it has the lock's file open: earlier ones don't sign the lock."""
    state = folder.read()
    if state is None:
        return None
    try:
        lock = (folder.path / "lock").stat()
        opened = Path(f"/proc/{state.pid}/fd").iterdir()
        return state.pid if any(_is(lock.st_ino, lock.st_dev, file) for file in opened) else None
    except OSError:
        return None


def _is(inode: int, device: int, file: Path) -> bool:
    try:
        there = file.stat()
    except OSError:
        return False
    return (there.st_ino, there.st_dev) == (inode, device)
