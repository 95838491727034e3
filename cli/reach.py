"""Reaching the engines of a running platform, for commands that work on them themselves."""

from pathlib import Path

from cli import compose
from cli.platform import find_platform, nothing_runs


class NothingRunsError(Exception):
    """There is no platform to reach; says how to start one."""


def settings_for(data_dir: Path) -> dict[str, str]:
    """Return the variables that lead to the engines of the platform on a data folder.

    What they leave out, such as credentials of engines of one's own, the environment and `.env` say, as they do for the
    services. Raises NothingRunsError.
    """
    state = find_platform(data_dir)
    if state is not None:
        return dict(state.environment)
    if compose.started_with(data_dir):
        return compose.settings()
    raise NothingRunsError(nothing_runs(data_dir))
