"""What holds for every run: which engines, and what is provided before the first test."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import pytest

from tests.support import not_run
from tests.support.engine_sets import BOTH, CHOICES, VARIABLE
from tests.support.platform import Platform
from tests.support.provision import provide_all
from tests.support.sharing import GroupScheduling, group_of, put_in_order

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


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let what takes longest come first, where there are several workers."""
    if _is_worker(config):
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


@pytest.fixture(scope="session")
def until_group_ends(pytestconfig: pytest.Config) -> Iterator[ExitStack]:
    """Return what is closed when a worker is done with a group: a platform that ran on would slow down all others."""
    with pytestconfig.stash.setdefault(_UNTIL_GROUP_ENDS, ExitStack()) as stack:
        yield stack


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack) -> Iterator[Platform]:
    """Run the whole platform on free ports and its own data, for tests that disturb nothing in it."""
    with Platform(tmp_path_factory.mktemp("platform")) as running:
        until_group_ends.callback(running.stop)
        yield running


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
