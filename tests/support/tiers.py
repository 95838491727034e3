"""What a test may cost: its tier, a marker that its folder gives it, and the check that a unit test keeps to its own.

A test of `tests/unit` that has to start a process says so by the marker `integration`.

- `unit` starts no process: it takes milliseconds. A test that starts one all the same fails.
- `integration` runs a part of the platform, engines or tools that it shares with others.
- `acceptance` runs the whole platform as a user has it.
- `native` needs the native engines too, which are fetched once and take seconds to start.
- `slow` takes more than ten seconds by itself.
"""

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.support.engine_sets import chosen_set

_TIER_OF_FOLDER: Final = {
    "tests/unit": "unit",
    "tests/contract": "integration",
    "tests/integration": "integration",
    "tests/conformance": "integration",
    "tests/bench": "integration",
    "tests/sdk": "integration",
    "tests/acceptance": "acceptance",
    "tests/compose": "acceptance",
    "tests/docs": "acceptance",
    "tests/ui": "acceptance",
}
_NATIVE_ALWAYS: Final = (
    "tests/acceptance/test_dependencies.py",
    "tests/compose/test_health_engines.py",
    "tests/compose/test_run.py",
    "tests/docs/test_pages.py",
    "tests/integration/test_jaeger.py",
    "tests/integration/test_native_engines.py",
    "tests/integration/test_event_store_outage.py",
)
_NATIVE_PARAMETERS: Final = frozenset({"apicurio", "elasticsearch", "kafka", "native", "opensearch", "spooled"})
_ON_THE_CHOSEN_SET: Final = frozenset({"command_path", "lease", "platform"})  # fixtures that run engines of that set
_SLOW: Final = (
    "tests/acceptance/test_dead_letters.py",
    "tests/acceptance/test_dependencies.py",
    "tests/acceptance/test_fuzz.py",
    "tests/acceptance/test_integrity.py",
    "tests/acceptance/test_kills.py",
    "tests/acceptance/test_native.py",
    "tests/acceptance/test_record_fuzz.py",
    "tests/acceptance/test_schemathesis.py",
    "tests/acceptance/test_surroundings.py",
    "tests/acceptance/test_verify.py",
    "tests/docs/test_pages.py",
    "tests/integration/test_event_store_outage.py",
    "tests/integration/test_supervisor_platform.py",
)
# Raised by the interpreter for whatever starts another program (https://docs.python.org/3/library/audit_events.html).
_STARTS: Final = frozenset({"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})


class ProcessStartedError(Exception):
    """A unit test has started a process."""


class UnitCheck:
    """Fails a unit test that starts a process, also where the code under test swallows what it is told then."""

    def __init__(self) -> None:
        self._test: str | None = None  # the unit test that runs
        self._started: list[str] = []

    def hook(self, event: str, arguments: tuple[object, ...]) -> None:
        """Refuse the start of a process while a unit test runs. Raises ProcessStartedError."""
        if self._test is not None and event in _STARTS:
            self._started.append(f"{event}: {arguments[0] if arguments else ''}")
            raise ProcessStartedError(f"{self._test} is a unit test and starts a process ({self._started[-1]})")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch a unit test's fixtures."""
        with self._watching(item):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch a unit test."""
        with self._watching(item):
            return (yield)

    @contextmanager
    def _watching(self, item: pytest.Item) -> Iterator[None]:
        self._test, self._started = (item.nodeid if item.get_closest_marker("unit") else None), []
        try:
            yield
        finally:
            self._test = None
        if self._started:
            raise ProcessStartedError(f"{item.nodeid} is a unit test and starts processes: {self._started}")


def watch_unit_tests(config: pytest.Config) -> None:
    """Have every unit test of the run watched."""
    check = UnitCheck()
    sys.addaudithook(check.hook)
    config.pluginmanager.register(check, "unit_check")


def mark_tiers(items: Iterable[pytest.Item]) -> None:
    """Give each test the markers of its tier. Raises KeyError for a folder that has none."""
    for item in items:
        path = item.nodeid.split("::", maxsplit=1)[0]
        tier = _TIER_OF_FOLDER[path.rsplit("/", 1)[0]]
        if item.get_closest_marker("integration") is None:
            item.add_marker(tier)
        if _needs_native(item, path):
            item.add_marker("native")
        if path in _SLOW:
            item.add_marker("slow")


def _needs_native(item: pytest.Item, path: str) -> bool:
    if path in _NATIVE_ALWAYS:
        return True
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if "engine_set" in parameters:
        return bool(parameters["engine_set"] == "native")
    if any(value in _NATIVE_PARAMETERS for value in parameters.values() if isinstance(value, str)):
        return True
    used = getattr(item, "fixturenames", ())
    return chosen_set() == "native" and not _ON_THE_CHOSEN_SET.isdisjoint(used)
