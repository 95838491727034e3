"""Reads single records from Kafka for pages, by their positions: on demand, off the event loop, and within bounds.

A record that was read is kept as it is shown, without personal data, so that a page that is kept up to date reads each
of its records once. No consumer group is joined, and nothing is committed.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from mesh.settings import KafkaSettings
from mesh.topic_reader import RecordFinder, TopicError, TopicPosition
from monitor.pages.shown_record import RecordRenderer, ShownRecord

POSITIONS_MAX: Final = 40  # of one operation: its first ones and its last ones
_READS_MAX: Final = 16  # that wait, or are under way
_WITHIN_S: Final = 3.0
_KEPT_MAX: Final = 256  # records
_FAULT_MAX_AGE_S: Final = 2.0  # before Kafka is asked again
_AT_ONCE_S: Final = 0.25  # how long a page waits before it says that it asks

_UNREAD = "the schema registry does not answer: values can be shown once it does"
_FAILED = "the records could not be read; see the monitor's log"

log = structlog.stdlib.get_logger(__name__)

_Key = tuple[TopicPosition, str]


@dataclass(frozen=True, slots=True)
class FoundRecords:
    """What is known of an operation's records."""

    views: Sequence[ShownRecord] = ()
    is_asking: bool = False  # Kafka is being asked for the others
    fault: str = ""  # why the others are not there, in a sentence
    left_out: int = 0  # how many more there are than are looked for


class RecordSource(Protocol):
    """Where pages have an operation's records from."""

    async def of(self, correlation_id: str, positions: Sequence[TopicPosition], /) -> FoundRecords:
        """Return what is known by now of the records at some positions."""


class RecordLookup:
    """Finds records for all pages. It belongs to the event loop."""

    def __init__(
        self, kafka: KafkaSettings, views: RecordRenderer, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._kafka = kafka
        self._views = views
        self._clock_s = clock_s
        self._kept: dict[_Key, ShownRecord] = {}  # the one that was asked for last at the end
        self._reads: dict[str, asyncio.Task[None]] = {}  # by correlation ID
        self._one_at_a_time = asyncio.Lock()
        self._fault, self._fault_s = "", float("-inf")

    async def of(self, correlation_id: str, positions: Sequence[TopicPosition]) -> FoundRecords:
        """Return the records of an operation that are known by now, and ask for the others."""
        wanted = [*dict.fromkeys(positions)]
        left_out = max(0, len(wanted) - POSITIONS_MAX)
        if left_out:
            wanted = [*wanted[: POSITIONS_MAX // 2], *wanted[-POSITIONS_MAX // 2 :]]
        fault = await self._ask(correlation_id, wanted) if self._missing(correlation_id, wanted) else ""
        is_asking = correlation_id in self._reads
        views = [view for position in wanted if (view := self._recall(position, correlation_id)) is not None]
        return FoundRecords(views, is_asking, fault, left_out)

    async def _ask(self, correlation_id: str, wanted: Sequence[TopicPosition]) -> str:
        """Have what is missing read, and wait for a moment; return what is wrong."""
        task = self._reads.get(correlation_id)
        if task is None:
            if self._clock_s() - self._fault_s < _FAULT_MAX_AGE_S:
                return self._fault
            if len(self._reads) >= _READS_MAX:
                return "many records are being read now; reload the page in a moment"
            missing = self._missing(correlation_id, wanted)
            task = self._reads[correlation_id] = asyncio.create_task(self._read(correlation_id, missing))
        await asyncio.wait((task,), timeout=_AT_ONCE_S)
        return self._fault if correlation_id not in self._reads and self._missing(correlation_id, wanted) else ""

    async def _read(self, correlation_id: str, positions: Sequence[TopicPosition]) -> None:
        def read() -> list[ShownRecord]:
            with RecordFinder(self._kafka) as finder:
                found = finder.find(positions, _WITHIN_S)
            return self._views.of([(position, found.get(position)) for position in positions], correlation_id)

        try:
            async with self._one_at_a_time:
                views = await asyncio.to_thread(read)
        except TopicError as error:
            self._note(str(error))
        except Exception:  # the page is shown without records
            log.exception("records could not be read")
            self._note(_FAILED)
        else:
            for view in views:
                self._keep(correlation_id, view)
            self._note(_UNREAD if any(view.is_provisional for view in views) else "")
        finally:
            self._reads.pop(correlation_id, None)

    def _note(self, fault: str) -> None:
        self._fault, self._fault_s = fault, self._clock_s() if fault else float("-inf")

    def _missing(self, correlation_id: str, positions: Sequence[TopicPosition]) -> list[TopicPosition]:
        """Return what is not known, or not whole."""
        kept = {position: self._kept.get((position, correlation_id)) for position in positions}
        return [position for position, view in kept.items() if view is None or view.is_provisional]

    def _recall(self, position: TopicPosition, correlation_id: str) -> ShownRecord | None:
        key = (position, correlation_id)
        with suppress(KeyError):
            self._kept[key] = view = self._kept.pop(key)
            return view
        return None

    def _keep(self, correlation_id: str, view: ShownRecord) -> None:
        self._kept[view.position, correlation_id] = view
        while len(self._kept) > _KEPT_MAX:
            del self._kept[next(iter(self._kept))]
