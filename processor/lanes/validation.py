"""Looks through a lane's own store beside the lane's work: whether what is there is as the platform has written it.

It reads a few contents a second, by key, over and over. What it finds it counts in the lane's health, and changes
nothing: `integrity check` finds the same, and tells what can be done. Whatever goes wrong here holds up no command.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

import structlog

from mesh.errors import PolystreamError
from mesh.health.part import PartHealth
from mesh.telemetry.logs import describe
from processor.integrity.contents import ContentWalk

_LOG = structlog.get_logger(__name__)

_PAGE_MAX_RECORDS: Final = 100
_FAILED_PAUSE_S: Final = 30.0  # before the walk begins again, after the store did not answer
_ROUND_PAUSE_S: Final = 10.0  # between two rounds, so that an idle store is not asked all the time
_STOP_TIMEOUT_S: Final = 5.0
_TOLD_MAX: Final = 1000  # contents that are remembered as changed: each is logged once
_TOPIC: Final = "contents"

OpenWalks = Callable[[], AbstractContextManager[Sequence[ContentWalk]]]


class Validator:
    """The thread that looks."""

    def __init__(self, open_walks: OpenWalks, health: PartHealth, records_per_s: float) -> None:
        """`open_walks` connects to the store, and raises PolystreamError where that fails; 0 a second is never."""
        self._open_walks = open_walks
        self._health = health
        self._records_per_s = records_per_s
        self._stopping = threading.Event()
        self._told: set[tuple[str, str]] = set()
        self._thread = threading.Thread(target=self._run, name="validator", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        if self._records_per_s > 0:
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)

    def look_once(self, walks: Sequence[ContentWalk]) -> int:
        """Go one round through the store, at the rate; tell health, and return how many contents are changed."""
        records = max(1, min(_PAGE_MAX_RECORDS, int(self._records_per_s)))
        found: set[tuple[str, str]] = set()
        for walk in walks:
            after: Any = None
            while not self._stopping.is_set():
                page = walk.page(after, records)
                found.update((walk.place, key) for key in page.changed if walk.changed(key))
                self._health.count("contents_checked", page.seen)
                after = page.after
                if after is None:
                    break
                self._stopping.wait(records / self._records_per_s)
        if not self._stopping.is_set():
            self._tell(found)
        return len(found)

    def _tell(self, found: set[tuple[str, str]]) -> None:
        for place, key in sorted(found - self._told)[:_TOLD_MAX]:
            _LOG.warning("a content is not as it was written: see `polystream integrity check`", place=place, key=key)
        self._told = set(sorted(found)[:_TOLD_MAX])
        self._health.gauge("contents_changed", len(found))
        changed = "1 content is not as it was" if len(found) == 1 else f"{len(found)} contents are not as they were"
        self._health.note(f"{changed} written: see `polystream integrity check`" if found else "", _TOPIC)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._open_walks() as walks:
                    while not self._stopping.is_set():
                        self.look_once(walks)
                        self._stopping.wait(_ROUND_PAUSE_S)
            except PolystreamError as error:
                _LOG.debug("contents are not looked at", reason=error.reason.name)
            except Exception as error:  # noqa: BLE001 - whatever it is, the lane's work goes on without this
                _LOG.warning("contents are not looked at", error=describe(error))
            self._stopping.wait(_FAILED_PAUSE_S)
