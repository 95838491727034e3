"""What the monitor tells of its own health: the topics that it follows, the event store, Jaeger."""

import asyncio
from typing import Final

from mesh.errors import Reason
from mesh.health.part import PartHealth
from monitor.forwarder import TraceForwarder
from monitor.ingest import Ingest
from monitor.store.port import EventStore
from monitor.store.spool import SpooledEventStore

_INTERVAL_S: Final = 1.0
_ASK_INTERVAL_S: Final = 4.0  # of an event store that nothing was written to meanwhile


class MonitorHealth:
    """Looks at the monitor's parts once a second, from the event loop. What the ingest waits for, it tells itself."""

    def __init__(self, health: PartHealth, ingest: Ingest, store: EventStore, forwarder: TraceForwarder | None) -> None:
        self._health = health
        self._ingest = ingest
        self._spooled = store if isinstance(store, SpooledEventStore) else None
        self._forwarder = forwarder
        self._rounds = -1

    async def run(self) -> None:
        """Look until cancelled."""
        asking = asyncio.create_task(self._ask_store())
        try:
            while True:
                self.look()
                await asyncio.sleep(_INTERVAL_S)
        finally:
            asking.cancel()

    def look(self) -> None:
        """Look once."""
        if self._ingest.rounds != self._rounds:  # and this loop goes round too
            self._rounds = self._ingest.rounds
            self._health.beat()
        if self._spooled is not None:
            self._look_at_spool(self._spooled)
        if self._forwarder is not None:
            self._look_at_jaeger(self._forwarder)

    def _look_at_spool(self, store: SpooledEventStore) -> None:
        self._health.gauge("spool_bytes", store.spooled_bytes)
        if store.is_down:
            detail = f"events and spans wait in the spool: {store.spooled_bytes} bytes"
            self._health.waiting("event_store", Reason.EVENT_LOG_UNAVAILABLE.name, detail)
        else:
            self._health.going_on("event_store")

    def _look_at_jaeger(self, forwarder: TraceForwarder) -> None:
        self._health.gauge("spans_not_passed_on", forwarder.dropped_spans)
        if forwarder.absence:
            detail = f"it takes no spans: {forwarder.absence}; {forwarder.waiting_bytes} bytes wait"
            self._health.waiting("jaeger", Reason.EVENT_LOG_UNAVAILABLE.name, detail)
        else:
            self._health.going_on("jaeger")

    async def _ask_store(self) -> None:
        while self._spooled is not None:
            await asyncio.to_thread(self._spooled.ask)
            await asyncio.sleep(_ASK_INTERVAL_S)
