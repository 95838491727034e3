"""Keeps the event store bounded, in time and in spans."""

import asyncio
import time

import structlog

from mesh.errors import PolystreamError
from mesh.settings import MonitorSettings
from monitor.store.port import EventStore

_INTERVAL_S = 600.0
_DAY_US = 86_400_000_000

log = structlog.stdlib.get_logger(__name__)


class Retention:
    """Forgets what is older than the settings say, now and then."""

    def __init__(self, store: EventStore, settings: MonitorSettings) -> None:
        self._store = store
        self._settings = settings

    async def run(self) -> None:
        """Purge, wait, and purge again, until cancelled."""
        while True:
            before_us = time.time_ns() // 1000 - self._settings.retention_days * _DAY_US
            try:
                gone = await asyncio.to_thread(
                    self._store.purge, before_us=before_us, max_spans=self._settings.max_spans
                )
            except PolystreamError as error:
                log.warning("retention waits", reason=error.reason.name)
            else:
                if gone:
                    log.info("retention", rows=gone)
            await asyncio.sleep(_INTERVAL_S)
