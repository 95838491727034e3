"""Runs a service's own main after its methods have been wrapped."""

import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path

from cli.verify.breakpoints.clock import begin_by_clock
from cli.verify.breakpoints.older import begin_by_version
from cli.verify.breakpoints.points import GATEWAY, BreakpointFolder
from cli.verify.breakpoints.redirection import redirect
from cli.verify.breakpoints.wrapping import wrap_gateway, wrap_lane


def run_service(arguments: Sequence[str]) -> None:
    """Run a service: the data folder, its module, and its arguments."""
    data_dir, module, *rest = arguments
    begin_by_clock(Path(data_dir))
    folder = BreakpointFolder(Path(data_dir))
    if module == GATEWAY:
        wrap_gateway(folder)
    elif module == "processor":
        begin_by_version(Path(data_dir))
        wrap_lane(rest[rest.index("--store") + 1], folder)
    os.environ.update(redirect(Path(data_dir), os.environ))
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
