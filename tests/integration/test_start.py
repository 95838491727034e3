"""start.py on a fresh copy of the checkout, with nothing installed, by the oldest Python of the machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.ordinary_user import OrdinaryUser, folder_for_everybody
from tests.support.platform import CHECKOUT
from tests.support.ports import free_offset
from tests.support.unavailable import UnavailableError

_PARTS = (
    "mesh",
    "gateway",
    "processor",
    "monitor",
    "registry",
    "stack",
    "contracts",
    "cli",
    "deploy",
    "gen",
    "schemas",
)
_FILES = ("start.py", "pyproject.toml", "requirements.lock", "requirements-dev.lock", "README.md", "LICENSE")
# What a user may have beside the interpreter below the tests' environment. Debian 12's is 3.11.2.
_SYSTEM_PYTHONS = tuple(f"/usr/{folder}python3{minor}" for folder in ("bin/", "local/bin/") for minor in ("", ".11"))
_OLDEST = (3, 11)
_NEEDS_LESS = (3, 11, 3)  # from here on, Python has what redis-py takes from a package before


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    """Copy the checkout without its environment, to where every user reaches it."""
    with folder_for_everybody() as folder:
        for part in _PARTS:
            shutil.copytree(CHECKOUT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        for file in _FILES:
            shutil.copy(CHECKOUT / file, folder / file)
        yield folder


@cache
def _oldest_python() -> tuple[tuple[int, ...], str]:
    """Return the version and the path of the oldest interpreter that start.py accepts."""
    # The interpreter below the tests' environment: a user has no environment yet.
    own = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    there = [(_version(python), python) for python in (own, *_SYSTEM_PYTHONS) if os.access(python, os.X_OK)]
    return min(each for each in there if each[0] >= _OLDEST)


def _version(python: str) -> tuple[int, ...]:
    said = subprocess.check_output([python, "-c", "import sys; print(*sys.version_info[:3])"], text=True)
    return tuple(map(int, said.split()))


def _start(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    command = [_oldest_python()[1], "start.py", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.timeout(400)
def test_it_installs_everything_once(copy: Path) -> None:
    """The first call installs and shows it, then does what it was told; the second only does it."""
    first = _start(copy, "status")
    assert (first.returncode, first.stderr) == (3, "")
    steps = [line.split(" … ")[0] for line in first.stdout.splitlines()]
    assert steps[0] == "making .venv"
    assert steps[-3:] == ["installing polystream", "compiling polystream", "stopped"]
    # Compiled as it was installed, whatever PYTHONDONTWRITEBYTECODE says: later starts are faster.
    packages = next((copy / ".venv" / "lib").iterdir()) / "site-packages"
    assert list(packages.glob("pydantic/__pycache__/*.pyc"))
    assert list(copy.glob("mesh/__pycache__/*.pyc"))

    second = _start(copy, "status")
    assert (second.returncode, second.stdout, second.stderr) == (3, "stopped\n", "")


@pytest.mark.timeout(400)
def test_the_oldest_python_runs_the_platform(copy: Path) -> None:
    """Every service finds its packages on the oldest Python that there is a promise for, and all get ready."""
    version, python = _oldest_python()
    if version >= _NEEDS_LESS:
        raise UnavailableError(
            f"the oldest Python here is {python}, and the packages differ before 3.11.3; Debian 12 has such a one"
        )
    try:
        up = _start(copy, "up", "--detach", "--engines", "embedded", "--port-offset", str(free_offset()))
        assert (up.returncode, up.stderr) == (0, ""), up.stdout
        status = json.loads(_start(copy, "status", "--json").stdout)
    finally:
        down = _start(copy, "down")
    assert status["status"] == "ready"
    assert _version(str(copy / ".venv" / "bin" / "python")) == version
    assert down.returncode == 0


def test_it_says_who_may_install(copy: Path) -> None:
    """A user who can't write the checkout is told so, and nothing else happens."""
    with folder_for_everybody() as home:
        user = OrdinaryUser(home)
        pyproject = copy / "pyproject.toml"
        pyproject.write_text(pyproject.read_text() + "\n# changed: there is something to install\n")
        (copy / ".venv").chmod(0o555)
        try:
            with user.popen([str(copy / "start.py"), "status"]) as process:
                assert process.stdout is not None
                said = process.stdout.read()
        finally:
            (copy / ".venv").chmod(0o755)
    assert process.returncode == 1
    assert f"{copy} can't be written" in said
    assert "a clone of your own" in said
