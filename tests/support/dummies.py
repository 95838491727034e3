"""A small platform that runs for a test: see `dummy_supervisor`."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stack.supervisor.state import PlatformState, ProcessState, RunFolder
from tests.support.platform import CHECKOUT
from tests.support.ports import free_port_run

_SCRIPT = ("-m", "tests.support.dummy_supervisor")


class Dummy:
    """A supervisor that runs for a test."""

    def __init__(self, data_dir: Path, *flags: str, first_port: int | None = None) -> None:
        self.data_dir = data_dir
        self.first_port = first_port or free_port_run(2)
        self.process = subprocess.Popen(
            [sys.executable, *_SCRIPT, str(data_dir), str(self.first_port), *flags],
            stdin=subprocess.DEVNULL if "detached" in flags else subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=CHECKOUT,
        )
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str) -> dict[str, Any]:
        """Read events up to one of this kind, and return it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == kind:
                return self.events[-1]
        raise AssertionError(f"no event {kind} among {self.events}")

    def state(self) -> PlatformState:
        """Return the state on disk."""
        state = RunFolder(self.data_dir).read()
        assert state is not None
        return state

    def part(self, name: str) -> ProcessState:
        """Return the state of one part."""
        return next(process for process in self.state().processes if process.name == name)

    def exit_code(self) -> int:
        """Read the events to their end, and return the exit code of one that ends by itself."""
        with self.process:
            if self.process.stdout and not self.process.stdout.closed:
                self.events += [json.loads(line) for line in self.process.stdout]
        return self.process.returncode

    def stop(self) -> int:
        """Ask it to stop, and return its exit code."""
        self.process.terminate()
        return self.exit_code()


@contextmanager
def dummies(data_dir: Path) -> Iterator[Callable[..., Dummy]]:
    """Hand out what starts supervisors on a data folder, by their flags; they end with the block."""
    started: list[Dummy] = []

    def start_one(*flags: str, first_port: int | None = None) -> Dummy:
        started.append(Dummy(data_dir, *flags, first_port=first_port))
        return started[-1]

    try:
        yield start_one
    finally:
        for dummy in started:
            dummy.stop()


def polystream(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the command line."""
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
