"""The platform that is verified: started by the command line as a user would, on free ports, and stopped in the end."""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple
from pathlib import Path
from typing import Final

import psutil

from cli.running import find_platform
from cli.verify.breakpoints import LAUNCHER
from cli.verify.breakpoints.redirection import PROXIED, write_redirection
from cli.verify.fault_proxy import FaultProxy
from cli.verify.main_thread import MainThread
from cli.verify.small_disk import DiskError, SmallDisk
from stack.engines import process as processes
from stack.engines.spec import CommandLine
from stack.environments import LAUNCHER_VARIABLE
from stack.ports import Ports
from stack.supervisor.free_ports import is_free
from stack.supervisor.state import PlatformState, ProcessState

# Linux gives 32768 to 60999 to outgoing connections: these leave the gateway above and every other port below.
_OFFSETS: Final = range(10_950, 15_460, 2)
_PROXY_PORTS: Final = range(10_500, 15_200)  # below all of the platform's
_DRAWS_MAX: Final = 1000
_STARTS_MAX: Final = 3  # somebody may take a port between the look and the start
_START_TIMEOUT_S: Final = 300.0  # the native engines may have to be fetched
_STOP_TIMEOUT_S: Final = 120.0
_POLL_S: Final = 0.1
_LOG_LINES: Final = 15
_ENV_FILE: Final = "verify.env"
_TAKEN: Final = "ports are taken"


class VerifyError(Exception):
    """The run could not be made; says why and what to do."""


class VerifiedPlatform:
    """A platform of its own, whose data is below a temporary folder."""

    def __init__(
        self,
        data_dir: Path,
        engine_set: str,
        lanes: int,
        launcher: str = LAUNCHER,
        *,
        is_proxied: bool = False,
        small_disks: Collection[str] = (),
    ) -> None:
        """`launcher` is the module, with its arguments, by which the services are started.

        They reach the engines through proxies where it `is_proxied`. `small_disks` are folders below `data_dir` that
        are each on a disk of its own, which can be filled.
        """
        self.data_dir = data_dir
        self.engine_set = engine_set
        self.lanes = lanes
        self._launcher = launcher
        self._is_proxied = is_proxied
        self.proxies: dict[str, FaultProxy] = {}  # by engine
        self.small_disks = {name: SmallDisk(data_dir / name) for name in sorted(small_disks)}
        self._output = data_dir / "up.log"
        self._up: subprocess.Popen[bytes] | None = None
        self._port_offset = 0
        self.main = MainThread()
        self._first: PlatformState | None = None  # as it was when it was ready: addresses and settings do not change

    @property
    def state(self) -> PlatformState:
        """What `status` would show. Raises VerifyError where nothing runs."""
        state = find_platform(self.data_dir)
        if state is None:
            raise VerifyError(f"the platform has ended:\n{processes.tail(self._output, _LOG_LINES)}")
        return state

    @property
    def settings(self) -> dict[str, str]:
        """Every setting that its services are given."""
        assert self._first is not None  # noqa: S101 - it was started
        return self._first.environment

    def endpoint(self, name: str) -> str:
        """Return the URL or DSN of a part, as `status --json` names it."""
        assert self._first is not None  # noqa: S101 - it was started
        return str(self._first.endpoints[name])

    def part(self, name: str) -> ProcessState:
        """Return a process as the supervisor tells of it. Raises VerifyError where it has none of this name."""
        found = next((process for process in self.state.processes if process.name == name), None)
        if found is None:
            raise VerifyError(f"the platform has no process {name}")
        return found

    def wait_for(self, check: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a check holds, for so many seconds at most, and tell whether it does."""
        give_up_s = time.monotonic() + timeout_s
        while not check():
            if time.monotonic() > give_up_s:
                return False
            time.sleep(_POLL_S)
        return True

    def pid(self, name: str, timeout_s: float = 60.0) -> int:
        """Return a process's ID, once it runs. Raises VerifyError where it does not in time."""
        found: list[int] = []

        def runs() -> bool:
            part = self.part(name)
            found[:] = [part.pid] if part.pid and part.is_alive() else []
            return bool(found)

        if not self.wait_for(runs, timeout_s):
            raise VerifyError(f"{name} was not started again within {timeout_s:g} s")
        return found[0]

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a process and return its ID."""
        pid = self.pid(name)
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        return pid

    def is_back(self, name: str, before: int) -> bool:
        """Tell whether a process is ready, as another one than `before`."""
        part = self.part(name)
        return part.status == "ready" and part.pid != before

    @contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """Let processes and their children stand still while the block runs (SIGSTOP, then SIGCONT)."""
        tree: list[psutil.Process] = []
        for name in names:
            with suppress(psutil.NoSuchProcess):
                parent = psutil.Process(self.pid(name))
                tree += [parent, *parent.children(recursive=True)]
        _signal_all(tree, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal_all(tree, signal.SIGCONT)

    def start(self) -> None:
        """Start it on free ports, and wait until it is ready. Raises VerifyError."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        # A file of its own: the checkout's `.env` may point to somebody's servers.
        (self.data_dir / _ENV_FILE).touch()
        self._mount_small_disks()
        for _ in range(_STARTS_MAX):
            self._port_offset = _free_offset()
            if self._is_proxied:
                self._start_proxies()
            if self._starts():
                self._first = self.state
                return
            if _TAKEN not in self._output.read_text(encoding="utf-8"):
                break
        raise VerifyError(f"the platform did not start:\n{processes.tail(self._output, _LOG_LINES)}")

    def _mount_small_disks(self) -> None:
        """Put each folder on its disk. Raises VerifyError."""
        for name, disk in self.small_disks.items():
            try:
                disk.mount()
            except DiskError as error:
                raise VerifyError(f"no small disk can be mounted at {name}: {error}") from error

    def _start_proxies(self) -> None:
        """Put a proxy before each engine that may have one. Raises VerifyError."""
        self._stop_proxies()
        shifted, ports = Ports().shifted(self._port_offset), {}
        for engine in PROXIED:
            self.proxies[engine] = _started_proxy(getattr(shifted, engine))
            ports[engine] = (getattr(shifted, engine), self.proxies[engine].port)
        write_redirection(self.data_dir, ports)

    def _stop_proxies(self) -> None:
        while self.proxies:
            self.proxies.popitem()[1].stop()

    def kill_everything(self) -> None:
        """Kill the supervisor, and with it all that it has started; then start it again on the same data and ports.

        To be called in any thread but the one that serves `main`. Raises VerifyError.
        """
        self.main.do(self._kill_and_start, 2 * _START_TIMEOUT_S)

    def _kill_and_start(self) -> None:
        state, up = self.state, self._up
        pids = [process.pid for process in state.processes if process.pid]
        os.kill(state.pid, signal.SIGKILL)
        if up is not None:
            up.wait(_STOP_TIMEOUT_S)
        if not self.wait_for(lambda: not any(map(psutil.pid_exists, pids)), _STOP_TIMEOUT_S):
            raise VerifyError("the supervisor was killed, and something that it had started lives on")
        if not self._starts():
            tail = processes.tail(self._output, _LOG_LINES)
            raise VerifyError(f"the platform did not start again after it was killed:\n{tail}")

    def _starts(self) -> bool:
        """Start it, and tell whether it became ready."""
        environment = processes.bare_environment() | {
            "POLYSTREAM_ENV_FILE": str(self.data_dir / _ENV_FILE),
            "LOG_LEVEL": "WARNING",
            LAUNCHER_VARIABLE: self._launcher,
        }
        options = ("--engines", self.engine_set, "--port-offset", str(self._port_offset), "--lanes", str(self.lanes))
        command = CommandLine(
            argv=(
                *(sys.executable, "-m", "cli", "up", "--no-browser", "--gateways", "1"),
                *("--data-dir", str(self.data_dir), *options),
            ),
            env=environment,
            cwd=Path.cwd(),
            stop_timeout_s=_STOP_TIMEOUT_S,
        )
        self._output.unlink(missing_ok=True)
        self._up = processes.spawn(command, self._output)
        return self.wait_for(self._is_ready_or_ended, _START_TIMEOUT_S) and self._up.poll() is None

    def stop(self) -> None:
        """Stop it, and wait until it is gone."""
        try:
            self._stop_up()
        finally:
            self._stop_proxies()
            for disk in self.small_disks.values():
                disk.unmount()

    def _stop_up(self) -> None:
        if self._up is None:
            return
        processes.send(self._up, signal.SIGTERM)
        try:
            self._up.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            processes.kill(self._up)  # the supervisor notices that its starter is gone, and ends everything
            self._up.wait()
        self._up = None

    def tail(self, name: str) -> str:
        """Return the end of what a process has written."""
        return processes.tail(self.data_dir / "logs" / f"{name}.log", _LOG_LINES)

    def _is_ready_or_ended(self) -> bool:
        assert self._up is not None  # noqa: S101 - it was started
        return self._up.poll() is not None or "ready in" in self._output.read_text(encoding="utf-8")


@contextmanager
def verified_platform(
    engine_set: str,
    lanes: int,
    launcher: str = LAUNCHER,
    *,
    is_proxied: bool = False,
    small_disks: Collection[str] = (),
) -> Iterator[VerifiedPlatform]:
    """Run a platform while the block runs; its data is gone afterwards. Raises VerifyError."""
    folder = Path(tempfile.mkdtemp(prefix="polystream-verify-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user where this one is root
    platform = VerifiedPlatform(
        folder.resolve(), engine_set, lanes, launcher, is_proxied=is_proxied, small_disks=small_disks
    )
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _free_offset() -> int:
    """Return a port offset at which every port is free. Raises VerifyError."""
    for _ in range(_DRAWS_MAX):
        offset = random.choice(_OFFSETS)  # noqa: S311 - no secret
        if all(is_free(port) for port in astuple(Ports().shifted(offset))):
            return offset
    raise VerifyError("no port offset leaves all ports free: stop what uses them")


def _started_proxy(target_port: int) -> FaultProxy:
    """Return a proxy that listens. Raises VerifyError."""
    for _ in range(_DRAWS_MAX):
        proxy = FaultProxy(random.choice(_PROXY_PORTS), target_port)  # noqa: S311 - no secret
        if is_free(proxy.port):
            with suppress(OSError):  # somebody has taken it since
                proxy.start()
                return proxy
    raise VerifyError("no port is free for a proxy: stop what uses them")


def _signal_all(tree: list[psutil.Process], number: signal.Signals) -> None:
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
