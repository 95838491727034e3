"""Debian's packages, for tests that drive a program which comes as one."""

import os
import shutil
import subprocess
from typing import Final

_TIMEOUT_S: Final = 300


def install(*packages: str) -> None:
    """Try to install packages, where this is root on Debian. The caller sees whether it has what it wanted."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        subprocess.run(command, env=quiet, capture_output=True, timeout=_TIMEOUT_S, check=False)
