"""What the event store can never take: kept in a file of its own, a line each with the cause, and counted.

Nobody reads it but people: mend what is at fault, such as a mapping, and have the topics read again.
"""

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import structlog

from mesh.errors import PolystreamError, Reason

_MAX_BYTES: Final = 64 * 1024 * 1024
_FULL: Final = "the file of what the event store cannot take is full: look at it, and move it away"

log = structlog.stdlib.get_logger(__name__)


class SetApartFile:
    """The file, `set_apart.jsonl` in a folder. Thread-safe. Each document is in it once, whatever was read again."""

    def __init__(self, folder: Path, on_kept: Callable[[], None] = lambda: None, max_bytes: int = _MAX_BYTES) -> None:
        """`on_kept` is called for each document that is new in the file."""
        self._path = folder / "set_apart.jsonl"
        self._on_kept = on_kept
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._known = self._read()

    @property
    def count(self) -> int:
        """How many documents it has."""
        return len(self._known)

    def keep(self, identifier: str, document: Mapping[str, Any] | str, cause: str) -> None:
        """Keep a document, on the disk before this returns; `identifier` is its own, with whatever it belongs to.

        Raises PolystreamError with EVENT_LOG_UNAVAILABLE where the disk or the file is full: nothing is passed over.
        """
        line = json.dumps({"id": identifier, "cause": cause, "document": document}).encode() + b"\n"
        with self._lock:
            if identifier in self._known:
                return
            try:
                self._append(line)
            except OSError as error:
                why = error.strerror or type(error).__name__
                raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, metadata={"error": why}) from error
            self._known.add(identifier)
        log.error("a document is set apart: the event store cannot take it", cause=cause, kept=len(self._known))
        self._on_kept()

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        size = self._path.stat().st_size if self._path.exists() else 0
        if size + len(line) > self._max_bytes:
            raise PolystreamError(Reason.EVENT_LOG_UNAVAILABLE, _FULL, metadata={"error": _FULL})
        with self._path.open("ab") as file:
            try:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                os.truncate(self._path, size)  # half a line must not stand before the next one
                raise

    def _read(self) -> set[str]:
        if not self._path.exists():
            return set()
        known = set()
        with self._path.open("rb") as file:
            for line in file:
                try:
                    known.add(str(json.loads(line)["id"]))
                except (ValueError, KeyError, TypeError):
                    continue  # what a killed monitor left of a line: its document comes again
        return known
