"""Small disks, in memory, that folders of the verified platform are put on, so that they can be filled."""

import ctypes
import errno
import functools
import os
import tempfile
import time
from pathlib import Path
from typing import Final

_SIZE_BYTES: Final = 192 * 1024 * 1024  # takes memory only as it is filled
_CHUNK_BYTES: Final = 1024 * 1024
_LEAST_BYTES: Final = 4096  # what is left is written page by page
_FILLER: Final = "filler.verify"
_DETACH: Final = 2  # MNT_DETACH: whoever still has a file open keeps it
_AGAIN_S: Final = 0.2


class DiskError(Exception):
    """No disk could be mounted."""


class SmallDisk:
    """One of them."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where it is to be."""
        self.folder = folder

    def mount(self) -> None:
        """Put the folder on it. Raises DiskError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        options = f"size={_SIZE_BYTES},mode=755".encode()
        if _libc().mount(b"polystream-verify", os.fsencode(self.folder), b"tmpfs", 0, options) != 0:
            raise DiskError(os.strerror(ctypes.get_errno()))

    def unmount(self) -> None:
        """Take it away, with all that is on it."""
        _libc().umount2(os.fsencode(self.folder), _DETACH)

    def fill_for(self, lasts_s: float) -> None:
        """Leave no room on it for so many seconds, also of what others free meanwhile."""
        filler = self.folder / _FILLER
        try:
            give_up_s = time.monotonic() + lasts_s
            while time.monotonic() < give_up_s:
                fill(filler)
                time.sleep(_AGAIN_S)
        finally:
            filler.unlink(missing_ok=True)


def fill(filler: Path) -> None:
    """Let a file grow until there is no room left where it is."""
    size_bytes = _CHUNK_BYTES
    with filler.open("ab", buffering=0) as file:
        while size_bytes >= _LEAST_BYTES:
            try:
                file.write(bytes(size_bytes))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size_bytes //= 2


@functools.cache
def obstacle() -> str:
    """Return why no disk can be mounted here, in a few words; empty where one can."""
    with tempfile.TemporaryDirectory(prefix="polystream-verify-") as folder:
        disk = SmallDisk(Path(folder))
        try:
            disk.mount()
        except (DiskError, OSError, AttributeError) as error:  # no mount(2) outside Linux
            return f"no small disk can be mounted: {error}"
        disk.unmount()
    return ""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
