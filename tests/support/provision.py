"""Providing what a run needs before its first test: side by side, with its progress shown, and outside of any limit.

What fails here fails again, at once, for each test that asks for it; so nothing is reported from here.
"""

from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tests.support.browser import chromium
from tests.support.compose_programs import health_programs
from tests.support.debian_root import debian_root
from tests.support.elasticsearch import provide_elasticsearch
from tests.support.engine_sets import chosen_set
from tests.support.load_generator import provide_load_generator
from tests.support.native import provide_native
from tests.support.npm_tools import axe, newman
from tests.support.store_engines import provide_debian_stores
from tests.support.tools import go_tool
from tests.support.unavailable import UnavailableError

_WORKERS: Final = 3


@dataclass(frozen=True, slots=True)
class Thing:
    """Something to provide, and the tests that ask for it, by the beginning of their paths."""

    name: str
    provide: Callable[[], object]
    used_by: tuple[str, ...]


_WITH_ENGINES: Final = ("tests/acceptance", "tests/bench", "tests/docs", "tests/integration", "tests/sdk", "tests/ui")
_WITH_ELASTICSEARCH: Final = (
    "tests/compose/test_health_engines.py",
    "tests/conformance/test_event_store.py",
    "tests/integration/test_jaeger.py",
    "tests/integration/test_saved_objects.py",
)
_THINGS: Final = (
    # Those that take longest come first.
    Thing("native engines", provide_native, ("tests/compose", "tests/conformance")),
    Thing("compose", lambda: go_tool("compose"), ("tests/compose",)),
    Thing("what compose's health checks run", health_programs, ("tests/compose",)),
    Thing("grpcurl", lambda: go_tool("grpcurl"), ("tests/acceptance", "tests/docs")),
    Thing("grpc-health-probe", lambda: go_tool("grpc-health-probe"), ("tests/acceptance/test_tools.py", "tests/docs")),
    Thing("PostgreSQL 15 and Redis 7", provide_debian_stores, ("tests/conformance",)),
    Thing("Elasticsearch 7.17", provide_elasticsearch, _WITH_ELASTICSEARCH),
    Thing("Debian 13", debian_root, ("tests/acceptance/test_surroundings.py",)),
    Thing("kfake", lambda: go_tool("kfake"), ("tests/conformance",)),
    Thing("newman", newman, ("tests/acceptance/test_postman.py", "tests/docs")),
    Thing("Chromium", chromium, ("tests/ui",)),
    Thing("axe-core", axe, ("tests/ui/test_accessibility.py",)),
    Thing(
        "the load generator",
        provide_load_generator,
        ("tests/bench", "tests/docs", "tests/integration/test_bench_load.py"),
    ),
)


def provide_all(ids: Collection[str], report: Callable[[str], None]) -> None:
    """Provide what these tests ask for. Their IDs begin with their paths."""
    with ThreadPoolExecutor(_WORKERS) as workers:
        started: list[Future[None]] = [
            workers.submit(_provide, thing, report) for thing in _THINGS if _is_used(thing, ids)
        ]
        for future in started:
            future.result()


def _is_used(thing: Thing, ids: Collection[str]) -> bool:
    used_by = thing.used_by
    if thing.provide is provide_native and chosen_set() == "native":
        used_by += _WITH_ENGINES
    return any(test.startswith(used_by) for test in ids)


def _provide(thing: Thing, report: Callable[[str], None]) -> None:
    with suppress(UnavailableError):
        thing.provide()
        report(thing.name)
