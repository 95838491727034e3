"""How a run is shared between worker processes: which tests stay together, and which come first.

Many tests wait much of the time, so a few at once take less than one after the other. Tests that share an expensive
fixture stay on one worker: those of one file, and those of one running platform or set of engines.
"""

import re
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

# What takes longest comes first, so that the workers end together.
_FIRST: Final = (
    *("tests/acceptance", "tests/compose", "tests/docs", "tests/sdk", "tests/ui"),
    *("tests/integration", "tests/conformance"),
)
_ONE_PLATFORM: Final = {
    "tests/compose": "tests/compose",
    "tests/sdk": "tests/sdk and tests/ui",
    "tests/ui": "tests/sdk and tests/ui",
}
_SHARED_ENGINES: Final = {
    "the command path": re.compile(r"tests/integration/test_(gateway_commands|operations)"),
    "the registries": re.compile(r"tests/conformance/test_registry"),
}
# The acceptance tests of one set of engines share a platform: the set is among their parameters.
_ON_A_SET: Final = re.compile(r"tests/acceptance/[^\[]*\[(?:[^\]]*-)?(native|embedded)[-\]]")


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist carries no types
    """Gives whole groups to the workers."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def group_of(nodeid: str) -> str:
    """Return the group of a test."""
    if on_a_set := _ON_A_SET.match(nodeid):
        return f"tests/acceptance on {on_a_set[1]}"
    for name, files in _SHARED_ENGINES.items():
        if files.match(nodeid):
            return name
    return _ONE_PLATFORM.get(_folder(nodeid)) or _path(nodeid)


def put_in_order(items: list[pytest.Item]) -> None:
    """Put what takes longest first, and leave the order within each folder."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> int:
    folder = _folder(nodeid)
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST)


def _path(nodeid: str) -> str:
    return nodeid.split("::", maxsplit=1)[0]


def _folder(nodeid: str) -> str:
    return _path(nodeid).rsplit("/", 1)[0]
