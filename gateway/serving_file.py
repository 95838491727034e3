"""The file that tells a supervisor that this gateway serves, where several share their ports and none can be asked."""

import json
import os
from pathlib import Path


class ServingFile:
    """There while the gateway serves: JSON with `pid`, the process that wrote it. `path` is empty for none."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None

    def write(self) -> None:
        """Put it there, all at once. Raises OSError where it cannot be written."""
        if self._path is None:
            return
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        beside.write_text(json.dumps({"pid": os.getpid()}))
        beside.replace(self._path)

    def remove(self) -> None:
        """Take it away, unless another process has written its own by now."""
        if self._path is None:
            return
        try:
            if json.loads(self._path.read_text())["pid"] == os.getpid():
                self._path.unlink()
        except (OSError, ValueError, KeyError, TypeError):
            return  # it is gone, or somebody else's
