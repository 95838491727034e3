"""`polystream down`: stop the platform cleanly, at whatever moment of its life."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cli import compose
from cli.choosing import NothingRunsError, add_platform_choice, choose_data_dir, running_platforms, told
from cli.compose_engine import ComposeError
from cli.printable import printable, write_error
from stack.engines.spec import StackError
from stack.supervisor.finding import find_holder, find_state
from stack.supervisor.lock import Holder
from stack.supervisor.stale_processes import end_stale_processes
from stack.supervisor.state import PlatformState, RunFolder, read_state
from stack.supervisor.state_socket import StateClient

_STOP_TIMEOUT_S = 90.0  # above the sum of the supervisor's own bounds
_KILL_TIMEOUT_S = 5.0
_TELL_AFTER_S = 5.0
_ANSWER_TIMEOUT_S = 1.0
_INTERVAL_S = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_platform_choice(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop the platform: 0 when nothing of it runs any more. Says what goes on at the next start.

    It stops none but the one on the checkout's data folder, or the one that an option names.
    """
    try:
        data_dir = choose_data_dir(arguments).resolve()
    except NothingRunsError as error:
        write_error(error)
        return 1
    if engine := compose.started_with(data_dir):
        return _stop_containers(engine, data_dir)
    folder, began = RunFolder(data_dir), time.monotonic()
    try:
        holder = find_holder(folder)
        trouble, goes_on = _end_what_is_left(folder, data_dir) if holder is None else _stop(folder, holder)
    except (StackError, PermissionError) as error:
        write_error(error)
        return 1
    if trouble:
        write_error(f"stopped in {time.monotonic() - began:.1f} s, but {trouble}")
        return 1
    if holder is not None:
        _say(f"stopped in {time.monotonic() - began:.1f} s" + (f"\n{goes_on}" if goes_on else ""))
    return 0


def _stop_containers(engine: Sequence[str], data_dir: Path) -> int:
    try:
        compose.down(engine, data_dir)
    except (ComposeError, OSError) as error:
        write_error(error)
        return 1
    _say(f"stopped; the data is kept in volumes, and `{compose.down_command(engine)}` removes it")
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")


def _end_what_is_left(folder: RunFolder, data_dir: Path) -> tuple[str, str]:
    """End what a supervisor that was killed has left, and say so. Returns what `_stop` does."""
    state = folder.read()
    ended = end_stale_processes(state) if state else []
    if ended:
        _say(f"ended what an earlier run had left: {', '.join(ended)}")
        return "", ""
    others = told(running_platforms())
    _say(f"nothing is running on {data_dir}{f'. {others}' if others else ''}")
    return "", ""


def _stop(folder: RunFolder, holder: Holder) -> tuple[str, str]:
    """Stop the supervisor that has the lock; return what went wrong, and what goes on at the next start.

    Raises StackError and PermissionError.
    """
    if holder.pid is None:
        raise StackError(
            "a platform holds this data folder, and can't be seen from here: stop it in the container where it runs"
        )
    state = find_state(folder)
    client = StateClient(folder.path, holder.pid)
    waits = client.await_end(_ANSWER_TIMEOUT_S)
    if state is not None and state.status == "unknown":
        asked = f"it is asked to stop, and killed after {_STOP_TIMEOUT_S:.0f} s"
        write_error(f"the supervisor (pid {holder.pid}) does not answer: {asked}")
        sys.stderr.flush()
    _signal(holder, signal.SIGTERM)
    _signal(holder, signal.SIGCONT)  # one that somebody has stopped hears of it
    trouble = ""
    is_gone = _is_gone(folder, holder, _TELL_AFTER_S)
    if not is_gone:
        write_error(f"waiting for {_still_stopping(folder)}, {_STOP_TIMEOUT_S:.0f} s in all at most")
        sys.stderr.flush()
        is_gone = _is_gone(folder, holder, _STOP_TIMEOUT_S - _TELL_AFTER_S)
    if not is_gone:
        _signal(holder, signal.SIGKILL)  # its children die with it
        trouble = f"it did not end by itself within {_STOP_TIMEOUT_S:.0f} s, and was killed: it may have work left"
        if not _is_gone(folder, holder, _KILL_TIMEOUT_S):
            raise StackError(f"the supervisor (pid {holder.pid}) does not end: it hangs in the system, as on a disk")
    last = read_state(client.answer(_ANSWER_TIMEOUT_S) or "") if waits else _last_written(folder, holder)
    if (left := last or state) is not None:
        end_stale_processes(left)
    return trouble, last.unsettled if last else ""


def _signal(holder: Holder, number: signal.Signals) -> None:
    assert holder.pid is not None  # noqa: S101 - it was looked for
    try:
        os.kill(holder.pid, number)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise StackError(
            f"the platform (pid {holder.pid}) belongs to another user, who can stop it, as root can"
        ) from error


def _is_gone(folder: RunFolder, holder: Holder, timeout_s: float) -> bool:
    give_up_s = time.monotonic() + timeout_s
    while folder.holder() == holder:
        if time.monotonic() > give_up_s:
            return False
        time.sleep(_INTERVAL_S)
    return True


def _still_stopping(folder: RunFolder) -> str:
    """Return whom the supervisor waits for."""
    state = find_state(folder)
    names = [process.name for process in state.processes if process.status == "stopping"] if state else []
    return f"{', '.join(names)} to stop" if names else "the supervisor to stop"


def _last_written(folder: RunFolder, holder: Holder) -> PlatformState | None:
    state = folder.read()
    return state if state is not None and state.pid == holder.pid else None
