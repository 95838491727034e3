"""What the control groups leave to a process, as either version of them and a container show it."""

import sys
from pathlib import Path

import pytest

from stack.supervisor.control_groups import memory_left_bytes, tasks_left


def _write(folder: Path, **figures: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in figures.items():
        (folder / name.replace("_", ".", 1)).write_text(text + "\n")


def _own(tmp_path: Path, text: str) -> Path:
    own = tmp_path / "own"
    own.write_text(text)
    return own


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    """Of version 2, an outer group's limit holds for the inner ones; what is kept of files is given back."""
    _write(tmp_path, memory_max="max", memory_current="900")
    _write(tmp_path / "a", memory_max="1000", memory_current="700", memory_stat="anon 5\ninactive_file 100\nx 1")
    _write(tmp_path / "a/b", memory_max="800", memory_current="100")
    _write(tmp_path / "a/b", pids_max="50", pids_current="0")
    own = _own(tmp_path, "0::/a/b\n")
    assert memory_left_bytes(tmp_path, own) == 400
    assert tasks_left(tmp_path, own) == 50


def test_the_first_version_is_read_too(tmp_path: Path) -> None:
    """There, each controller has groups of its own."""
    group = tmp_path / "memory/box"
    _write(group, memory_limit_in_bytes="500", memory_usage_in_bytes="450", memory_stat="total_inactive_file 20")
    _write(tmp_path / "pids/box", pids_max="10", pids_current="30")
    own = _own(tmp_path, "4:memory:/box\n3:cpu,pids:/other\n8:pids:/box\n0::/\n")
    assert memory_left_bytes(tmp_path, own) == 70
    assert tasks_left(tmp_path, own) == 0


def test_a_container_that_sees_its_own_group_as_the_root(tmp_path: Path) -> None:
    """The path is that of the machine, and the figures are at the root."""
    _write(tmp_path / "memory", memory_limit_in_bytes="500", memory_usage_in_bytes="100")
    own = _own(tmp_path, "4:memory:/docker/1234\n")
    assert memory_left_bytes(tmp_path, own) == 400


@pytest.mark.parametrize("text", ["", "0::/\n", "4:memory:/\n0::/\n", "nonsense\n"])
def test_no_limit_is_no_limit(tmp_path: Path, text: str) -> None:
    """Where nothing says so, there is none."""
    own = _own(tmp_path, text)
    assert memory_left_bytes(tmp_path, own) == sys.maxsize
    assert tasks_left(tmp_path, own) == sys.maxsize
    assert tasks_left(tmp_path, tmp_path / "missing") == sys.maxsize
