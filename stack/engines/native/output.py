"""Running a program to its end, and following what it writes."""

import subprocess
import threading
from collections.abc import Callable

from stack.engines.process import launcher_argv
from stack.engines.spec import CommandLine


def run_following(command: CommandLine, follow: Callable[[str], None], *, timeout_s: float) -> int:
    """Hand each line that a program writes to `follow`, and return how it ended. It is killed when its time is up."""
    with subprocess.Popen(  # noqa: S603 - fixed arguments
        launcher_argv(command),
        cwd=command.cwd,
        env=dict(command.env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        overdue = threading.Timer(timeout_s, process.kill)
        overdue.daemon = True
        overdue.start()
        try:
            assert process.stdout is not None  # noqa: S101 - a pipe was asked for
            for line in process.stdout:
                follow(line.rstrip("\n"))
            return process.wait()
        finally:
            overdue.cancel()
            process.kill()
