"""A command is bounded in time, with all that it starts."""

import psutil

from tests.support.bounded import TIMED_OUT, run_bounded
from tests.support.waiting import eventually


def test_what_takes_too_long_is_ended_with_what_it_started() -> None:
    """A child that would outlive its parent, and holds its output open, ends too; what was written is there."""
    done = run_bounded(["sh", "-c", "sleep 60 & echo $!; wait"], timeout_s=0.5)
    assert done.returncode == TIMED_OUT
    assert done.stderr == "\nnot done after 0.5 s\n"
    eventually(lambda: not psutil.pid_exists(int(done.stdout)), 30)


def test_what_ends_in_time_is_told_as_it_is() -> None:
    """Exit code and both outputs."""
    done = run_bounded(["sh", "-c", "echo out; echo error >&2; exit 3"], timeout_s=10)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "error\n")
