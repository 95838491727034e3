"""Finding the platform that runs on a data folder, as processes or in containers, and what leads to it."""

from pathlib import Path

from cli import compose
from stack.supervisor.state import PlatformState, RunFolder


class NothingRunsError(Exception):
    """There is no platform to reach; says how to start one."""


def find_platform(data_dir: Path) -> PlatformState | None:
    """Return the platform whose processes run on the data folder, or None."""
    state = RunFolder(data_dir.resolve()).read()
    return state if state and state.is_alive() else None


def endpoints_for(data_dir: Path) -> dict[str, str | None]:
    """Return the addresses of the platform on a data folder, credentials included. Raises NothingRunsError."""
    if (state := find_platform(data_dir)) is not None:
        return state.endpoints
    if compose.started_with(data_dir):
        return compose.endpoints()
    raise NothingRunsError(_nothing_runs(data_dir))


def settings_for(data_dir: Path) -> dict[str, str]:
    """Return the variables that lead to the engines of the platform on a data folder.

    What they leave out, such as credentials of engines of one's own, the environment and `.env` say, as they do for the
    services. Raises NothingRunsError.
    """
    if (state := find_platform(data_dir)) is not None:
        return dict(state.environment)
    if compose.started_with(data_dir):
        return compose.settings()
    raise NothingRunsError(_nothing_runs(data_dir))


def _nothing_runs(data_dir: Path) -> str:
    return f"no platform runs on {data_dir}: start one with `up`, or say --data-dir"
