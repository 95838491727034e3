"""What holds for every run: which engines, and what is provided before the first test."""

import os
from pathlib import Path
from typing import Final

import pytest

from tests.support import not_run
from tests.support.engine_sets import BOTH, CHOICES, VARIABLE
from tests.support.provision import provide_all

_ROOT: Final = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the choice of engines."""
    parser.addoption(
        "--engines",
        choices=CHOICES,
        default=os.environ.get(VARIABLE, BOTH),
        help="the engines that the tests use; both: native, and embedded too where users would see a difference",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Hand the choice on, also to what the tests start."""
    os.environ[VARIABLE] = config.getoption("--engines")
    config.pluginmanager.register(not_run, "not_run")


def pytest_runtestloop(session: pytest.Session) -> None:
    """Provide what the collected tests need, before the first of them and its time limit."""
    if session.config.option.collectonly:
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    paths = {item.path.relative_to(_ROOT).as_posix() for item in session.items}
    provide_all(paths, lambda name: terminal.write_line(f"provided: {name}"))
