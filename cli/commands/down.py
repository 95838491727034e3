"""`polystream down`: stop the platform cleanly."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cli import compose
from cli.folders import add_data_dir
from stack.engines.spec import StackError
from stack.supervisor.stale_processes import end_stale_processes
from stack.supervisor.state import PlatformState, RunFolder

_STOP_TIMEOUT_S = 90.0  # above the sum of the supervisor's own bounds
_INTERVAL_S = 0.05


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_data_dir(parser)


def run(arguments: argparse.Namespace) -> int:
    """Stop the platform: 0 when nothing of it runs any more."""
    data_dir: Path = arguments.data_dir.resolve()
    if engine := compose.started_with(data_dir):
        return _stop_containers(engine, data_dir)
    state = RunFolder(data_dir).read()
    try:
        if state is None or not (state.is_alive() or any(process.is_alive() for process in state.processes)):
            sys.stdout.write(f"nothing is running on {data_dir}\n")
            return 0
        began = time.monotonic()
        _stop(state)
        end_stale_processes(state)
    except (StackError, PermissionError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"stopped in {time.monotonic() - began:.1f} s\n")
    return 0


def _stop_containers(engine: Sequence[str], data_dir: Path) -> int:
    try:
        compose.down(engine, data_dir)
    except (compose.ComposeError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"stopped; the data is kept in volumes, and `{compose.down_command(engine)}` removes it\n")
    return 0


def _stop(state: PlatformState) -> None:
    if not state.is_alive():
        return
    os.kill(state.pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while state.is_alive() and time.monotonic() < deadline:
        time.sleep(_INTERVAL_S)
    if state.is_alive():
        os.kill(state.pid, signal.SIGKILL)  # its children die with it
