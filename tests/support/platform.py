"""The platform, and single engines, for tests.

Some engines, for a test of one service::

    def test_lane(tmp_path: Path) -> None:
        with engines({"postgresql", "kafka"}, tmp_path) as running:
            lane = subprocess.Popen([sys.executable, "-m", "processor"], env=running.environment)
            psycopg.connect(running.endpoints["postgresql"])
            running.kill("postgresql")      # SIGKILL; returns when it is dead
            running.start("postgresql")     # on the same data and port; returns when it is ready

Names: `postgresql`, `mongodb`, `redis`, `kafka`, `schema_registry`. `running.settings` has only the engines'
variables, for `monkeypatch.setenv`. Start it from the main thread: Linux kills children with their thread.
"""

import os
import random
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path

from mesh.engines import EMBEDDED
from mesh.engines import process as processes
from mesh.engines.part import Command, Engine, Site
from mesh.ports import Ports
from mesh.settings import PostgresSettings
from mesh.supervisor.ports import is_free
from tests.support.waiting import eventually

_PORT_RANGE = range(11_000, 32_000)  # below what Linux gives to outgoing connections


CHECKOUT = Path(__file__).resolve().parents[2]


def free_port_run(count: int) -> int:
    """Return the first of `count` neighbouring ports that are free now, drawn at random."""
    while True:
        first = random.choice(_PORT_RANGE)
        if all(is_free(port) for port in range(first, first + count)):
            return first


def free_ports() -> Ports:
    """Return ports that are all free now, each drawn at random."""
    drawn: dict[str, int] = {}
    for field in fields(Ports):
        drawn[field.name] = free_port_run(1)
    return replace(Ports(), **drawn)


class EngineSet:
    """Engines that run for a test."""

    def __init__(self, names: Collection[str], data_dir: Path) -> None:
        unknown = set(names) - {engine.name for engine in EMBEDDED}
        if unknown:
            raise ValueError(f"there is no engine {', '.join(sorted(unknown))}")
        self.site = Site(data_dir.resolve(), free_ports(), PostgresSettings(_env_file=None))  # type: ignore[call-arg]
        self._engines: dict[str, Engine] = {engine.name: engine for engine in EMBEDDED if engine.name in names}
        self._running: dict[str, tuple[subprocess.Popen[bytes], Command]] = {}

    @property
    def settings(self) -> dict[str, str]:
        """The variables that lead clients to the engines."""
        return {key: value for engine in self._engines.values() for key, value in engine.environment(self.site).items()}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process with `settings`, for a child process."""
        return os.environ | self.settings

    @property
    def endpoints(self) -> dict[str, str]:
        """The URL or DSN of each engine."""
        return {name: engine.endpoint(self.site) for name, engine in self._engines.items()}

    def pid(self, name: str) -> int:
        """Return the process ID of a running engine."""
        return self._running[name][0].pid

    def log(self, name: str) -> str:
        """Return the end of what an engine has written."""
        return processes.tail(self.site.log(name), lines=50)

    def start(self, name: str) -> None:
        """Start an engine, again on its data if it ran before, and wait until it is ready."""
        self._spawn(name)
        self._wait(name)

    def start_all(self) -> None:
        """Start every engine, side by side."""
        for name in self._engines:
            self._spawn(name)
        for name in self._engines:
            self._wait(name)

    def stop(self, name: str) -> None:
        """Stop an engine as the supervisor would."""
        processes.stop(*self._running.pop(name))

    def kill(self, name: str) -> None:
        """Send SIGKILL to an engine, and wait until it is dead."""
        process, _ = self._running.pop(name)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        """Stop every engine that runs."""
        for process, command in self._running.values():
            processes.send(process, command.stop_signal)
        for name in list(self._running):
            self.stop(name)

    def _spawn(self, name: str) -> None:
        engine = self._engines[name]
        engine.prepare(self.site)
        command = engine.command(self.site)
        self._running[name] = processes.spawn(command, self.site.log(name)), command

    def _wait(self, name: str) -> None:
        engine, deadline = self._engines[name], time.monotonic() + self._engines[name].ready_timeout_s

        def ready_or_dead() -> bool:
            return self._running[name][0].poll() is not None or engine.is_ready(self.site)

        eventually(ready_or_dead, deadline - time.monotonic(), interval_s=0.02)
        if self._running[name][0].poll() is not None:
            raise AssertionError(f"{name} ended at its start:\n{self.log(name)}")


@contextmanager
def engines(names: Collection[str], data_dir: Path) -> Iterator[EngineSet]:
    """Run engines on free ports, their data below `data_dir`, while the block runs."""
    running = EngineSet(names, data_dir)
    try:
        running.start_all()
        yield running
    finally:
        running.stop_all()
