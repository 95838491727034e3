"""The file that tells a supervisor that a lane works."""

import json
import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Final

_SIGN_OF_LIFE_S: Final = 1.0


class ReadyFile:
    """A small JSON file, there while the lane has partitions and its store has answered.

    Its time of modification is the lane's sign of life: old where the lane waits for its store, or hangs.
    """

    def __init__(self, path: Path | None, store: str) -> None:
        self._path = path
        self._store = store
        self._partitions: Collection[int] | None = None
        self._next_sign_s = 0.0  # on the monotonic clock
        self.remove()  # one that a killed process left says nothing of this one

    def write(self, partitions: Collection[int]) -> None:
        """Write which partitions the lane has, if that is news, else a sign of life. Call it every round."""
        if self._path is None:
            return
        if partitions == self._partitions:
            self._show_life(self._path)
            return
        self._partitions = partitions
        content = {"pid": os.getpid(), "store": self._store, "partitions": sorted(partitions)}
        unfinished = self._path.with_name(f"{self._path.name}.new")  # readers see the whole or nothing
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.replace(self._path)

    def _show_life(self, path: Path) -> None:
        if time.monotonic() >= self._next_sign_s:
            self._next_sign_s = time.monotonic() + _SIGN_OF_LIFE_S
            path.touch()

    def remove(self) -> None:
        """Remove the file: the lane stops."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
