"""`polystream contracts`: generate from the protos, and compare them with what was released."""

import argparse
import sys
from importlib import import_module
from typing import Final

from cli.folders import CHECKOUT

_MODULES: Final = {"check": "contracts.check", "generate": "contracts.generate"}


def configure(_: argparse.ArgumentParser) -> None:
    """Declare nothing: the arguments are the two commands' own."""


def run(arguments: argparse.Namespace) -> int:
    """Run one of them and return its exit code."""
    name, *rest = arguments.arguments or ["--help"]
    if name not in _MODULES:
        sys.stderr.write("usage: polystream contracts check [--against REF] | generate [--check]\n")
        return 0 if name in {"-h", "--help"} else 2
    if not (CHECKOUT / "proto").exists():
        sys.stderr.write("the contracts are in a checkout of the repository; this is an installed package\n")
        return 2
    return int(import_module(_MODULES[name]).main(rest))
