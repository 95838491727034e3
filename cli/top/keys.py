"""The keys that somebody presses while something is shown."""

import os
import select
import sys
import termios
import time
import tty
from typing import Any, Self


class Keys:
    """Reads keys as they are pressed, where a terminal is there to press them; it is left as it was found."""

    def __init__(self, *, wanted: bool) -> None:
        """Read none unless `wanted`: a command that shows nothing in place leaves the terminal alone."""
        self._descriptor = sys.stdin.fileno() if wanted and sys.stdin.isatty() else None
        self._before: list[Any] | None = None

    def __enter__(self) -> Self:
        if self._descriptor is not None:
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)  # Ctrl-C still interrupts
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None and self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def is_pressed(self, wanted: bytes, timeout_s: float) -> bool:
        """Wait until one of some keys is pressed, or the time is up; tell whether one was."""
        if self._descriptor is None:
            time.sleep(timeout_s)
            return False
        give_up_s = time.monotonic() + timeout_s
        while (left_s := give_up_s - time.monotonic()) > 0:
            if not select.select([self._descriptor], [], [], left_s)[0]:
                return False
            pressed = os.read(self._descriptor, 64)
            if not pressed:  # the terminal is gone
                return True
            if any(key in pressed for key in wanted):
                return True
        return False
