"""A copy of the checkout with nothing installed, as a user has it at first, and the Python to start it by."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.platform import CHECKOUT

_PARTS: Final = (
    "mesh",
    "gateway",
    "processor",
    "monitor",
    "registry",
    "broker",
    "stack",
    "contracts",
    "cli",
    "deploy",
    "gen",
    "schemas",
)
_FILES: Final = ("start.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock", "README.md", "LICENSE")
# What a user may have beside the interpreter below the tests' environment. Debian 12's is 3.11.2.
_SYSTEM_PYTHONS: Final = tuple(
    f"/usr/{folder}python3{minor}" for folder in ("bin/", "local/bin/") for minor in ("", ".11")
)
_OLDEST: Final = (3, 11)


def copy_checkout(folder: Path) -> None:
    """Copy what it takes to start the platform into a folder: no environment, no data, no git."""
    for part in _PARTS:
        shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in _FILES:
        shutil.copy(CHECKOUT / file, folder / file)


@cache
def oldest_python() -> tuple[tuple[int, ...], str]:
    """Return the version and the path of the oldest interpreter of this machine that start.py accepts."""
    # The interpreter below the tests' environment: a user has no environment yet.
    own = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    there = [(version_of(python), python) for python in (own, *_SYSTEM_PYTHONS) if os.access(python, os.X_OK)]
    return min(each for each in there if each[0] >= _OLDEST)


def version_of(python: str) -> tuple[int, ...]:
    """Return the version of an interpreter, as three numbers."""
    said = subprocess.check_output([python, "-c", "import sys; print(*sys.version_info[:3])"], text=True)
    return tuple(map(int, said.split()))
