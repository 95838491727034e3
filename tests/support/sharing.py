"""How a run is shared between worker processes: which tests stay together, and which come first.

Most tests wait most of the time, so two at once take little more than half as long. Tests that share an expensive
fixture stay on one worker: those of one file, and those of one running platform.
"""

from typing import Final

import pytest

# What takes longest comes first, so that the workers end together.
_FIRST: Final = ("tests/acceptance", "tests/compose", "tests/integration", "tests/conformance", "tests/docs")
_ONE_PLATFORM: Final = ("tests/compose", "tests/sdk", "tests/ui")
# Marks the set of engines of a session's platform, see tests/acceptance/conftest.py.
_SET_PARAMETER: Final = "engine_set"


def share(items: list[pytest.Item]) -> None:
    """Put each test into its group, and the groups into their order."""
    items.sort(key=_rank)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _rank(item: pytest.Item) -> int:
    folder = item.nodeid.rsplit("/", 1)[0]
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


def _group(item: pytest.Item) -> str:
    path = item.nodeid.split("::")[0]
    folder = path.rsplit("/", 1)[0]
    if isinstance(item, pytest.Function) and _SET_PARAMETER in getattr(item, "callspec", _NoParameters).params:
        return f"{folder}/{item.callspec.params[_SET_PARAMETER]}"
    return folder if folder in _ONE_PLATFORM else path


class _NoParameters:
    params: Final = ()
