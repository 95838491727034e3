"""Reading the logs of a platform's parts as one: in the order of time, the last lines first asked for, then new ones.

Each part writes a file of its own, in a form of its own. All forms begin with a time, or are JSON with one; a line
without any, such as one of a traceback, belongs to the time of the line before it.
"""

import json
import re
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from mesh.supervisor_client import LoggedLine

_LINE_MAX_BYTES: Final = 64 * 1024  # of one line; the rest of a longer one is left out
_BLOCK_BYTES: Final = 1024 * 1024
_TAIL_MAX_BYTES: Final = 16 * 1024 * 1024  # of one file, from its end
_TIME_WITHIN: Final = 80  # characters from a line's beginning
_ISO: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s?(Z|UTC|GMT|[+-]\d\d:?\d\d)?")
_REDIS: Final = re.compile(r"(\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d)\.(\d{3})")


def parts_with_logs(folder: Path) -> tuple[str, ...]:
    """Return the names of the parts that have a log in a folder."""
    try:
        return tuple(sorted(path.stem for path in folder.glob("*.log")))
    except OSError:
        return ()


class LogReader:
    """The logs of some parts. Not for several threads at once."""

    def __init__(self, folder: Path, parts: Sequence[str], correlation_id: str = "") -> None:
        """With a correlation ID, only lines that name it are read."""
        self._files = [_LogFile(folder / f"{part}.log", part, correlation_id) for part in parts]

    def last(self, count: int) -> list[LoggedLine]:
        """Return the last lines that there are by now, of all parts together."""
        found = [line for file in self._files for line in file.last(count)]
        return _in_order(found)[-count:] if count else []

    def new(self) -> list[LoggedLine]:
        """Return what was written since the last call of this or of `last`."""
        return _in_order([line for file in self._files for line in file.new()])


class _LogFile:
    """The log of one part, and the file that was put aside before it."""

    def __init__(self, path: Path, part: str, correlation_id: str) -> None:
        self._path = path
        self._before = path.with_name(f"{path.name}.1")
        self._part = part
        self._sought = correlation_id.lower().encode()
        self._offset = 0  # behind the last whole line that was read
        self._inode = 0
        self._time_s: float | None = None

    def last(self, count: int) -> list[LoggedLine]:
        """Return the last lines, those of the file before included where this one has too few or some are sought."""
        found: deque[bytes] = deque(maxlen=count)
        size, self._inode = _size_and_inode(self._path)
        if self._sought or size < _BLOCK_BYTES:
            before, _ = _size_and_inode(self._before)
            self._read(self._before, self._begin_of_last(self._before, before, count), before, found)
        self._offset = self._read(self._path, self._begin_of_last(self._path, size, count), size, found)
        return [self._line(line) for line in found]

    def new(self) -> list[LoggedLine]:
        """Return the lines behind those that were read, 1 MiB at most. A file that was put aside is read to its end."""
        found: deque[bytes] = deque()
        size, inode = _size_and_inode(self._path)
        if inode != self._inode:
            before, its_inode = _size_and_inode(self._before)
            if its_inode == self._inode:
                self._read(self._before, self._offset, before, found)
            self._offset, self._inode = 0, inode
        elif size < self._offset:  # it was emptied in place
            self._offset = 0
        self._offset = self._read(self._path, self._offset, min(size, self._offset + _BLOCK_BYTES), found)
        return [self._line(line) for line in found]

    def _begin_of_last(self, path: Path, end: int, count: int) -> int:
        """Return where the last lines begin: as far back as may be read, where some are sought."""
        furthest = max(0, end - _TAIL_MAX_BYTES)
        lines, at = 0, furthest if self._sought else end
        try:
            with path.open("rb") as file:
                while at > furthest and lines <= count:
                    step = min(_LINE_MAX_BYTES, at - furthest)
                    at -= step
                    file.seek(at)
                    lines += file.read(step).count(b"\n")
                if at:  # in the middle of a line
                    file.seek(at)
                    at += len(file.readline(_LINE_MAX_BYTES))
        except OSError:
            return end
        return at

    def _read(self, path: Path, begin: int, end: int, found: deque[bytes]) -> int:
        """Add the whole lines between two places to `found`; return where the last of them ends."""
        at = begin
        try:
            with path.open("rb") as file:
                file.seek(begin)
                while at < end and (line := file.readline(end - at)):
                    if not line.endswith(b"\n") and len(line) < _LINE_MAX_BYTES:
                        break  # the rest of it is not written yet
                    at += len(line)
                    if self._sought in line.lower():
                        found.append(line[:_LINE_MAX_BYTES])
        except OSError:
            pass
        return at

    def _line(self, line: bytes) -> LoggedLine:
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        said = time_of(text)
        self._time_s = said if said is not None else self._time_s
        return LoggedLine(self._part, self._time_s, text)


def time_of(line: str) -> float | None:
    """Return the time that a line says, in seconds since 1970; a time without a zone is this machine's."""
    if line.startswith("{"):
        try:
            line = str(json.loads(line).get("timestamp", ""))
        except (ValueError, AttributeError, RecursionError):
            return None
    begin = line[:_TIME_WITHIN]
    try:
        if found := _ISO.search(begin):
            day, hour, fraction, zone = found.groups()
            zone = {"Z": "+00:00", "UTC": "+00:00", "GMT": "+00:00"}.get(zone or "", zone or "")
            return datetime.fromisoformat(f"{day}T{hour}.{(fraction or '0')[:6]:0<6}{zone}").timestamp()
        if found := _REDIS.search(begin):
            day, month, year, hour, fraction = found.groups()
            return time.mktime(time.strptime(f"{day} {month} {year} {hour}", "%d %b %Y %H:%M:%S")) + int(fraction) / 1e3
    except (ValueError, OverflowError, OSError):
        pass
    return None


def shown_time(time_s: float | None) -> str:
    """Return a time as RFC 3339 has it, in UTC, with milliseconds; empty where there is none."""
    if time_s is None:
        return ""
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _in_order(lines: list[LoggedLine]) -> list[LoggedLine]:
    """Return the lines in the order of time; those of one part keep theirs.

    Lines before the first that says a time go with that one, and come first where none of their part does.
    """
    latest: dict[str, float] = {}
    for line in reversed(lines):
        if line.time_s is not None:
            latest[line.part] = line.time_s
    keyed = []
    for line in lines:
        latest[line.part] = max(latest.get(line.part, 0.0), line.time_s or 0.0)
        keyed.append((latest[line.part], line))
    return [line for _, line in sorted(keyed, key=lambda each: each[0])]


def _size_and_inode(path: Path) -> tuple[int, int]:
    """Return a file's size in bytes, and its number in the file system; zeros where it is not there."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_ino
