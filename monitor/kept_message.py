"""A small file in the monitor's data folder that keeps one message over restarts."""

import contextlib
import os
from pathlib import Path
from typing import Final, Generic, TypeVar

import structlog
from google.protobuf import json_format
from google.protobuf.message import Message

from mesh.errors import PolystreamError, Reason

_MAX_CHARACTERS: Final = 4 * 1024 * 1024  # what is longer is cut, and so no good

_LOG = structlog.stdlib.get_logger(__name__)
M = TypeVar("M", bound=Message)


class KeptMessage(Generic[M]):
    """A message as JSON, written anew as a whole each time. One thread at a time."""

    def __init__(self, path: Path, kind: type[M]) -> None:
        self._path = path
        self._kind = kind

    def read(self) -> M:
        """Return what was kept last; an empty message where there is none, or, with a line in the log, no good one."""
        try:
            with self._path.open(encoding="utf-8") as file:
                text = file.read(_MAX_CHARACTERS)
            return json_format.Parse(text, self._kind(), ignore_unknown_fields=True)
        except FileNotFoundError:
            return self._kind()
        except (OSError, ValueError, json_format.ParseError) as error:
            _LOG.error("a file of the monitor cannot be read", file=self._path.name, error=type(error).__name__)
            return self._kind()

    def write(self, message: M) -> None:
        """Keep a message, on the disk when this returns. Raises PolystreamError NOT_KEPT."""
        beside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("w", encoding="utf-8") as file:
                file.write(json_format.MessageToJson(message))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink()
            raise PolystreamError(Reason.NOT_KEPT, metadata={"error": type(error).__name__}) from error
