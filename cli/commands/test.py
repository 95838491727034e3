"""`polystream test`: run the tests of the checkout."""

import argparse
import importlib.util
import subprocess
import sys
from typing import Final

from cli.folders import CHECKOUT

# Two at a time: many tests wait. Three leave a slow machine's engines too little to get up in time after a kill.
# Groups and their order are the tests' own.
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
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode  # noqa: S603 - the user's own arguments
