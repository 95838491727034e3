"""What a running platform leaves on disk for other processes: a lock, and its state."""

import json
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from types import GenericAlias
from typing import Any, Self, cast
from urllib.parse import urlsplit, urlunsplit

import psutil

from stack.engines.spec import StackError
from stack.supervisor.data_folder import owner_of, read_regular_file, unwritable
from stack.supervisor.lock import Holder, PlatformLock, holder_of

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_STATE_MAX_BYTES = 4 * 1024 * 1024
_START_FIELD = 19  # of /proc/PID/stat, behind the name: ticks since the system began


@dataclass(slots=True)
class ProcessState:
    """One supervised process."""

    name: str
    kind: str  # engine, service
    status: str  # waiting, starting, ready, degraded, unhealthy, restarting, stopping, stopped
    pid: int | None = None
    start_id: str | None = None  # with the process ID, it is of this process alone
    restarts: int = 0
    last_exit: int | None = None  # exit code, or minus the signal
    last_cause: str = ""  # of the last restart, in a few words
    detail: str = ""  # why it is not ready, in one sentence
    metrics_url: str | None = None  # where Prometheus reads its metrics, if anywhere
    since_time_s: float = 0.0  # since when it has this status, in seconds since 1970

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
    status: str = "starting"  # starting, ready, degraded, stopping, stopped, failed; unknown: it does not answer
    detail: str = ""  # what it is doing, or why it is not ready, in one sentence
    unsettled: str = ""  # what goes on at the next start of what was accepted, in one sentence
    endpoints: dict[str, str | None] = field(default_factory=dict)  # credentials included
    environment: dict[str, str] = field(default_factory=dict)  # every setting of its services
    processes: list[ProcessState] = field(default_factory=list)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Read what `to_json` made; what another version has beside it is left out.

        Raises TypeError, KeyError or ValueError where too little is left.
        """
        processes = [ProcessState(**_known(ProcessState, process)) for process in document["processes"]]
        state = cls(**_known(cls, document) | {"processes": processes})
        _require_types(state)
        for process in processes:
            _require_types(process)
        return state

    def to_json(self) -> str:
        """Return it as one JSON object."""
        return json.dumps(asdict(self), indent=1)

    def is_alive(self) -> bool:
        """Tell whether the supervisor still runs."""
        return is_same_process(self.pid, self.start_id)


class AlreadyRunningError(StackError):
    """Another supervisor has the data folder."""


class RunFolder:
    """DATA_DIR/run: readable by its owner only, since the state has credentials."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.path = data_dir / "run"
        self._state = self.path / "state.json"
        self._lock = self.path / "lock"

    def make(self) -> None:
        """Make the folder. Raises StackError where that is not possible."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise StackError(unwritable(self.path.parent, error)) from error

    def lock(self, descriptor: int | None = None) -> PlatformLock:
        """Take the lock, which is held while it is open, or go on with that of the process that started this one.

        Raises AlreadyRunningError, and StackError where it can't be made.
        """
        try:
            return PlatformLock(self._lock, descriptor)
        except BlockingIOError as error:
            holder = self.holder()
            who = f" (pid {holder.pid})" if holder and holder.pid else ""
            raise AlreadyRunningError(
                f"a platform is already running on {self.path.parent}{who}. "
                "`status` shows it and `down` stops it; --data-dir and --port-offset start another beside it."
            ) from error
        except OSError as error:
            raise StackError(unwritable(self.path.parent, error)) from error

    def holder(self) -> Holder | None:
        """Return who has the lock; None where nobody does. Raises StackError where this user may not know."""
        try:
            return holder_of(self._lock)
        except PermissionError as error:
            owner = owner_of(self.path)
            whose = owner if owner == "root" else f"{owner} or root"
            raise StackError(f"the platform on {self.path.parent} is for {whose} to see and to stop") from error
        except OSError as error:
            raise StackError(f"{self._lock} can't be read ({error.strerror})") from error

    def read(self) -> PlatformState | None:
        """Return the state that was written last, or None where there is none that can be read."""
        try:
            return read_state(read_regular_file(self._state, _STATE_MAX_BYTES).decode())
        except (OSError, ValueError):
            return None

    def write(self, state: PlatformState) -> None:
        """Replace the state in one step. Raises OSError."""
        temporary = self._state.with_suffix(".tmp")
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(state.to_json())
        temporary.replace(self._state)

    def has_state(self) -> bool:
        """Tell whether the state's file is still there."""
        return self._state.exists()


def read_state(text: str) -> PlatformState | None:
    """Return the state that JSON tells of, or None where it tells of none."""
    try:
        return PlatformState.from_json(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _known(kind: type[ProcessState] | type[PlatformState], document: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in document.items() if name in names}


def _require_types(state: ProcessState | PlatformState) -> None:
    """Raise TypeError where a text, a number or an object is something else than it is declared to be."""
    for each in fields(state):
        value, kind = getattr(state, each.name), each.type
        if isinstance(kind, GenericAlias):
            kind = kind.__origin__
        elif kind is float:
            kind = int | float
        if not isinstance(value, cast(type, kind)) or isinstance(value, bool):
            raise TypeError(f"{each.name} of a state is {each.type}")
        if isinstance(value, dict) and not all(isinstance(one, str | None) for one in value.values()):
            raise TypeError(f"{each.name} of a state has texts")


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
