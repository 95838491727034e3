"""Waits for a store, the registry or Kafka; the lane stays in its consumer group meanwhile, and can be told to stop."""

import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import TypeVar

import structlog

from mesh.backoff import Backoff
from mesh.error_classes.classes import ErrorClass
from mesh.errors import PolystreamError, Reason
from mesh.health.part import PartHealth
from processor.lanes.decoding import Partitioned
from processor.lanes.metrics import LaneMetrics
from processor.lanes.source import Source

_LOG = structlog.get_logger(__name__)

_FIRST_DELAY_S = 0.05
_SLICE_S = 0.1
_DRAIN_S = 5.0  # what a lane that stops gives to Kafka for its last receipts
_DEPENDENCIES = {
    Reason.KAFKA_UNAVAILABLE: "kafka",
    Reason.REGISTRY_UNAVAILABLE: "schema_registry",
    Reason.TOO_MANY_PARKED: "dead_letters",
}

P = TypeVar("P", bound=Partitioned)
R = TypeVar("R")


class Stopped(Exception):  # noqa: N818 - it is no error: the lane was told to stop
    """The lane is to stop while it waits."""


class LaneRetry:
    """Repeats what could not be done, with a bounded backoff."""

    def __init__(
        self,
        source: Source,
        stop: Event,
        max_delay_s: float,
        on_lost: Callable[[frozenset[int]], None],
        *,
        health: PartHealth,
        metrics: LaneMetrics,
    ) -> None:
        self._metrics = metrics
        self._source = source
        self._stop = stop
        self._max_delay_s = max_delay_s
        self._on_lost = on_lost
        self._health = health
        self._drained_at_s: float | None = None

    def until_done(self, items: Sequence[P], step: Callable[[Sequence[P]], R], *, of: str) -> R:
        """Return the step's result, repeating it for as long as it raises an error that a repetition may mend.

        `of` is the dependency that the step asks. What it waits for, the lane's health tells.
        Items of partitions that are taken away meanwhile are left out. Raises Stopped.
        """
        backoff = Backoff(min(_FIRST_DELAY_S, self._max_delay_s), self._max_delay_s)
        waits: set[str] = set()
        try:
            while True:
                with self._health.calling(of):
                    try:
                        result = step(items)
                    except PolystreamError as error:
                        if error.reason.value.error_class is not ErrorClass.WAIT:
                            raise
                        if not waits:
                            _LOG.warning("waiting", reason=error.reason.name, records=len(items), **error.metadata)
                        dependency = self.tell(error, of)
                        waits.add(dependency)
                        self._metrics.retries.add(1, dependency)
                    else:
                        if waits:
                            _LOG.info("going on", records=len(items))
                        return result
                lost = self._idle(backoff.next_s())
                items = [item for item in items if item.partition not in lost]
        finally:
            for dependency in waits:
                self._health.going_on(dependency)

    def tell(self, error: PolystreamError, of: str) -> str:
        """Have the lane's health tell that it waits for what an error is of; return what that is."""
        dependency = _DEPENDENCIES.get(error.reason, of)
        self._health.waiting(dependency, error.reason.name, error.metadata.get("error", error.message))
        return dependency

    def linger(self, wait_s: float) -> None:
        """Wait for Kafka, also for a while after the lane was told to stop. Raises Stopped."""
        if self._stop.is_set():
            now_s = time.monotonic()
            self._drained_at_s = self._drained_at_s or now_s + _DRAIN_S
            if now_s > self._drained_at_s:
                raise Stopped
        self._health.beat()
        self._source.idle(wait_s)
        self._on_lost(self._source.take_lost())

    def _idle(self, wait_s: float) -> frozenset[int]:
        """Wait, and return the partitions that were taken away meanwhile."""
        lost: frozenset[int] = frozenset()
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._stop.is_set():
                raise Stopped
            self._health.beat()
            self._source.idle(min(left_s, _SLICE_S))
            lost |= self._source.take_lost()
        self._on_lost(lost)
        return lost
