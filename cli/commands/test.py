"""`polystream test`: run the tests of the checkout."""

import argparse
import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from typing import Final

from cli.arguments import refuse
from cli.folders import CHECKOUT

# Two at a time: many tests wait. Three leave a slow machine's engines too little to get up in time after a kill.
# Groups and their order are the tests' own.
_USAGE_ERROR: Final = 4  # as pytest ends when it is used wrongly
_WHOLE_SUITE: Final = ("--numprocesses", "2", "--no-loadscope-reorder", "--durations", "20")


def configure(_: argparse.ArgumentParser) -> None:
    """Declare nothing: the arguments are pytest's."""


def run(arguments: argparse.Namespace) -> int:
    """Run pytest with the arguments and return its exit code."""
    if not (CHECKOUT / "tests").exists():
        sys.stderr.write("the tests are in a checkout of the repository; this is an installed package\n")
        return 2
    if importlib.util.find_spec("pytest") is None:
        sys.stderr.write("what the tests need is not installed: run `python3 start.py test`\n")
        return 2
    command = [sys.executable, "-m", "pytest", *(arguments.arguments or _WHOLE_SUITE)]
    with subprocess.Popen(  # noqa: S603 - the user's own arguments
        command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as pytest:
        assert pytest.stderr is not None  # noqa: S101 - a pipe was asked for
        usage = _pass_on(pytest.stderr)
    if pytest.returncode == _USAGE_ERROR and usage:
        return refuse("polystream test", f"pytest says: {usage}. `pytest --help` shows what it takes.")
    return pytest.returncode


def _pass_on(lines: Iterable[str]) -> str:
    """Write pytest's lines on, but for what it says of arguments that it does not know: that is returned."""
    usage: list[str] = []
    for line in lines:
        if usage or line.startswith("ERROR: usage:"):
            usage.append(line)
        else:
            sys.stderr.write(line)
            sys.stderr.flush()
    return next((line.partition("error: ")[2].strip() for line in usage if "error: " in line), "")
