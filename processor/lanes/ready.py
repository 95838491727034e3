"""The file that tells a supervisor that a lane works."""

import json
import os
from collections.abc import Collection
from pathlib import Path


class ReadyFile:
    """A small JSON file, there while the lane has partitions and its store has answered."""

    def __init__(self, path: Path | None, store: str) -> None:
        self._path = path
        self._store = store
        self._partitions: Collection[int] | None = None
        self.remove()  # one that a killed process left says nothing of this one

    def write(self, partitions: Collection[int]) -> None:
        """Write which partitions the lane has, if that is news."""
        if self._path is None or partitions == self._partitions:
            return
        self._partitions = partitions
        content = {"pid": os.getpid(), "store": self._store, "partitions": sorted(partitions)}
        unfinished = self._path.with_name(f"{self._path.name}.new")  # readers see the whole or nothing
        unfinished.write_text(json.dumps(content), encoding="utf-8")
        unfinished.replace(self._path)

    def remove(self) -> None:
        """Remove the file: the lane stops."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
