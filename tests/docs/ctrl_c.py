"""Runs a command that stays, as a person would: reads what it says, and presses Ctrl-C once it is ready."""

import signal
import subprocess
import sys

with subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, text=True) as process:
    assert process.stdout is not None
    for line in process.stdout:
        sys.stdout.write(line)
        if "ready in" in line:
            process.send_signal(signal.SIGINT)
sys.exit(process.returncode)
