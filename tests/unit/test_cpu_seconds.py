"""The CPU seconds of a test are those of its worker's whole tree of processes, and the dearest tests are told."""

import os
import time
from pathlib import Path

import pytest

from tests.support.cpu_seconds import DEAREST, CpuSeconds, descendants_seconds, report, tree_seconds

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def stat(pid: int, parent: int, *ticks: int, name: str = "java") -> tuple[int, str]:
    """Return a line of `/proc/PID/stat` with the four times."""
    times = " ".join(map(str, ticks))
    return pid, f"{pid} ({name}) S {parent} 1 1 0 -1 4194560 1 2 3 4 {times} 20 0 1 0 100"


def test_descendants_are_counted_with_what_they_waited_for() -> None:
    """Children and theirs, whatever their names; nobody else's."""
    second = TICKS_A_SECOND
    stats = [
        stat(2, 1, second, second, 0, 0),
        stat(3, 2, 0, 0, second, second, name="a (b) c) S 7 8"),
        stat(4, 3, second, 0, 0, 0),
        stat(5, 9, 50 * second, 0, 0, 0),
    ]
    assert descendants_seconds(1, stats) == 5.0
    assert descendants_seconds(4, stats) == 0.0


def test_what_this_process_uses_is_counted() -> None:
    """A tenth of a second of work is seen."""
    before_s, cpu_s = tree_seconds(), time.process_time()
    while time.process_time() - cpu_s < 0.1:
        pass
    assert tree_seconds() - before_s >= 0.08


def test_the_dearest_come_first_and_are_ten() -> None:
    """Behind the files that they are of, and the sum behind them."""
    lines = report({f"file_{number % 2}::test_{number}": float(number) for number in range(20)}, 190.0)
    assert len(lines) == 2 + DEAREST + 1
    assert [line.split() for line in lines[:3]] == [
        ["100.0", "s", "file_1"],
        ["90.0", "s", "file_0"],
        ["19.0", "s", "file_1::test_19"],
    ]
    assert lines[-1].split()[:4] == ["190.0", "s", "all", "20"]


class _Node:
    """A worker that has ended."""

    def __init__(self, **output: object) -> None:
        self.workeroutput = output


class _Terminal:
    """What a report is written to."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        """Take the title."""
        self.lines.append(title)

    def write_line(self, line: str) -> None:
        """Take a line."""
        self.lines.append(line)


def test_workers_are_added_up(pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that died has told nothing; a file gets the same lines as the terminal."""
    monkeypatch.setenv("POLYSTREAM_CPU_REPORT", str(tmp_path / "report"))
    counted, terminal = CpuSeconds(pytestconfig), _Terminal()
    counted.pytest_testnodedown(_Node(cpu_seconds={"total_s": 3.0, "by_test": {"f::a": 1.0, "f::b": 2.0}}))
    counted.pytest_testnodedown(_Node(cpu_seconds={"total_s": 5.0, "by_test": {"f::c": 5.0}}))
    counted.pytest_testnodedown(_Node())
    counted.pytest_terminal_summary(terminal)  # type: ignore[arg-type] # what it uses of one
    assert [line.split()[-1] for line in terminal.lines[1:5]] == ["f", "f::c", "f::b", "f::a"]
    assert terminal.lines[5].split()[0] == "8.0"
    assert (tmp_path / "report").read_text().splitlines() == terminal.lines[1:]
