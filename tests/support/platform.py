"""The platform, and single engines, for tests.

Some engines, for a test of one service::

    def test_lane(tmp_path: Path) -> None:
        with engines({"postgresql", "kafka"}, tmp_path) as running:
            lane = subprocess.Popen([sys.executable, "-m", "processor"], env=running.environment)
            psycopg.connect(running.endpoints["postgresql"])
            running.kill("postgresql")      # SIGKILL; returns when it is dead
            running.start("postgresql")     # on the same data and port; returns when it is ready

Names: `postgresql`, `mongodb`, `redis`, `kafka`, `schema_registry`; they are of the set that the run uses, see
`tests/support/engine_sets.py`. `running.settings` has only the engines'
variables, for `monkeypatch.setenv`. Start it from the main thread: Linux kills children with their thread.

All of it, as a user starts it::

    with Platform(tmp_path) as platform:
        httpx.post(platform.door("gateway") + "/usuarios")
        platform.kill("lane-redis-0")       # SIGKILL; the supervisor starts it again
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from pathlib import Path
from typing import Any, Self

import psutil

from cli.running import find_platform
from mesh.settings import PostgresSettings
from stack.engines import process as processes
from stack.engines.spec import CommandLine, EngineSpec, StackContext
from stack.supervisor.state import PlatformState, ProcessState
from tests.support.engine_sets import chosen_engines, chosen_set
from tests.support.native import provide_for, provide_native
from tests.support.ports import free_offset, free_ports
from tests.support.waiting import eventually

_DEATH_TIMEOUT_S = 10.0
_STARTS_MAX = 3  # somebody may take a port between the look and the start
_RESTART_TIMEOUT_S = 30.0
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 90.0

CHECKOUT = Path(__file__).resolve().parents[2]


class EngineSet:
    """Engines that run for a test."""

    def __init__(self, names: Collection[str], data_dir: Path, among: Sequence[EngineSpec] | None = None) -> None:
        among = chosen_engines() if among is None else among
        unknown = set(names) - {engine.name for engine in among}
        if unknown:
            raise ValueError(f"there is no engine {', '.join(sorted(unknown))}")
        self.context = StackContext(data_dir.resolve(), free_ports(), PostgresSettings())
        self._engines: dict[str, EngineSpec] = {engine.name: engine for engine in among if engine.name in names}
        self._running: dict[str, tuple[subprocess.Popen[bytes], CommandLine]] = {}
        provide_for(self._engines.values())

    @property
    def settings(self) -> dict[str, str]:
        """The variables that lead clients to the engines."""
        return {
            key: value for engine in self._engines.values() for key, value in engine.environment(self.context).items()
        }

    @property
    def environment(self) -> dict[str, str]:
        """The environment of this process with `settings`, for a child process."""
        return os.environ | self.settings

    @property
    def endpoints(self) -> dict[str, str]:
        """The URL or DSN of each engine."""
        return {name: engine.endpoint(self.context) for name, engine in self._engines.items()}

    def pid(self, name: str) -> int:
        """Return the process ID of a running engine."""
        return self._running[name][0].pid

    def log(self, name: str) -> str:
        """Return the end of what an engine has written."""
        return processes.tail(self.context.log(name), lines=50)

    def start(self, name: str) -> None:
        """Start an engine, again on its data if it ran before, and wait until it is ready."""
        self._spawn(name)
        self._wait(name)

    def part(self, names: Collection[str]) -> Self:
        """Return a set of some of these engines: the same processes."""
        part = copy(self)
        part._engines = {name: self._engines[name] for name in names}
        return part

    def is_running(self) -> bool:
        """Tell whether any of them runs."""
        return any(name in self._running for name in self._engines)

    def start_all(self) -> None:
        """Start every engine that does not run, side by side, again on its data if it ran before."""
        for name in [name for name in self._engines if name in self._running]:
            if self._running[name][0].poll() is not None:
                del self._running[name]
        absent = [name for name in self._engines if name not in self._running]
        for name in absent:
            self._spawn(name)
        for name in absent:
            self._wait(name)

    def stop(self, name: str) -> None:
        """Stop an engine as the supervisor would."""
        self._engines[name].before_stop(self.context)
        processes.stop(*self._running.pop(name))

    def kill(self, name: str) -> None:
        """Send SIGKILL to an engine and its children, as the machine's end would, and wait until all are dead."""
        process, _ = self._running.pop(name)
        # A child of PostgreSQL's that outlives the server answers once more, and keeps a new one from starting.
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        eventually(lambda: all(map(_is_dead, children)), _DEATH_TIMEOUT_S, interval_s=0.01)

    def forget(self, name: str) -> None:
        """Remove the data of an engine that does not run: it comes back as a new one."""
        assert name not in self._running
        for folder in (self.context.data_dir / name, self.context.data_dir / "native" / name):
            shutil.rmtree(folder, ignore_errors=True)

    def stop_all(self) -> None:
        """Stop every engine that runs."""
        running = [name for name in self._engines if name in self._running]
        for name in running:
            process, command = self._running[name]
            self._engines[name].before_stop(self.context)
            processes.send(process, command.stop_signal)
        for name in running:
            processes.stop(*self._running.pop(name))

    def _spawn(self, name: str) -> None:
        engine = self._engines[name]
        engine.prepare(self.context)
        command = engine.command(self.context)
        self._running[name] = processes.spawn(command, self.context.log(name)), command

    def _wait(self, name: str) -> None:
        engine, deadline = self._engines[name], time.monotonic() + self._engines[name].ready_timeout_s

        def ready_or_dead() -> bool:
            return self._running[name][0].poll() is not None or engine.is_ready(self.context)

        eventually(ready_or_dead, deadline - time.monotonic(), interval_s=0.02)
        if self._running[name][0].poll() is not None:
            raise AssertionError(f"{name} ended at its start:\n{self.log(name)}")


def _is_dead(process: psutil.Process) -> bool:
    """Tell whether a process has ended, whether or not its new parent has taken note."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@contextmanager
def engines(names: Collection[str], data_dir: Path, among: Sequence[EngineSpec] | None = None) -> Iterator[EngineSet]:
    """Run engines on free ports, their data below `data_dir`, while the block runs: of the run's set, or `among`."""
    running = EngineSet(names, data_dir, among)
    try:
        running.start_all()
        yield running
    finally:
        running.stop_all()


class Platform:
    """The whole platform, started by the command line on free ports, its data below `data_dir`."""

    def __init__(
        self,
        data_dir: Path,
        *,
        engine_set: str | None = None,
        edge: bool = False,
        checkout: Path = CHECKOUT,
        settings: Mapping[str, str] | None = None,
        start_timeout_s: float = _START_TIMEOUT_S,
    ) -> None:
        """`engine_set` is what `up --engines` takes, the run's if it is not given; `checkout` is what runs.

        `settings` are variables that `up` is given. With `edge`, the gateway is behind Envoy too: see `door`.
        """
        self.engine_set = engine_set or chosen_set()
        if self.engine_set == "native":
            provide_native()
        self.data_dir = data_dir.resolve()
        self.checkout = checkout
        self._edge = edge
        self._settings = dict(settings or {})
        self._start_timeout_s = start_timeout_s
        self._up: subprocess.Popen[bytes] | None = None
        self._output = self.data_dir / "up.log"
        self._endpoints: dict[str, Any] = {}  # asked for once a start

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def state(self) -> PlatformState:
        """What `status` would show. Fails while nothing runs."""
        state = find_platform(self.data_dir)
        assert state is not None, self.output
        return state

    @property
    def endpoints(self) -> dict[str, Any]:
        """Where each part is, by the names of `status --json`."""
        if not self._endpoints:
            self._endpoints = dict(self.state.endpoints)
        return self._endpoints

    def door(self, name: str) -> str:
        """Return the URL at which REST, gRPC-Web and gRPC are taken: by the `gateway` itself, or by the `edge`."""
        return str(self.endpoints[{"gateway": "rest", "edge": "edge"}[name]])

    @property
    def output(self) -> str:
        """What `up` has written so far."""
        return self._output.read_text()

    def pid(self, name: str) -> int:
        """Return the process ID of a part, 0 while it is being started again."""
        return self._part(name).pid or 0

    def is_back(self, name: str, before: int) -> bool:
        """Tell whether a part is ready, as another process than `before`."""
        part = self._part(name)
        return part.status == "ready" and part.pid != before

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment that a part runs with."""
        return psutil.Process(self.pid(name)).environ()

    def kill(self, name: str) -> None:
        """Send SIGKILL to a part, once it runs: signalling process 0 would reach the tests themselves."""
        os.kill(eventually(lambda: self.pid(name), _RESTART_TIMEOUT_S), signal.SIGKILL)

    def start(self) -> None:
        """Start it, again on its data if it ran before, and wait until it is ready."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._endpoints = {}
        for _ in range(_STARTS_MAX):
            argv = (sys.executable, "-m", "cli", "up", "--no-browser", "--data-dir", str(self.data_dir))
            options = ("--engines", self.engine_set, "--port-offset", str(free_offset()), "--gateways", "1")
            edge = ("--edge",) if self._edge else ()
            # Through the launcher: were this process killed, the platform would stop too.
            command = CommandLine(argv=(*argv, *options, *edge), env=os.environ | self._settings, cwd=self.checkout)
            self._output.unlink(missing_ok=True)
            self._up = processes.spawn(command, self._output)
            eventually(self._is_ready_or_dead, self._start_timeout_s)
            if self._up.poll() is None:
                return
            if "ports are taken" not in self.output:
                break
        raise AssertionError(f"`up` ended with {self._up.returncode if self._up else None}:\n{self.output}")

    def stop(self) -> None:
        """Stop it with `down`, and wait until it is gone."""
        if self._up is not None:
            self.command("down")
            self._up.wait(_STOP_TIMEOUT_S)
            self._up = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command of the command line on this platform."""
        return subprocess.run(
            self.argv(*arguments),
            cwd=self.checkout,
            capture_output=True,
            text=True,
            timeout=_STOP_TIMEOUT_S,
            check=False,
        )

    def argv(self, *arguments: str) -> list[str]:
        """Return the command line of a command on this platform, to be run in `checkout`."""
        return [sys.executable, "-m", "cli", *arguments, "--data-dir", str(self.data_dir)]

    def _part(self, name: str) -> ProcessState:
        return next(process for process in self.state.processes if process.name == name)

    def _is_ready_or_dead(self) -> bool:
        assert self._up is not None
        return self._up.poll() is not None or "ready in" in self.output


class Platforms:
    """At most one platform of each engine set, for tests that leave it as they find it: started when first asked for.

    Each has an edge, so that the same tests can go through both doors.

    What a test kills, the supervisor starts again; the test waits for it.
    """

    def __init__(self, folder: Path, until_group_ends: ExitStack) -> None:
        self._folder = folder
        self._until_group_ends = until_group_ends
        self._running: dict[str, Platform] = {}

    def get(self, engine_set: str) -> Platform:
        """Return the platform of a set, running."""
        if engine_set not in self._running:
            platform = Platform(self._folder / engine_set, engine_set=engine_set, edge=True)
            platform.start()
            self._running[engine_set] = platform
            self._until_group_ends.callback(self.stop_all)
        return self._running[engine_set]

    def stop_all(self) -> None:
        """Stop those that run."""
        while self._running:
            self._running.popitem()[1].stop()
