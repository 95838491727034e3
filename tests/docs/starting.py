"""Runs a start of the platform as a reader would, by hand: `starting.py [--ctrl-c] COMMAND...`.

Where a port is taken, by another program's outgoing connection for instance, it waits for it. With `--ctrl-c` the
command is one that stays: Ctrl-C is pressed once it says that it is ready.
"""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.support.waiting import eventually

_TAKEN: Final = "ports are taken"
_WAIT_MAX_S: Final = 90.0


def start(command: list[str], *, ctrl_c: bool) -> subprocess.CompletedProcess[str]:
    """Run the command, show what it says, and return how it ended."""
    said: list[str] = []
    pressed = False
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            sys.stdout.write(line)
            if ctrl_c and not pressed and "ready in" in line:
                process.send_signal(signal.SIGINT)
                pressed = True
    return subprocess.CompletedProcess(command, process.returncode, "".join(said))


def main(arguments: list[str]) -> int:
    """Start, again where a port was taken, and return the exit code."""
    ctrl_c = arguments[0] == "--ctrl-c"
    command = arguments[1:] if ctrl_c else arguments
    ended: list[subprocess.CompletedProcess[str]] = []

    def has_ports() -> bool:
        ended.append(start(command, ctrl_c=ctrl_c))
        return ended[-1].returncode == 0 or _TAKEN not in ended[-1].stdout

    eventually(has_ports, _WAIT_MAX_S, interval_s=1.0)
    return ended[-1].returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
