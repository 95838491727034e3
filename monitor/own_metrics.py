"""Which of the monitor's own numbers are told as metrics."""

from collections.abc import Mapping
from typing import Final

from mesh.health.part import PartHealth
from mesh.telemetry import metric_list
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.names import CAUSE, MESSAGING_GROUP
from mesh.telemetry.part_metrics import observe_health
from monitor.forwarder import TraceForwarder
from monitor.ingest import GROUP, Ingest
from monitor.metrics.store import MetricStore
from monitor.otlp import TraceReceiver
from monitor.store.port import EventStore
from monitor.store.spool import SpooledEventStore

_DEPENDENCIES: Final = ("kafka", "schema_registry", "event_store")


def register_metrics(
    metrics: Metrics,
    *,
    health: PartHealth,
    ingest: Ingest,
    store: EventStore,
    traces: TraceReceiver,
    forwarder: TraceForwarder | None,
    kept: MetricStore,
) -> None:
    """Register all of them."""

    def dropped() -> list[tuple[int, Mapping[str, str]]]:
        passed_on = 0 if forwarder is None else forwarder.dropped_spans
        return [(traces.refused_spans, {CAUSE: "not_kept"}), (passed_on, {CAUSE: "not_passed_on"})]

    metrics.add(ingest.retries)
    metrics.add(ingest.durations)
    metrics.observe_one(metric_list.CONSUMED, lambda: ingest.read_records, {MESSAGING_GROUP: GROUP})
    metrics.observe_one(metric_list.EVENTS, lambda: ingest.kept_events)
    metrics.observe_one(metric_list.SPANS_RECEIVED, lambda: traces.received_spans)
    metrics.observe(metric_list.SPANS_DROPPED, dropped)
    spooled = store if isinstance(store, SpooledEventStore) else None
    metrics.observe_one(metric_list.SPOOL_SIZE, lambda: 0 if spooled is None else spooled.spooled_bytes)
    metrics.observe_one(metric_list.FORWARD_QUEUE_SIZE, lambda: 0 if forwarder is None else forwarder.waiting_bytes)
    metrics.observe_one(metric_list.METRIC_SERIES, lambda: kept.series_count)
    metrics.add(kept.dropped)
    dependencies = (*_DEPENDENCIES, *(("jaeger",) if forwarder is not None else ()))
    counts = {"passed_over": metric_list.PASSED_OVER, "set_apart": metric_list.SET_APART}
    observe_health(metrics, health, dependencies, counts)
