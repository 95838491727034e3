"""The code's histograms as Prometheus reads them, exemplars included; OpenTelemetry's exporter leaves those out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from opentelemetry.exporter.prometheus._mapping import map_unit, sanitize_attribute, sanitize_full_name
from prometheus_client.core import Exemplar, HistogramMetricFamily
from prometheus_client.registry import Collector

from mesh.telemetry.metric_list import OVERFLOW, MetricKind, MetricSpec
from mesh.telemetry.tallies import HistogramTable, HistogramTally

_LAST_BOUND: Final = "+Inf"


class HistogramCollector(Collector):
    """Gives Prometheus's library the histograms."""

    def __init__(self, tables: Sequence[HistogramTable]) -> None:
        self._tables = tables

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """Return each histogram as it stands."""
        for table in self._tables:
            yield _family(table.spec, table.read())

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """Return each histogram without its series."""
        return [_family(table.spec, ()) for table in self._tables]


def prometheus_name(spec: MetricSpec) -> str:
    """Return the name under which a metric stands on `/metrics`: that of a counter's or a gauge's samples."""
    unit = map_unit(spec.unit)
    name = f"{sanitize_full_name(spec.name)}_{unit}" if unit else sanitize_full_name(spec.name)
    return f"{name}_total" if spec.kind is MetricKind.COUNTER else name


def _family(spec: MetricSpec, series: Iterable[tuple[Mapping[str, str], HistogramTally]]) -> HistogramMetricFamily:
    names = (*spec.attributes, OVERFLOW)
    told = [(attributes, tally) for attributes, tally in series]
    if not any(OVERFLOW in attributes for attributes, _ in told):
        names = spec.attributes
    family = HistogramMetricFamily(
        sanitize_full_name(spec.name),
        spec.description,
        labels=[sanitize_attribute(name) for name in names],
        unit=map_unit(spec.unit),
    )
    for attributes, tally in told:
        family.add_metric([attributes.get(name, "") for name in names], _buckets(spec, tally), tally.total)
    return family


def _buckets(spec: MetricSpec, tally: HistogramTally) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    counts, below = list(tally.counts), 0
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    for place, bound in enumerate((*map(str, spec.bounds), _LAST_BOUND)):
        below += counts[place]
        traced = tally.exemplars.get(place)
        if traced is None:
            buckets.append((bound, below))
            continue
        labels = {"trace_id": traced.trace_id, "span_id": traced.span_id}
        buckets.append((bound, below, Exemplar(labels, traced.value, traced.time_ns / 1e9)))
    return buckets
