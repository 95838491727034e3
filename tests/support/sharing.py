"""How a run is shared between worker processes: which tests stay together, and which come first.

Many tests wait much of the time, so a few at once take less than one after the other. Tests that share what is
expensive stay on one worker: those of one file, and those of one running platform or of the same engines of the pool.
"""

import re
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.engine_sets import chosen_set

# What takes longest comes first, so that the workers end together.
_FIRST: Final = (
    # Pages first: their readers come to a platform that nobody has used much.
    *("tests/docs", "tests/sdk", "tests/ui", "tests/acceptance", "tests/compose"),
    *("tests/integration", "tests/conformance"),
)
_ON_ACCEPTANCE: Final = "tests/acceptance on {}"
_COMMAND_PATH: Final = "the command path"  # Kafka and the registry, with the stores
_EVENT_STORE: Final = "the event store"  # OpenSearch, Elasticsearch and Jaeger
_STORES: Final = "the stores"  # PostgreSQL, MongoDB and Redis
# On the platform of the run's set, which is the acceptance tests' too.
_ON_CHOSEN_SET: Final = ("tests/sdk/", "tests/ui/", "tests/acceptance/test_fuzz")
_ON_NATIVE: Final = "tests/docs/test_pages"
_LAST_OF_ALL: Final = ("tests/acceptance/test_schemathesis", "tests/acceptance/test_fuzz")  # they delete what is there
# By the beginning of a path: the first that fits.
_GROUPS: Final = {
    "tests/compose/": "tests/compose",
    "tests/bench/": _COMMAND_PATH,
    "tests/conformance/test_broker": _COMMAND_PATH,
    "tests/conformance/test_registry": _COMMAND_PATH,
    "tests/conformance/test_event_store": _EVENT_STORE,
    "tests/integration/test_dead_threads": _COMMAND_PATH,
    "tests/integration/test_engine_pool": _COMMAND_PATH,
    "tests/integration/test_event_store_outage": _EVENT_STORE,
    "tests/integration/test_fixtures": _STORES,
    "tests/integration/test_gateway_commands": _COMMAND_PATH,
    "tests/integration/test_gateway_queries_grpc": _COMMAND_PATH,
    "tests/integration/test_gateway_queries": _STORES,
    "tests/integration/test_handlers_pg": _STORES,
    "tests/integration/test_integrity": _STORES,
    "tests/integration/test_jaeger": _EVENT_STORE,
    "tests/integration/test_lane_kills": _STORES,
    "tests/integration/test_lane_mongodb": _STORES,
    "tests/integration/test_lane_postgresql_store": _STORES,
    "tests/integration/test_lane_redis": _STORES,
    "tests/integration/test_lane_": _COMMAND_PATH,
    "tests/integration/test_native_engines": _EVENT_STORE,
    "tests/integration/test_operations": _COMMAND_PATH,
    "tests/integration/test_saved_objects": _EVENT_STORE,
    "tests/integration/test_users_lookup": _STORES,
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
        return _ON_ACCEPTANCE.format(on_a_set[1])
    if nodeid.startswith(_ON_NATIVE):
        return _ON_ACCEPTANCE.format("native")
    if nodeid.startswith(_ON_CHOSEN_SET):
        return _ON_ACCEPTANCE.format(chosen_set())
    return next((group for begin, group in _GROUPS.items() if nodeid.startswith(begin)), _path(nodeid))


def put_in_order(items: list[pytest.Item]) -> None:
    """Put what takes longest first, and leave the order within each folder, but for what leaves nothing to others."""
    items.sort(key=lambda item: _rank(item.nodeid))


def _rank(nodeid: str) -> tuple[int, bool]:
    folder = _folder(nodeid)
    return _FIRST.index(folder) if folder in _FIRST else len(_FIRST), nodeid.startswith(_LAST_OF_ALL)


def _path(nodeid: str) -> str:
    return nodeid.split("::", maxsplit=1)[0]


def _folder(nodeid: str) -> str:
    return _path(nodeid).rsplit("/", 1)[0]
