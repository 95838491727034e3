"""Whether a process that lives has come to a standstill, so that only its end and a new start help.

It is judged by this process's own clock and by two looks at least: no file's time, and no time of day.
"""

import contextlib
import os
import time
from pathlib import Path
from typing import Final

import psutil

from mesh.health.report import FileReading, PartReport, read_file

BEATS_MAX_STILL_S: Final = 30.0  # for a part that tells its beats
UNTOLD_MAX_S: Final = 5.0  # for a file that is written every second
SILENCE_MAX_S: Final = 60.0  # for one that only answers, or not
_IDLE_CPU_SHARE: Final = 0.02  # of one processor: what uses more is busy, and answers when it is done
_LOOK_MAX_S: Final = 5.0  # counted of the time between two looks: this process may have been stopped, too
_SAMPLE_BYTES: Final = 1024  # as large as a health file


class HealthFileWatch:
    """One process's health file, as it was read from time to time."""

    def __init__(self, path: Path, pid: int) -> None:
        self._path = path
        self._pid = pid
        self._beats: int | None = None
        self._written: tuple[int, int] | None = None  # which file it was, and when it was written
        self._clock = _Clock()
        self.still_s = 0.0  # how long its beats have stood still
        self._untold_s = 0.0  # how long the file has not been written

    def silence(self) -> str:
        """Return why what the file says is not believed any more; empty where it is."""
        if self._untold_s <= UNTOLD_MAX_S:
            return ""
        if not _can_write(self._path.parent):
            return f"what it says cannot be written any more: the disk of {self._path.parent} is full or read-only"
        return f"it has said nothing for more than {UNTOLD_MAX_S:.0f} s"

    def look(self) -> PartReport | None:
        """Read it, and return what the process says of itself; None where it says nothing."""
        reading = self._read()
        passed_s = self._clock.passed_s()
        written = self._stamp()
        self._untold_s = 0.0 if written != self._written else self._untold_s + passed_s
        self._written = written
        beats = reading.beats if reading else None
        if beats is not None and beats != self._beats:
            self._beats, self.still_s = beats, 0.0
        else:
            self.still_s += passed_s
            if self.still_s > BEATS_MAX_STILL_S and not _can_write(self._path.parent):
                self.still_s = 0.0  # no process can tell anything on a full disk
        return reading.report if reading else None

    def _stamp(self) -> tuple[int, int] | None:
        """Return what is another one after each writing, whatever the time of day is."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _read(self) -> FileReading | None:
        try:
            reading = read_file(self._path)
        except (OSError, ValueError):
            return None
        return reading if reading.report.pid == self._pid else None  # not what a dead one has left


class SilenceWatch:
    """A process that is asked over a port, and how long it has not answered and done nothing else either.

    It is not judged while it works, or while one of its processes waits for a disk: it may be long in answering.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._clock = _Clock()
        self._cpu_s: float | None = None
        self.silent_s = 0.0

    def note(self, *, answers: bool) -> None:
        """Note whether it has answered just now."""
        passed_s = self._clock.passed_s()
        if answers:
            self.silent_s, self._cpu_s = 0.0, None
            return
        cpu_s, waits_for_disk = _work_of(self._pid)
        used_s = cpu_s - (cpu_s if self._cpu_s is None else self._cpu_s)
        self._cpu_s = cpu_s
        is_busy = waits_for_disk or used_s > _IDLE_CPU_SHARE * passed_s
        self.silent_s = 0.0 if is_busy else self.silent_s + passed_s


class _Clock:
    def __init__(self) -> None:
        self._last_s = time.monotonic()

    def passed_s(self) -> float:
        """Return the time since it was asked last, in seconds, bounded."""
        now_s = time.monotonic()
        passed_s, self._last_s = now_s - self._last_s, now_s
        return min(passed_s, _LOOK_MAX_S)


def _work_of(pid: int) -> tuple[float, bool]:
    """Return the processor time of a process and its children, in seconds, and whether one waits for a disk."""
    total_s, waits = 0.0, False
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for member in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                times = member.cpu_times()
                total_s += times.user + times.system
                waits = waits or member.status() == psutil.STATUS_DISK_SLEEP
    return total_s, waits


def _can_write(folder: Path) -> bool:
    sample = folder / f".writable.{os.getpid()}"
    try:
        sample.write_bytes(b"\0" * _SAMPLE_BYTES)
    except OSError:
        return False
    finally:
        with contextlib.suppress(OSError):
            sample.unlink()
    return True
