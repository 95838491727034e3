"""A bounded queue of lines on disk, in segments: appended at one end, read and dropped at the other.

Every append is synced to the disk before it returns. How far the lines were read is noted without a sync: after a
power failure some come twice, never too few.
"""

import json
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_SEGMENT_BYTES: Final = 16 * 1024 * 1024
_NAME: Final = "spool-{:012d}.jsonl"
_READ_BYTES: Final = 1024 * 1024


class SpoolFile:
    """The queue. Thread-safe; one reader at a time."""

    def __init__(self, folder: Path, max_bytes: int, segment_bytes: int = _SEGMENT_BYTES) -> None:
        """Open the queue in a folder of its own, with what is in it from before."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._position = folder / "position.json"
        self._segment, self._offset = self._read_position()
        self._sizes = {number: self._mend(number) for number in self._numbers() if number >= self._segment}
        if self._segment not in self._sizes:
            self._offset = 0

    @property
    def folder(self) -> Path:
        """The folder, which has room for what belongs to the queue."""
        return self._folder

    @property
    def backlog(self) -> bool:
        """Whether there are lines to read."""
        with self._lock:
            return self._unread_bytes() > 0

    @property
    def size_bytes(self) -> int:
        """What it takes on the disk."""
        with self._lock:
            return sum(self._sizes.values())

    def append(self, lines: Sequence[bytes], *, share: float = 1.0) -> bool:
        """Append lines, none of which has a line feed in it, all or none; False where they would exceed the bound.

        `share` is how much of the bound they may fill.
        """
        data = b"".join(line + b"\n" for line in lines)
        with self._lock:
            if sum(self._sizes.values()) + len(data) > share * self._max_bytes:
                return False
            number = max(self._sizes, default=self._segment)
            if number not in self._sizes or self._sizes[number] >= self._segment_bytes:
                number += 1
            self._write(number, data)
            return True

    def read(self, max_lines: int) -> tuple[list[bytes], int, int]:
        """Return the next lines, and the segment and offset to `advance` to once they are dealt with."""
        with self._lock:
            number, offset = self._first_unread()
            size = self._sizes.get(number, 0)
        data = b""
        while data.count(b"\n") < max_lines and offset + len(data) < size:
            data += self._pread(number, offset + len(data), min(_READ_BYTES, size - offset - len(data)))
        lines = data.split(b"\n")[:-1][:max_lines]
        return lines, number, offset + sum(len(line) + 1 for line in lines)

    def advance(self, segment: int, offset: int) -> None:
        """Drop everything before a place that `read` told."""
        with self._lock:
            self._segment, self._offset = segment, offset
            if offset >= self._sizes.get(segment, 0):
                self._segment, self._offset = segment + 1, 0
            self._note_position()
            for number in [number for number in self._sizes if number < self._segment]:
                self._path(number).unlink(missing_ok=True)
                del self._sizes[number]

    def find(self, text: bytes) -> Iterator[bytes]:
        """Yield the lines that hold a text, oldest first. What was read may be among them."""
        with self._lock:
            sizes = dict(self._sizes)
        for number, size in sizes.items():
            if size:
                yield from _lines_with(self._path(number), size, text)

    def _write(self, number: int, data: bytes) -> None:
        path = self._path(number)
        before = self._sizes.get(number, 0)
        with path.open("ab") as file:
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                # Half a batch must not stand before the next one.
                os.truncate(path, before)
                raise
        if not before:
            _sync_folder(self._folder)
        self._sizes[number] = before + len(data)

    def _unread_bytes(self) -> int:
        return sum(self._sizes.values()) - (self._offset if self._segment in self._sizes else 0)

    def _first_unread(self) -> tuple[int, int]:
        first = min(self._sizes, default=self._segment)
        return first, self._offset if first == self._segment else 0

    def _pread(self, number: int, offset: int, count: int) -> bytes:
        with self._path(number).open("rb") as file:
            return os.pread(file.fileno(), count, offset)

    def _path(self, number: int) -> Path:
        return self._folder / _NAME.format(number)

    def _numbers(self) -> list[int]:
        return sorted(int(path.stem.removeprefix("spool-")) for path in self._folder.glob("spool-*.jsonl"))

    def _mend(self, number: int) -> int:
        """Cut off what an interrupted append left of a line; return the size."""
        data = self._path(number).read_bytes()
        size = data.rfind(b"\n") + 1
        if size < len(data):
            os.truncate(self._path(number), size)
        return size

    def _read_position(self) -> tuple[int, int]:
        try:
            found = json.loads(self._position.read_text())
            return int(found["segment"]), int(found["offset"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0

    def _note_position(self) -> None:
        beside = self._position.with_suffix(".new")
        beside.write_text(json.dumps({"segment": self._segment, "offset": self._offset}))
        beside.replace(self._position)


def _lines_with(path: Path, size: int, text: bytes) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return  # read and dropped meanwhile
    with file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as content:
        found = content.find(text)
        while found >= 0:
            start, end = content.rfind(b"\n", 0, found) + 1, content.find(b"\n", found)
            yield content[start:end]
            found = content.find(text, end)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
