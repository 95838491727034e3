"""The file by which a process tells its health to whoever keeps it running, where nobody can be asked over a port."""

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import structlog

from mesh.health.part import PartHealth
from mesh.telemetry.repeats import RepeatCounter
from mesh.threads import CriticalThreads

_INTERVAL_S: Final = 1.0
_STOP_TIMEOUT_S: Final = 2.0

_LOG = structlog.stdlib.get_logger(__name__)


class HealthFile:
    """JSON, written anew every second and as soon as something changes, by a thread of its own.

    It has the report's fields, and beside them `beats`, which grows while the process's main loop makes progress:
    a reader who finds the same number for long by its own clock knows that the process stands still.
    """

    def __init__(self, path: str, health: PartHealth, threads: CriticalThreads) -> None:
        """`path` is empty for no file. One that a killed process left is removed: it says nothing of this one."""
        self._path = Path(path) if path else None
        self._health = health
        self._more: Callable[[], Mapping[str, object]] = dict
        self._stopping = threading.Event()
        self._failures = RepeatCounter()
        self._thread = threads.new("health-file", self._run)
        self._take_away()

    def add(self, more: Callable[[], Mapping[str, object]]) -> None:
        """Have the file tell further fields, which are JSON."""
        self._more = more

    def start(self) -> None:
        """Begin to write. Before the part is ready, the file says so."""
        if self._path is not None:
            self._thread.start()

    def stop(self) -> None:
        """Remove the file, unless another process has written its own by now."""
        self._stopping.set()
        self._health.ending()
        if self._path is None:
            return
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        self._take_away(of_pid=os.getpid())

    def _run(self) -> None:
        seen = 0
        while not self._stopping.is_set():
            self._write()
            seen = self._health.wait_for_change(seen, _INTERVAL_S)

    def _write(self) -> None:
        """Write what there is to say, all at once. A disk that is full must not end what works without it."""
        if self._path is None:
            return
        content = {**self._health.report().to_dict(), "beats": self._health.beats, **self._more()}
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            beside.write_text(json.dumps(content), encoding="utf-8")
            beside.replace(self._path)
        except OSError as error:
            times = self._failures.count()
            if times:
                _LOG.warning("the health file could not be written", times=times, error=type(error).__name__)

    def _take_away(self, of_pid: int | None = None) -> None:
        if self._path is None:
            return
        try:
            if of_pid is None or json.loads(self._path.read_text(encoding="utf-8"))["pid"] == of_pid:
                self._path.unlink(missing_ok=True)
            if of_pid is not None:
                self._path.with_name(f"{self._path.name}.{of_pid}").unlink(missing_ok=True)
        except (OSError, ValueError, KeyError, TypeError):
            return  # it is gone, or somebody else's
