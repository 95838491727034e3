"""Finding the platform that runs on a data folder, as processes or in containers, and what leads to it."""

from pathlib import Path

from cli import compose
from stack.engines.spec import StackError
from stack.supervisor.finding import find_state
from stack.supervisor.state import PlatformState, RunFolder


class NothingRunsError(Exception):
    """There is no platform to reach; says how to start one."""


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
    if compose.started_with(data_dir):
        return compose.endpoints()
    raise NothingRunsError(_nothing_runs(data_dir))


def settings_for(data_dir: Path) -> dict[str, str]:
    """Return the variables that lead to the engines of the platform on a data folder.

    What they leave out, such as credentials of engines of one's own, the environment and `.env` say, as they do for the
    services. Raises NothingRunsError.
    """
    if (state := _find_started(data_dir)) is not None:
        return dict(state.environment)
    if compose.started_with(data_dir):
        return compose.settings()
    raise NothingRunsError(_nothing_runs(data_dir))


def _nothing_runs(data_dir: Path) -> str:
    return f"no platform runs on {data_dir}: start one with `up`, or say --data-dir"
