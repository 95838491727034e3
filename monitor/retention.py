"""Keeps the event store bounded, in time, in spans and in bytes."""

import asyncio
import time
from collections.abc import Callable

import structlog

from mesh.errors import PolystreamError
from mesh.settings import MonitorSettings
from mesh.telemetry.logs import describe
from monitor.store.port import Bounds, EventStore

_INTERVAL_S = 60.0
_RETRY_S = 10.0
_STEP_PAUSE_S = 0.01  # others come in between
_CLOCK_STEP_US = 3_600_000_000  # how far the clock may be set forward before that makes anything older
_DAY_US = 86_400_000_000

log = structlog.stdlib.get_logger(__name__)


class Retention:
    """Forgets what is beyond the settings' bounds: step by step until nothing is, then now and then.

    A clock that jumps ahead does not make everything old at once: what is kept moves on by the time that has passed,
    and an hour more each time.
    """

    def __init__(
        self, store: EventStore, settings: MonitorSettings, clock_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        """`clock_us` tells the time in microseconds since the epoch."""
        self._store = store
        self._settings = settings
        self._clock_us = clock_us
        self._now_us: int | None = None
        self._looked_s = 0.0
        self._is_failing = False

    async def run(self) -> None:
        """Forget, wait, and forget again, until cancelled. Nothing that goes wrong ends it."""
        while True:
            is_done = await self._tidy()
            await asyncio.sleep(_INTERVAL_S if is_done else _RETRY_S)

    async def _tidy(self) -> bool:
        """Take steps until nothing is beyond the bounds; False where that did not succeed."""
        bounds = Bounds(
            since_us=self._now() - self._settings.retention_days * _DAY_US,
            max_spans=self._settings.max_spans,
            max_bytes=self._settings.max_bytes,
        )
        gone = 0
        try:
            while rows := await asyncio.to_thread(self._store.purge, bounds):
                gone += rows
                await asyncio.sleep(_STEP_PAUSE_S)
        except Exception as error:  # noqa: BLE001 - whatever it is, a store without a bound would be worse
            if not self._is_failing:
                what = error.reason.name if isinstance(error, PolystreamError) else describe(error)
                log.warning("retention waits", error=what)
            self._is_failing = True
            return False
        finally:
            if gone:
                log.info("retention", rows=gone)
        self._is_failing = False
        return True

    def _now(self) -> int:
        """Return the time in microseconds since the epoch, as far as it is believed."""
        told_us, looked_s = self._clock_us(), time.monotonic()
        if self._now_us is not None:
            passed_us = int((looked_s - self._looked_s) * 1e6)
            told_us = min(told_us, self._now_us + passed_us + _CLOCK_STEP_US)
        self._now_us, self._looked_s = told_us, looked_s
        return told_us
