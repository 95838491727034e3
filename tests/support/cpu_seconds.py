"""What tests cost: the CPU seconds of each, with all processes that it started, and the dearest of a run.

Time on the clock says little where many tests wait and others use the same machine. CPU seconds are those that a
worker process, its living descendants and what they have waited for have used, as Linux counts them in `/proc`. A
fixture counts for the test that is first to use it, and its end for the test that is last. A process that gives up its
parent, such as a platform that runs detached, is not counted: `.ci/run` prints the whole run's seconds with it.
"""

import os
import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

REPORT_VARIABLE: Final = "POLYSTREAM_CPU_REPORT"  # a file that the closing report is written to as well
DEAREST: Final = 10
_OUTPUT_KEY: Final = "cpu_seconds"
_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
# Of the fields of /proc/PID/stat, behind the name in parentheses (proc_pid_stat(5), where they begin with 3).
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)  # utime, stime, cutime, cstime: in ticks


class CpuSeconds:
    """Counts in the process that runs tests, and reports in the one that has the terminal."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._before_s = 0.0
        self._by_test: dict[str, float] = {}
        self._total_s = 0.0  # of workers that have ended

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Count a test with its fixtures."""
        self._before_s = self._before_s or tree_seconds()
        result = yield
        # It may be less than before for a moment: a process ends while all are looked at, one by one.
        after_s = max(self._before_s, tree_seconds())
        self._by_test[item.nodeid] = after_s - self._before_s
        self._before_s = after_s
        return result

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Hand a worker's figures to the process that reports, which adds its own: its children are the workers."""
        if self._config.pluginmanager.has_plugin("dsession"):
            self._total_s += time.process_time()
        else:
            self._total_s += max(tree_seconds(), self._before_s)
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_OUTPUT_KEY] = {"total_s": self._total_s, "by_test": self._by_test}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take a worker's figures. One that died has none."""
        output: Mapping[str, Any] = getattr(node, "workeroutput", {}).get(_OUTPUT_KEY, {})
        self._by_test |= output.get("by_test", {})
        self._total_s += output.get("total_s", 0.0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell the dearest tests and the sum, where a whole run is closed or somebody wants a file."""
        lines = report(self._by_test, self._total_s)
        if path := os.environ.get(REPORT_VARIABLE):
            Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        terminalreporter.section("CPU seconds")
        for line in lines:
            terminalreporter.write_line(line)


def report(by_test: Mapping[str, float], total_s: float) -> list[str]:
    """Return the lines of the report: the dearest files and tests, the dearest first, and what all took (in s)."""
    by_file: defaultdict[str, float] = defaultdict(float)
    for test, seconds in by_test.items():
        by_file[test.split("::", maxsplit=1)[0]] += seconds
    lines = [f"{seconds:8.1f} s  {name}" for costs in (by_file, by_test) for name, seconds in _dearest(costs)]
    return [*lines, f"{total_s:8.1f} s  all {len(by_test)} tests, and what the workers took beside them"]


def _dearest(costs: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(costs.items(), key=lambda entry: (-entry[1], entry[0]))[:DEAREST]


def tree_seconds() -> float:
    """Return the CPU seconds, user and system, that this process and its descendants have used so far."""
    own = os.times()
    own_s = own.user + own.system + own.children_user + own.children_system
    if not _has_children():
        return own_s
    return own_s + descendants_seconds(os.getpid(), _stats())


def descendants_seconds(ancestor: int, stats: Iterable[tuple[int, str]]) -> float:
    """Return the CPU seconds of all descendants of a process, and of those they have waited for.

    `stats` are process IDs with the text of their `/proc/PID/stat`.
    """
    ticks: dict[int, int] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, text in stats:
        fields = text.rpartition(")")[2].split()
        children[int(fields[_PARENT])].append(pid)
        ticks[pid] = sum(map(int, fields[_TIMES]))
    found, total = list(children[ancestor]), 0
    while found:
        pid = found.pop()
        total += ticks[pid]
        found += children[pid]
    return total / _TICKS_A_SECOND


def _has_children() -> bool:
    """Tell whether there is a child, alive or not yet waited for, without looking at all processes."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _stats() -> Iterable[tuple[int, str]]:
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is wanted, of hundreds, after every test
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - likewise
                    yield int(entry), file.read()
            except OSError:
                continue  # it has ended meanwhile
