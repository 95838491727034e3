"""Room on the disk that is kept for tidying: deleting needs some, and a full disk has none."""

import os
from pathlib import Path

import structlog

log = structlog.stdlib.get_logger(__name__)


class DiskReserve:
    """A file that takes room, until it is needed. One caller at a time."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        """Take the room, where there is any."""
        self._path = path
        self._size_bytes = size_bytes
        self.fill()

    def fill(self) -> None:
        """Take the room again, where there is any now."""
        if self._path.exists():
            return
        beside = self._path.with_suffix(".new")
        try:
            with beside.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
            beside.replace(self._path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            log.debug("no room is kept for tidying", error=error.strerror)

    def release(self) -> bool:
        """Give up the room; False where there was none to give up."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.warning("the room that is kept for tidying is given up: the disk may be full")
        return True
