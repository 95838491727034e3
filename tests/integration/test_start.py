"""start.py on a fresh copy of the checkout, with nothing installed, by the oldest Python of the machine."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout_copy import copy_checkout, oldest_python
from tests.support.ordinary_user import OrdinaryUser, folder_for_everybody


@pytest.fixture(scope="module")
def copy() -> Iterator[Path]:
    """Copy the checkout without its environment, to where every user reaches it."""
    with folder_for_everybody() as folder:
        copy_checkout(folder)
        yield folder


def _start(copy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    command = [oldest_python()[1], "start.py", *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.timeout(400)
def test_it_installs_everything_once(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first call installs and shows it, then does what it was told; the second only does it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # `status` names the platforms that others started
    first = _start(copy, "status")
    assert (first.returncode, first.stderr) == (3, "")
    steps = [line.split(" … ")[0] for line in first.stdout.splitlines()]
    assert steps[0] == "making .venv"
    assert steps[-3:-1] == ["installing polystream", "compiling polystream"]
    assert steps[-1].startswith("stopped: nothing runs on ")
    # Compiled as it was installed, whatever PYTHONDONTWRITEBYTECODE says: later starts are faster.
    packages = next((copy / ".venv" / "lib").iterdir()) / "site-packages"
    assert list(packages.glob("pydantic/__pycache__/*.pyc"))
    assert list(copy.glob("mesh/__pycache__/*.pyc"))

    second = _start(copy, "status")
    assert (second.returncode, second.stdout, second.stderr) == (3, f"{steps[-1]}\n", "")


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
