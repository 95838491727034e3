"""The metrics that follow from a part's health, which it tells anyway: no second count of the same."""

from collections.abc import Collection, Mapping

from mesh.health.part import PartHealth
from mesh.health.report import HealthState
from mesh.telemetry.metric_list import DEPENDENCY_UP, LAG, LAG_AGE, PART_STATE, MetricSpec
from mesh.telemetry.metrics import Metrics
from mesh.telemetry.names import DEPENDENCY, HEALTH_STATE


def observe_health(
    metrics: Metrics,
    health: PartHealth,
    dependencies: Collection[str],
    counts: Mapping[str, MetricSpec],
) -> None:
    """Register the metrics of a part's state, of what it waits for, its lag and its counts.

    `dependencies` are those that are told from the start on. `counts` are the metrics of what health counts, by its
    names there.
    """

    def states() -> list[tuple[int, Mapping[str, str]]]:
        now = health.report().state
        return [(int(now is state), {HEALTH_STATE: state.value}) for state in HealthState]

    def answering() -> list[tuple[int, Mapping[str, str]]]:
        waits = {wait.dependency for wait in health.report().waits}
        return [(int(name not in waits), {DEPENDENCY: name}) for name in sorted({*dependencies, *waits})]

    def lag_records() -> int:
        lag = health.report().lag
        return 0 if lag is None else lag.records

    def lag_age_s() -> float:
        lag = health.report().lag
        return 0.0 if lag is None else lag.oldest_age_ms / 1000

    metrics.observe(PART_STATE, states)
    metrics.observe(DEPENDENCY_UP, answering)
    metrics.observe_one(LAG, lag_records)
    metrics.observe_one(LAG_AGE, lag_age_s)
    for name, spec in counts.items():
        observe_count(metrics, health, name, spec)


def observe_count(
    metrics: Metrics, health: PartHealth, name: str, spec: MetricSpec, attributes: Mapping[str, str] | None = None
) -> None:
    """Register the metric of what a part's health counts under a name, or of how much there is of something."""
    metrics.observe_one(spec, lambda: health.report().counts.get(name, 0), attributes)
