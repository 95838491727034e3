"""Debian's packages, for tests that drive a program which comes as one."""

import os
import shutil
import threading
from typing import Final

from tests.support.bounded import run_bounded

_TIMEOUT_S: Final = 300
_ONE_AT_A_TIME: Final = threading.Lock()  # apt would give up where another one is at work


def install(*packages: str) -> None:
    """Try to install packages, where this is root on Debian. The caller sees whether it has what it wanted."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    # In runlevel 1 a package's service is not started: what the tests want is the program.
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        with _ONE_AT_A_TIME:
            run_bounded(command, env=quiet, timeout_s=_TIMEOUT_S)
