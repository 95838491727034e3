"""What a running platform leaves on disk for other processes: a lock, and its state."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self, TextIO
from urllib.parse import urlsplit, urlunsplit

import psutil

from stack.engines.spec import StackError
from stack.supervisor.data_folder import unwritable

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 19  # of /proc/PID/stat, behind the name: ticks since the system began


@dataclass(slots=True)
class ProcessState:
    """One supervised process."""

    name: str
    kind: str  # engine, service
    status: str  # waiting, starting, ready, unhealthy, restarting, stopping, stopped
    pid: int | None = None
    start_id: str | None = None  # with the process ID, it is of this process alone
    restarts: int = 0
    last_exit: int | None = None  # exit code, or minus the signal

    def is_alive(self) -> bool:
        """Tell whether the process of that ID is still this one, and no zombie."""
        return self.pid is not None and is_same_process(self.pid, self.start_id)


@dataclass(slots=True)
class PlatformState:
    """A whole platform, as `status` shows it."""

    pid: int  # the supervisor's
    start_id: str
    engines: str  # the set
    port_offset: int
    status: str = "starting"  # starting, ready, degraded, stopping, stopped, failed
    endpoints: dict[str, str | None] = field(default_factory=dict)  # credentials included
    environment: dict[str, str] = field(default_factory=dict)  # every setting of its services
    processes: list[ProcessState] = field(default_factory=list)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `RunFolder.write` wrote. Raises TypeError or KeyError where another version wrote it."""
        processes = [ProcessState(**process) for process in document.pop("processes")]
        return cls(**document, processes=processes)

    def is_alive(self) -> bool:
        """Tell whether the supervisor still runs."""
        return is_same_process(self.pid, self.start_id)


class AlreadyRunningError(StackError):
    """Another supervisor has the data folder."""


class RunFolder:
    """DATA_DIR/run: readable by its owner only, since the state has credentials."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / "run"
        self._state = self._folder / "state.json"

    def make(self) -> None:
        """Make the folder. Raises StackError where that is not possible."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
            (self._folder / "lock").touch()
        except OSError as error:
            raise StackError(unwritable(self._folder.parent, error)) from error

    def lock(self) -> TextIO:
        """Take the lock and return the file that holds it while it is open. Raises AlreadyRunningError."""
        file = (self._folder / "lock").open("r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            state = self.read()
            who = f" (pid {state.pid})" if state else ""
            raise AlreadyRunningError(
                f"a platform is already running on {self._folder.parent}{who}. "
                "`status` shows it and `down` stops it; --data-dir and --port-offset start another beside it."
            ) from error
        return file

    def read(self) -> PlatformState | None:
        """Return the last state, or None where there is none that can be read."""
        try:
            return PlatformState.from_json(json.loads(self._state.read_text()))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, state: PlatformState) -> None:
        """Replace the state in one step."""
        temporary = self._state.with_suffix(".tmp")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(state), file, indent=1)
        temporary.replace(self._state)


def is_same_process(pid: int, start_id: str | None) -> bool:
    """Tell whether `pid` is alive, no zombie, and the process of that `start_id`."""
    try:
        zombie = psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
    return not zombie and start_id is not None and start_id_of(pid) == start_id


def start_id_of(pid: int) -> str | None:
    """Return what tells a process from every other one of the same ID, or None where it is gone.

    On Linux, that is when it began, in ticks since the system did: a time of day would move when the clock is set.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{fields[_START_FIELD].decode()} of {_BOOT_ID.read_text(encoding='ascii').strip()}"
    except (OSError, IndexError):
        pass
    try:
        return f"{psutil.Process(pid).create_time():.2f}"
    except psutil.Error:
        return None


def for_display(url: str | None) -> str | None:
    """Return a URL as it may be shown: without password, and without its query, which may have one too."""
    if url is None or "://" not in url:
        return url
    parts = urlsplit(url)
    user, at, address = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}{at}{address}", query=""))
