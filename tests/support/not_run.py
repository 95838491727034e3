"""A pytest plugin: what could not be provided, and so was not run, is told in the run's last lines.

A test that meets an UnavailableError is reported as skipped. Where `CI` is set it fails instead, and so does a run in
which any test was skipped, for whatever reason.
"""

import os
from collections import Counter
from collections.abc import Generator
from typing import Final

import pytest
from _pytest.terminal import TerminalReporter  # the type has no public name

from tests.support.unavailable import UnavailableError

_COUNTER: Final = "not_run_counter"


class _Counter:
    """Hears of every test, whichever worker ran it."""

    def __init__(self) -> None:
        self.wanted: Counter[str] = Counter()  # by what is missing, how many tests wanted it

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count what a test lacked."""
        missing = getattr(report, "missing", None)
        if missing is not None:
            self.wanted[missing] += 1


def pytest_configure(config: pytest.Config) -> None:
    """Begin with nothing missing."""
    config.pluginmanager.register(_Counter(), _COUNTER)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Report a test that lacks something as not run."""
    report = yield
    if call.excinfo is not None and isinstance(call.excinfo.value, UnavailableError):
        report.missing = str(call.excinfo.value)  # type: ignore[attr-defined] # goes with the report, from a worker too
        if not _is_ci():
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, report.missing)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let no run pass in which a test was skipped, where `CI` is set."""
    terminal = _terminal(session.config)
    skipped = terminal is not None and terminal.stats.get("skipped")
    if _is_ci() and skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say what was missing, below everything else."""
    terminal, counter = _terminal(config), config.pluginmanager.get_plugin(_COUNTER)
    if terminal is None or counter is None or not counter.wanted:
        return
    terminal.section("NOT RUN, because these could not be provided", red=True, bold=True)
    for missing, tests in counter.wanted.items():
        terminal.write_line(f"{tests} {'test' if tests == 1 else 'tests'}: {missing}", red=True)


def _terminal(config: pytest.Config) -> TerminalReporter | None:
    return config.pluginmanager.get_plugin("terminalreporter")


def _is_ci() -> bool:
    return bool(os.environ.get("CI"))
