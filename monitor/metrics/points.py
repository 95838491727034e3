"""Metrics as OTLP has them, in the form in which they are kept: one reading of one series, bounded in every way."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb

from mesh.telemetry.metric_list import MetricKind

SERVICE_NAME: Final = "service.name"
INSTANCE_ID: Final = "service.instance.id"

_MAX_NAME_CHARACTERS: Final = 200  # of a metric, an attribute, a service
_MAX_ATTRIBUTES: Final = 16
_MAX_VALUE_CHARACTERS: Final = 200
_MAX_BUCKETS: Final = 200
_CUMULATIVE: Final = pb.AGGREGATION_TEMPORALITY_CUMULATIVE


class Bucket(NamedTuple):
    """How many values of a histogram are above `lower`, and at most `upper`."""

    lower: float
    upper: float  # infinite for the last one
    values: float


class SeriesKey(NamedTuple):
    """What tells one series from all others."""

    name: str
    service: str
    instance: str
    attributes: tuple[tuple[str, str], ...]  # by name

    def value(self, attribute: str) -> str:
        """Return the value of an attribute, of the resource's two as well; empty where there is none."""
        if attribute == SERVICE_NAME:
            return self.service
        if attribute == INSTANCE_ID:
            return self.instance
        return dict(self.attributes).get(attribute, "")


@dataclass(frozen=True, slots=True)
class SeriesReading:
    """A series at one time. Times are in microseconds since the epoch."""

    key: SeriesKey
    kind: MetricKind
    unit: str
    time_us: int
    start_us: int  # since when it counts
    value: float  # of a histogram, the sum of its values
    buckets: Sequence[Bucket] = ()  # those that are not empty, the lowest first
    trace_id: str = ""  # of its newest exemplar: a trace to look at


@dataclass(slots=True)
class Taken:
    """What a request holds: readings, and how many points were not fit to be kept."""

    readings: list[SeriesReading]
    unfit: int = 0


def read_points(request: ExportMetricsServiceRequest) -> Taken:
    """Return what a request holds.

    Sums and histograms have to count from a fixed start: of what each point counts anew (delta temporality), a lost one
    would be missing for ever. Summaries, and points with too many attributes or buckets, are unfit too.
    """
    taken = Taken([])
    for of_resource in request.resource_metrics:
        resource = dict(_attributes(of_resource.resource.attributes))
        service, instance = resource.get(SERVICE_NAME, ""), resource.get(INSTANCE_ID, "")
        for of_scope in of_resource.scope_metrics:
            for metric in of_scope.metrics:
                _take(metric, service, instance, taken)
    return taken


def _take(metric: pb.Metric, service: str, instance: str, taken: Taken) -> None:
    told = metric.WhichOneof("data")
    if told is None:
        return
    data: Any = getattr(metric, told)
    kind = _kind(metric)
    if kind is None or not metric.name:
        taken.unfit += len(data.data_points)
        return
    for point in data.data_points:
        reading = _reading(metric, kind, point, service, instance)
        if reading is None:
            taken.unfit += 1
        else:
            taken.readings.append(reading)


def _kind(metric: pb.Metric) -> MetricKind | None:
    told = metric.WhichOneof("data")
    if told == "gauge":
        return MetricKind.GAUGE
    if told == "sum" and metric.sum.aggregation_temporality == _CUMULATIVE:
        return MetricKind.COUNTER if metric.sum.is_monotonic else MetricKind.UP_DOWN_COUNTER
    if told == "histogram" and metric.histogram.aggregation_temporality == _CUMULATIVE:
        return MetricKind.HISTOGRAM
    if told == "exponential_histogram" and metric.exponential_histogram.aggregation_temporality == _CUMULATIVE:
        return MetricKind.HISTOGRAM
    return None


def _reading(metric: pb.Metric, kind: MetricKind, point: Any, service: str, instance: str) -> SeriesReading | None:
    attributes = list(_attributes(point.attributes))
    if len(point.attributes) > _MAX_ATTRIBUTES or point.time_unix_nano <= 0:
        return None
    buckets: Sequence[Bucket] = ()
    if kind is MetricKind.HISTOGRAM:
        is_exponential = isinstance(point, pb.ExponentialHistogramDataPoint)
        found = exponential_buckets(point) if is_exponential else explicit_buckets(point)
        if found is None:
            return None
        buckets, value = found, point.sum
    else:
        value = point.as_int if point.WhichOneof("value") == "as_int" else point.as_double
    if not math.isfinite(value):
        return None
    newest = max(point.exemplars, key=lambda exemplar: exemplar.time_unix_nano, default=None)
    return SeriesReading(
        key=SeriesKey(
            metric.name[:_MAX_NAME_CHARACTERS],
            service[:_MAX_NAME_CHARACTERS],
            instance[:_MAX_NAME_CHARACTERS],
            tuple(sorted(attributes)),
        ),
        kind=kind,
        unit=metric.unit[:_MAX_NAME_CHARACTERS],
        time_us=point.time_unix_nano // 1000,
        start_us=point.start_time_unix_nano // 1000,
        value=float(value),
        buckets=buckets,
        trace_id="" if newest is None else newest.trace_id[:16].hex(),
    )


def explicit_buckets(point: pb.HistogramDataPoint) -> list[Bucket] | None:
    """Return the buckets of a histogram with explicit bounds; None where its counts do not fit them."""
    counts, bounds = point.bucket_counts, point.explicit_bounds
    if len(counts) > _MAX_BUCKETS or (counts and len(counts) != len(bounds) + 1):
        return None
    if any(low >= high for low, high in pairwise(bounds)):
        return None
    lowers = (min(0.0, bounds[0]) if bounds else 0.0, *bounds)
    edges = zip(lowers, (*bounds, math.inf), counts, strict=False)
    return [Bucket(lower, upper, count) for lower, upper, count in edges if count]


def exponential_buckets(point: pb.ExponentialHistogramDataPoint) -> list[Bucket] | None:
    """Return the buckets of an exponential histogram; None where there are too many, or they are out of all bounds.

    Bucket i of scale s holds what is above base**i and at most base**(i + 1), where base is 2**(2**-s)
    (https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram).
    """
    if len(point.positive.bucket_counts) + len(point.negative.bucket_counts) > _MAX_BUCKETS:
        return None
    width = math.ldexp(1.0, -point.scale)  # of a bucket, as a power of 2

    def edges(of: pb.ExponentialHistogramDataPoint.Buckets) -> Iterator[Bucket]:
        for place, count in enumerate(of.bucket_counts, of.offset):
            if count:
                yield Bucket(2.0 ** (place * width), 2.0 ** ((place + 1) * width), count)

    try:
        positive = list(edges(point.positive))
        negative = [Bucket(-upper, -lower, count) for lower, upper, count in edges(point.negative)]
    except OverflowError:
        return None
    zeros = [Bucket(0.0, point.zero_threshold, point.zero_count)] if point.zero_count else []
    return [*reversed(negative), *zeros, *positive]


def _attributes(pairs: Iterable[KeyValue]) -> Iterator[tuple[str, str]]:
    for pair in list(pairs)[:_MAX_ATTRIBUTES]:
        yield pair.key[:_MAX_NAME_CHARACTERS], _text(pair.value)[:_MAX_VALUE_CHARACTERS]


def _text(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind in {"string_value", "int_value", "double_value"}:
        return str(getattr(value, kind))
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    return ""  # lists and bytes are no values to draw a series by
