"""A wall clock that jumps, for everything that runs in a place: as when somebody sets it, or a machine wakes up.

The loader of the place's programs puts `jumping_clock.c` before the C library; no environment has to hand it on.
"""

import struct
from pathlib import Path
from typing import Final

from tests.support.bounded import run_bounded
from tests.support.unavailable import UnavailableError

_SOURCE: Final = Path(__file__).with_suffix(".c")
_COMPILE_TIMEOUT_S: Final = 60


class JumpingClock:
    """The clock of a place."""

    def __init__(self, folder: Path) -> None:
        """`folder` is one that every user reaches. Raises UnavailableError where there is no C compiler."""
        self._offset = folder / "offset"
        self._library = folder / "jumping_clock.so"
        self._etc = folder / "etc"
        self.jump_to(0)
        define = f'-DOFFSET_FILE="{self._offset}"'
        command = [
            "gcc",
            "-shared",
            "-fPIC",
            "-O2",
            define,
            "-o",
            str(self._library),
            str(_SOURCE),
            "-ldl",
            "-lpthread",
        ]
        try:
            compiled = run_bounded(command, timeout_s=_COMPILE_TIMEOUT_S)
        except OSError as error:
            raise UnavailableError("a C compiler: apt install gcc") from error
        if compiled.returncode != 0:
            raise UnavailableError(f"a clock that jumps; gcc says: {compiled.stderr}")

    @property
    def mounts(self) -> str:
        """What gives a place this clock."""
        return f"""
            cp -a /etc {self._etc}
            echo {self._library} >{self._etc}/ld.so.preload
            mount --bind {self._etc} /etc
        """

    def jump_to(self, offset_s: int) -> None:
        """Let the wall clock be so many seconds ahead of the machine's, or behind it."""
        if not self._offset.exists():
            self._offset.write_bytes(bytes(8))
        with self._offset.open("r+b") as file:  # in place: it is mapped into every program
            file.write(struct.pack("=q", offset_s))
