"""Files that a killed server has left: a dead owner's lock is no lock, and a living one's is."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from stack.engines import postgresql_lock
from stack.engines.postgresql_lock import remove_dead_owners_lock
from stack.engines.spec import StackError
from tests.support.engine_sets import chosen_engines
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

_NAME = "postgresql"


@contextmanager
def _zombie() -> Iterator[int]:
    """Have a process that has ended and that nobody reaps, as below a first process of a container that reaps none."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE, 10)
    yield child.pid
    child.wait()


@contextmanager
def _stranger() -> Iterator[int]:
    """Have a living process of another kind."""
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    yield child.pid
    child.kill()
    child.wait()


@contextmanager
def _nobody() -> Iterator[int]:
    """Have no process at all."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    yield child.pid


def test_a_server_starts_whoever_has_the_number_of_its_killed_predecessor(tmp_path: Path) -> None:
    """Its process ID is a zombie's, a stranger's, nobody's, or the file is empty: the next start works on the data.

    While the server lives, its lock stays, and whoever would start another is told.
    """
    running = EngineSet({_NAME}, tmp_path, chosen_engines())
    lock = tmp_path / "postgresql" / "cluster" / "postmaster.pid"
    running.start(_NAME)
    try:
        for owner in (_zombie, _stranger, _nobody):
            running.kill(_NAME)
            with owner() as pid:
                _, *lines = lock.read_text().splitlines()
                lock.write_text("\n".join([str(pid), *lines, ""]))
                running.start(_NAME)
        running.kill(_NAME)
        lock.write_text("")
        running.start(_NAME)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(postgresql_lock, "_ENDS_WITHIN_S", 0.1)
            with pytest.raises(StackError, match=rf"a server \(pid {running.pid(_NAME)}\) still runs on"):
                remove_dead_owners_lock(lock.parent)
        assert lock.exists()
    finally:
        running.stop_all()


@pytest.mark.parametrize(
    "owner",
    [pytest.param(_zombie, id="zombie"), pytest.param(_stranger, id="stranger"), pytest.param(_nobody, id="nobody")],
)
def test_without_the_systems_word_on_memory_the_process_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Callable[[], Iterator[int]]
) -> None:
    """Where shared memory can't be looked at, a process that is no server of PostgreSQL's is not one that lives."""
    monkeypatch.setattr(postgresql_lock, "_SEGMENTS", tmp_path / "none")
    lock = tmp_path / "postmaster.pid"
    with owner() as pid:  # type: ignore[attr-defined]
        lock.write_text(f"{pid}\n{tmp_path}\n0\n5432\n\n127.0.0.1\n  1  2\nready\n")
        remove_dead_owners_lock(tmp_path)
    assert not lock.exists()
