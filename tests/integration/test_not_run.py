"""What could not be provided is told, and is no success where it matters."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.platform import CHECKOUT

_TESTS = """
import pytest
from tests.support.unavailable import UnavailableError, once

tries = []

@once
def provide():
    tries.append(1)
    raise UnavailableError("a hammer: install one")

@pytest.fixture
def hammer():
    provide()

def test_one(hammer):
    raise AssertionError("it has a hammer")

def test_two(hammer):
    raise AssertionError("it has a hammer")

def test_without():
    assert tries == [1]
"""


# Nothing but what is asked for is loaded: the plugins that are installed take seconds.
_ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT), "COLUMNS": "120", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
_WORKER = ("-p", "xdist", "-n", "1")


def _run(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_hammer.py").write_text(_TESTS)
    inherited = {name: value for name, value in os.environ.items() if name != "CI"}
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.support.not_run",
            "-p",
            "no:cacheprovider",
            "test_hammer.py",
            *options,
        ],
        cwd=folder,
        env=inherited | _ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("options", [(), _WORKER], ids=["alone", "worker"])
def test_what_is_missing_is_told_in_the_last_lines(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The other tests run; the end names what is missing, and how many tests wanted it."""
    finished = _run(tmp_path, *options)
    assert finished.returncode == pytest.ExitCode.OK, finished.stdout
    assert "1 passed, 2 skipped" in finished.stdout
    assert finished.stdout.rstrip().splitlines()[-1] == "2 tests: a hammer: install one"


@pytest.mark.parametrize("options", [(), _WORKER], ids=["alone", "worker"])
def test_in_ci_it_is_a_failure(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Where `CI` is set, a test that could not have what it needs has failed."""
    finished = _run(tmp_path, *options, CI="1")
    assert finished.returncode == pytest.ExitCode.TESTS_FAILED
    assert "2 errors" in finished.stdout
    assert finished.stdout.rstrip().splitlines()[-1] == "2 tests: a hammer: install one"


def test_in_ci_no_skip_passes(tmp_path: Path) -> None:
    """A test that skips itself makes a run fail where `CI` is set, and only there."""
    (tmp_path / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef skip():\n    pytest.skip('why not')\n"
    )
    assert _run(tmp_path).returncode == pytest.ExitCode.OK
    assert _run(tmp_path, CI="1").returncode == pytest.ExitCode.TESTS_FAILED
