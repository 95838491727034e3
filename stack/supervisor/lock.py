"""The lock of a data folder: whoever holds it runs a platform there, and nothing else proves that one runs.

It is two locks on one file. `flock` keeps others out, and goes on from the process that took it to the one that it
starts. A record lock tells others which process has it: the system names its holder, whatever a file says.
"""

import errno
import fcntl
import os
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

_TAKE_MAX_S: Final = 0.5  # whoever asks for the holder may have the lock for a moment
_TAKE_INTERVAL_S: Final = 0.01
_NOT_THERE: Final = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP}
# struct flock: type, whence, start, length, pid; macOS has them in another order.
_LAYOUT: Final = "qqihh" if sys.platform == "darwin" else "hhqqi4x"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has the lock."""

    pid: int | None  # None while it can't be told: it is about to start, or lives in a container


class PlatformLock:
    """The lock of one data folder, held by this process while it is open.

    Open the file a second time in this process, and close it, and the system forgets the record lock.
    """

    def __init__(self, path: Path, descriptor: int | None = None) -> None:
        """Take the lock, or go on with that of the process that started this one. Raises BlockingIOError, OSError."""
        self._path = path
        self.descriptor = self._take() if descriptor is None else descriptor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def sign(self) -> None:
        """Let others see that it is this process that has it."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def is_in_place(self) -> bool:
        """Tell whether the file at the lock's path is the one that is locked: somebody may have removed it."""
        try:
            there = self._path.stat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(self.descriptor))

    def take_again(self) -> None:
        """Lock a new file in place of one that was removed. Raises OSError, BlockingIOError where another has it."""
        taken = self._take()
        with suppress(OSError):
            os.close(self.descriptor)
        self.descriptor = taken
        self.sign()

    def close(self) -> None:
        """Let go of it."""
        with suppress(OSError):
            os.close(self.descriptor)

    def _take(self) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        give_up_s = time.monotonic() + _TAKE_MAX_S
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if time.monotonic() > give_up_s:
                        raise
                    time.sleep(_TAKE_INTERVAL_S)
                else:
                    return descriptor
        except OSError:
            os.close(descriptor)
            raise


def holder_of(path: Path) -> Holder | None:
    """Return who holds the lock at `path`, None where nobody does. Writes nothing.

    Not for the holder itself. Raises OSError where the file may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe would have it wait
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    try:
        signed, pid = _record_lock(descriptor)
        if signed:
            return Holder(pid if pid > 0 else None)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return Holder(None)
        return None
    finally:
        os.close(descriptor)


def _record_lock(descriptor: int) -> tuple[bool, int]:
    """Return whether a record lock is held, and by which process; 0 or less for one that can't be seen from here."""
    if sys.platform == "darwin":
        asked = struct.pack(_LAYOUT, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
        _, _, pid, kind, _ = struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    else:
        asked = struct.pack(_LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(_LAYOUT, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
    return kind != fcntl.F_UNLCK, int(pid)
