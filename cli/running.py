"""Finding the platform that runs on a data folder, as processes or in containers, and what leads to it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from cli import compose
from cli.choosing import NothingRunsError, nothing_on
from cli.compose_engine import ComposeError
from stack.engines.spec import StackError
from stack.environments import service_environment
from stack.supervisor.finding import find_state
from stack.supervisor.state import PlatformState, RunFolder

_T = TypeVar("_T")
_TERMINAL_NAMES: Final = ("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")


def find_platform(data_dir: Path) -> PlatformState | None:
    """Return the platform whose processes run on the data folder, as its supervisor tells it, or None.

    Raises NothingRunsError where this user may not know.
    """
    try:
        return find_state(RunFolder(data_dir.resolve()))
    except StackError as error:
        raise NothingRunsError(str(error)) from error


def _find_started(data_dir: Path) -> PlatformState | None:
    """Return the same, once it has addresses and settings. Raises NothingRunsError before that."""
    state = find_platform(data_dir)
    if state is not None and not state.endpoints:
        raise NothingRunsError(f"the platform on {data_dir} is {state.status}: `status` shows how far it is")
    return state


def endpoints_for(data_dir: Path) -> dict[str, str | None]:
    """Return the addresses of the platform on a data folder, credentials included. Raises NothingRunsError."""
    if (state := _find_started(data_dir)) is not None:
        return state.endpoints
    return _composed(data_dir, compose.endpoints)


def settings_for(data_dir: Path) -> dict[str, str]:
    """Return every setting of the platform on a data folder, as its services were given them.

    Raises NothingRunsError where none runs, and where its settings are not known.
    """
    if (state := _find_started(data_dir)) is not None:
        return dict(state.environment)
    return _composed(data_dir, compose.settings)


def take_settings_of(data_dir: Path) -> None:
    """Let this process go by the settings of the platform on a data folder, and by no other variable.

    A command that went by its own would judge the stores by another rule than the services do, such as how long they
    remember what they have applied. Raises NothingRunsError as `settings_for` does.
    """
    terminal = {name: os.environ[name] for name in _TERMINAL_NAMES if name in os.environ}
    environment = terminal | service_environment(settings_for(data_dir))
    os.environ.clear()
    os.environ.update(environment)


def _composed(data_dir: Path, ask: Callable[[Path], dict[str, _T]]) -> dict[str, _T]:
    if not compose.started_with(data_dir):
        raise nothing_on(data_dir)
    try:
        return ask(data_dir)
    except ComposeError as error:
        raise NothingRunsError(str(error)) from error
