"""Which of the gateway's numbers are told as metrics."""

from collections.abc import Iterator, Mapping
from typing import Final

from gateway.calls import Calls
from gateway.operations.tracker import OperationTracker
from gateway.producer import CommandProducer
from mesh.health.part import PartHealth
from mesh.telemetry import metric_list
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.names import MESSAGING_DESTINATION, MESSAGING_GROUP
from mesh.telemetry.part_metrics import observe_health
from mesh.telemetry.tracing import Tracing
from mesh.topics import COMMANDS

_DEPENDENCIES: Final = ("kafka", "redis", "schema_registry")


def register_metrics(
    metrics: Metrics,
    *,
    calls: Calls,
    producer: CommandProducer,
    tracker: OperationTracker,
    health: PartHealth,
    tracing: Tracing,
) -> None:
    """Register all of them."""

    def sent() -> Iterator[tuple[int, Mapping[str, str]]]:
        yield producer.acknowledged, {MESSAGING_DESTINATION: COMMANDS}
        for attributes, count in producer.not_taken.read():
            yield count, attributes

    metrics.add(calls.metrics.durations)
    metrics.add(tracker.durations)
    metrics.observe(metric_list.COMMANDS, calls.metrics.read_commands)
    metrics.observe(metric_list.SENT, sent)
    metrics.observe_one(metric_list.COMMANDS_IN_FLIGHT, lambda: producer.in_flight)
    metrics.observe_one(metric_list.STREAMS_OPEN, lambda: calls.open_streams)
    metrics.observe_one(metric_list.OPERATIONS_REMEMBERED, lambda: tracker.remembered)
    group = {MESSAGING_GROUP: tracker.group}
    metrics.observe_one(metric_list.CONSUMED, lambda: tracker.following.read_records, group)
    metrics.observe(metric_list.SPANS_DROPPED, tracing.losses.read)
    observe_health(metrics, health, _DEPENDENCIES, {"passed_over": metric_list.PASSED_OVER})
