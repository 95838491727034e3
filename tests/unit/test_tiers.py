"""A unit test starts no process, and every test has its tier."""

import subprocess
import sys

import pytest

from tests.support.tiers import ProcessStartedError, UnitCheck


def test_a_unit_test_cannot_start_a_process(pytestconfig: pytest.Config) -> None:
    """It fails where it tries, before there is a process."""
    with pytest.raises(ProcessStartedError, match="is a unit test and starts a process"):
        subprocess.run([sys.executable, "--version"], check=True)
    # What has been tried is not forgiven: here it is meant.
    check = pytestconfig.pluginmanager.get_plugin("unit_check")
    assert isinstance(check, UnitCheck)
    check._started.clear()


def test_what_the_code_under_test_swallows_fails_the_test_all_the_same(request: pytest.FixtureRequest) -> None:
    """The check remembers it."""
    check = UnitCheck()
    remembered = pytest.raises(ProcessStartedError, match="starts processes")
    with remembered, check._watching(request.node), pytest.raises(ProcessStartedError):
        check.hook("os.fork", ())
    with check._watching(request.node):
        check.hook("open", ("a file",))


@pytest.mark.integration  # it starts a process
def test_other_tests_may() -> None:
    """The marker says so."""
    assert subprocess.run([sys.executable, "--version"], check=True, capture_output=True).stdout


def test_this_is_a_unit_test(request: pytest.FixtureRequest) -> None:
    """Its folder makes it one."""
    assert [mark.name for mark in request.node.iter_markers() if mark.name in {"unit", "integration"}] == ["unit"]
