"""`polystream docs`: build the documentation as a website, which the dashboard then serves under /docs."""

import argparse
import importlib.util
import shutil
import subprocess
import sys

from cli.console import make_console
from cli.folders import CHECKOUT
from monitor.pages.docs_build import build_command, build_environment, built_folder, fresh_folder, put_in_place


def configure(_: argparse.ArgumentParser) -> None:
    """Declare nothing: there is nothing to choose."""


def run(_: argparse.Namespace) -> int:
    """Build it, put it in its place, and return the exit code."""
    if not (CHECKOUT / "mkdocs.yml").exists():
        sys.stderr.write("the documentation is built in a checkout of the repository; this is an installed package\n")
        return 2
    if importlib.util.find_spec("mkdocs") is None:
        sys.stderr.write("what builds the documentation is not installed: run `python3 start.py docs`\n")
        return 2
    built = built_folder(CHECKOUT)
    fresh = fresh_folder(built)
    try:
        done = subprocess.run(  # noqa: S603 - MkDocs, with a folder of ours
            build_command(fresh), cwd=CHECKOUT, env=build_environment(), check=False
        )
        if done.returncode == 0:
            put_in_place(fresh, built)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    if done.returncode == 0:
        told = f"the documentation is in {built / 'index.html'}; a dashboard that runs serves it under /docs"
        make_console().print(told, markup=False, soft_wrap=True)
    return done.returncode
