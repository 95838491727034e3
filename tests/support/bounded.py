"""Commands that have their time each, and take nobody with them when that is up."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

TIMED_OUT: Final = 124  # what `timeout` of GNU coreutils exits with


def run_bounded(
    command: Sequence[str], *, timeout_s: float, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. One that takes longer is killed with all that it started, and has failed: TIMED_OUT."""
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, error = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, error = process.communicate()
            error += f"\nnot done after {timeout_s:g} s\n"
            return subprocess.CompletedProcess(command, TIMED_OUT, out, error)
    return subprocess.CompletedProcess(command, process.returncode, out, error)
