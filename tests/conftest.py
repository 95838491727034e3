"""What holds for every run: which engines, and what is provided before the first test."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pytest
import structlog

from tests.support import not_run
from tests.support.cpu_seconds import CpuSeconds
from tests.support.engine_pool import EnginePool, Lease
from tests.support.engine_sets import BOTH, CHOICES, VARIABLE, chosen_set
from tests.support.platform import Platform, Platforms
from tests.support.provision import provide_all
from tests.support.sharing import GroupScheduling, group_of, put_in_order
from tests.support.tiers import mark_tiers, watch_unit_tests

_PROVIDED: Final = pytest.StashKey[bool]()
_UNTIL_GROUP_ENDS: Final = pytest.StashKey[ExitStack]()


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
    config.pluginmanager.register(CpuSeconds(config), "cpu_seconds")
    watch_unit_tests(config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test's tier, and put them in order."""
    del config
    mark_tiers(items)
    put_in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Keep tests together that share what is expensive."""
    return GroupScheduling(config, log)


def pytest_runtestloop(session: pytest.Session) -> None:
    """Provide what the collected tests need, before the first of them and its time limit."""
    if not session.config.option.collectonly and not _is_worker(session.config):
        _provide(session.config, {item.nodeid for item in session.items})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: list[str]) -> None:
    """Do the same once for all workers, which collect the same: the first test begins when this has returned."""
    if not node.config.stash.get(_PROVIDED, False):
        node.config.stash[_PROVIDED] = True
        _provide(node.config, set(ids))


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the run a register of platforms of its own: the developer's own platforms are none of its business."""
    folder = tmp_path_factory.mktemp("state")
    os.environ["XDG_STATE_HOME"] = str(folder)
    return folder


@pytest.fixture(autouse=True)
def logs_as_at_first() -> None:
    """Undo what an earlier test's commands have set: the command line leaves out what is no warning."""
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def until_group_ends(pytestconfig: pytest.Config) -> Iterator[ExitStack]:
    """Return what is closed when a worker is done with a group: a platform that ran on would slow down all others."""
    with pytestconfig.stash.setdefault(_UNTIL_GROUP_ENDS, ExitStack()) as stack:
        yield stack


@pytest.fixture(scope="session")
def engine_pool(tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack) -> Iterator[EnginePool]:
    """Return the engines that this worker's tests share."""
    pool = EnginePool(tmp_path_factory.mktemp("engines"), until_group_ends)
    yield pool
    pool.stop_all()


@pytest.fixture(scope="module")
def lease(engine_pool: EnginePool) -> Lease:
    """Return what gives a module its engines by their names: running, shared and empty."""
    return engine_pool.lease


@pytest.fixture(scope="session")
def platforms(tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack) -> Iterator[Platforms]:
    """Return the whole platforms that this worker's tests share, on free ports and data of their own."""
    shared = Platforms(tmp_path_factory.mktemp("platforms"), until_group_ends)
    yield shared
    shared.stop_all()


@pytest.fixture(scope="session")
def platform(platforms: Platforms) -> Platform:
    """Run the whole platform, for tests that disturb nothing in it."""
    return platforms.get(chosen_set())


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Close it, after the group's last test. A worker gets whole groups; without workers, a group's tests lie apart."""
    is_last = nextitem is None or group_of(nextitem.nodeid) != group_of(item.nodeid)
    if is_last and _is_worker(item.config) and (stack := item.config.stash.get(_UNTIL_GROUP_ENDS, None)):
        stack.close()


def _provide(config: pytest.Config, ids: set[str]) -> None:
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    provide_all(ids, lambda name: terminal.write_line(f"provided: {name}"))


def _is_worker(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")
