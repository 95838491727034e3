"""Compose on this machine: Docker's or Podman's, whether its engine runs, and whether it has enough memory."""

import re
import shutil
import subprocess
import sys
from typing import Final

import psutil

_PROGRAMS: Final = ("docker", "podman")
_OLDEST: Final = (2, 24)  # the oldest Compose that reads the file, and waits for its tasks
_ASK_TIMEOUT_S: Final = 30.0
_GIB: Final = 2**30
_NEEDED_BYTES: Final = 4 * _GIB  # about half of what all containers together may take
_TOTAL: Final = {"docker": "{{.MemTotal}}", "podman": "{{.Host.MemTotal}}"}
_OWN_MACHINE: Final = 0.9  # an engine that has less of this machine's memory has a virtual machine of its own
_LESS: Final = "use `up --engines native` or `up`, which take less. Nothing was started."


class ComposeError(Exception):
    """Why there is no platform in containers, with the remedy."""


def find_engine() -> tuple[str, ...]:
    """Return the command that is Compose on this machine. Raises ComposeError, which says what to install or start."""
    there = [program for program in _PROGRAMS if shutil.which(program)]
    if not there:
        raise ComposeError(
            "--compose runs containers, and neither docker nor podman is there. Install Docker Desktop, or Docker "
            "Engine with its Compose plugin (https://docs.docker.com/engine/install/), or podman with podman-compose. "
            "Without containers, `up --engines native` starts the same engines as processes."
        )
    versions = {program: _output(program, "compose", "version", "--short") for program in there}
    found = [program for program in there if versions[program] is not None]
    if not found:
        raise ComposeError(
            f"{' and '.join(there)} is there, and Compose is not: `{there[0]} compose version` fails. Install Compose "
            f"{_OLDEST[0]}.{_OLDEST[1]} or later: on Debian and Ubuntu the package docker-compose-plugin, for podman "
            "docker-compose or podman-compose."
        )
    numbers = re.match(r"v?(\d+)\.(\d+)", versions[found[0]] or "")
    if found[0] == "docker" and numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise ComposeError(
            f"Compose {numbers[0]} is too old: {_OLDEST[0]}.{_OLDEST[1]} or later is needed. Update Docker Desktop, or "
            "the package docker-compose-plugin."
        )
    running = [program for program in found if _output(program, "info") is not None]
    if not running:
        raise ComposeError(
            f"{found[0]} is installed, and its engine does not answer: `{found[0]} info` fails. Start it (Docker "
            "Desktop, or `sudo systemctl start docker`), and see that your user may use it (the group docker)."
        )
    return (running[0], "compose")


def require_memory(program: str) -> None:
    """Raise ComposeError where the engine has less memory than is needed, or this machine has less left."""
    needed = f"about {_NEEDED_BYTES / _GIB:.0f} GiB are needed"
    total_bytes = _engine_total_bytes(program)
    if total_bytes is not None and total_bytes < _NEEDED_BYTES:
        raise ComposeError(
            f"{program} has {total_bytes / _GIB:.1f} GiB of memory, and {needed}. Give it more (Docker Desktop: "
            f"Settings, Resources; podman: `podman machine set --memory 6144`), or {_LESS}"
        )
    here = psutil.virtual_memory()
    is_here = sys.platform == "linux" and (total_bytes is None or total_bytes >= _OWN_MACHINE * here.total)
    left_bytes = here.available + psutil.swap_memory().free
    if is_here and left_bytes < _NEEDED_BYTES:
        raise ComposeError(
            f"{left_bytes / _GIB:.1f} GiB of memory are left, and {needed}. End other programs, or {_LESS}"
        )


def _engine_total_bytes(program: str) -> int | None:
    """Return the memory that an engine has for all containers; None where it does not say."""
    told = (_output(program, "info", "--format", _TOTAL[program]) or "").strip()
    return int(told) if told.isascii() and told.isdigit() else None


def _output(*command: str) -> str | None:
    """Return what a command writes, None where it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            command, capture_output=True, text=True, check=False, timeout=_ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
