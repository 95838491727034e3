"""What the monitor keeps of metrics: rates, quantiles, bounds, restarts."""

import asyncio
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from mesh.telemetry.metric_list import COMMANDS, LAG, RPC_DURATION, MetricKind
from monitor.metrics.points import Bucket, SeriesKey, SeriesReading, exponential_buckets, read_points
from monitor.metrics.rates import quantile
from monitor.metrics.receiver import MetricReceiver
from monitor.metrics.store import FOREIGN_SERIES_MAX, POINTS_MAX, MetricStore

_NOW_US = 1_796_000_000_000_000
_S = 1_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_us = _NOW_US

    def __call__(self) -> int:
        """Return the time."""
        return self.now_us


@pytest.fixture
def clock() -> Clock:
    """Return the store's clock."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> MetricStore:
    """Return an empty store."""
    return MetricStore(tmp_path, clock)


def reading(
    value: float, at_s: float, *, instance: str = "gateway-0", start_s: float = 0, name: str = COMMANDS.name,
    kind: MetricKind = MetricKind.COUNTER, buckets: Sequence[Bucket] = (), service: str = "gateway", trace_id: str = "",
    **attributes: str,
) -> SeriesReading:  # fmt: skip
    """Return a reading at so many seconds after the clock's beginning."""
    key = SeriesKey(name, service, instance, tuple(sorted(attributes.items())))
    time_us, start_us = _NOW_US + round(at_s * _S), _NOW_US + round(start_s * _S)
    return SeriesReading(key, kind, "{command}", time_us, start_us, value, buckets, trace_id)


def values(store: MetricStore, name: str = COMMANDS.name, **options: object) -> list[float | None]:
    """Return the values of the only series."""
    (series,) = store.series(name, since_us=_NOW_US, step_s=10, **options)  # type: ignore[arg-type]
    return [point.value for point in series.points]


def test_a_counter_is_told_as_its_rate(store: MetricStore, clock: Clock) -> None:
    """So many a second, spread over the time in which they came; nothing is told of what nothing is known of."""
    store.add([reading(value, at_s) for value, at_s in ((50, 5), (100, 10), (400, 20))])
    clock.now_us += 40 * _S
    assert values(store) == [pytest.approx(10), pytest.approx(30), None, None]


def test_a_process_that_begins_anew_counts_from_zero(store: MetricStore, clock: Clock) -> None:
    """A smaller number, or a later start, is a reset: no rate is negative, and none is lost."""
    store.add([reading(1000, 0.5, start_s=-500), reading(1100, 10, start_s=-500), reading(60, 20, start_s=14)])
    clock.now_us += 30 * _S
    first, second, third = values(store)
    assert first == pytest.approx(100 / 9.5)
    assert second == pytest.approx(10)  # 60 in 6 s, of which all are known
    assert third is None


def test_series_are_taken_together_or_told_apart(store: MetricStore, clock: Clock) -> None:
    """Rates are summed; `by` tells them apart; `where` leaves others out."""
    for instance, value in (("gateway-0", 100), ("gateway-1", 300)):
        store.add([reading(0, 0, instance=instance), reading(value, 10, instance=instance, outcome="accepted")])
        store.add([reading(value, 10, instance=instance)])
    clock.now_us += 10 * _S
    assert values(store, where={"outcome": ""}) == [pytest.approx(40)]
    apart = store.series(COMMANDS.name, since_us=_NOW_US, step_s=10, by=("service.instance.id", "outcome"))
    assert [dict(one.attributes) for one in apart] == [
        {"service.instance.id": f"gateway-{number}", "outcome": outcome}
        for number in (0, 1) for outcome in ("", "accepted")
    ]  # fmt: skip
    assert store.series("unknown", since_us=_NOW_US, step_s=10) == []


def test_levels_are_the_last_of_their_step(store: MetricStore, clock: Clock) -> None:
    """Amounts are summed over processes; gauges tell the highest."""
    for instance in ("lane-redis-0", "lane-redis-1"):
        levels = [(7.0, 1), (3.0, 9)]
        store.add([reading(v, s, instance=instance, name=LAG.name, kind=MetricKind.UP_DOWN_COUNTER) for v, s in levels])
        store.add([reading(v, s, instance=instance, name="age", kind=MetricKind.GAUGE) for v, s in levels])
    clock.now_us += 10 * _S
    assert values(store, LAG.name) == [6.0]
    assert values(store, "age") == [3.0]


def test_histograms_are_told_as_quantiles(store: MetricStore, clock: Clock) -> None:
    """Of what came between two pushes, with a trace to look at."""
    before, after = [Bucket(0, 1, 100)], [Bucket(0, 1, 150), Bucket(1, 2, 49), Bucket(2, math.inf, 1)]
    store.add(
        [
            reading(50, 0, start_s=-60, name=RPC_DURATION.name, kind=MetricKind.HISTOGRAM, buckets=before),
            reading(200, 10, start_s=-60, name=RPC_DURATION.name, kind=MetricKind.HISTOGRAM, buckets=after,
                    trace_id="ab" * 16),
        ]
    )  # fmt: skip
    clock.now_us += 10 * _S
    (series,) = store.series(RPC_DURATION.name, since_us=_NOW_US, step_s=10)
    (point,) = series.points
    assert (point.value, point.p50, point.mean, point.trace_id) == (10, 1.0, 1.5, "ab" * 16)
    assert point.p99 == pytest.approx(2.0)


def test_quantiles_lie_within_their_buckets() -> None:
    """Evenly; the last bucket has no end, and its beginning stands for it."""
    buckets = [Bucket(0, 1, 1), Bucket(1, 2, 1), Bucket(4, math.inf, 2)]
    assert [quantile(buckets, share) for share in (0.125, 0.25, 0.5, 0.99)] == [0.5, 1.0, 2.0, 4.0]
    assert quantile([], 0.5) is None


def test_exponential_buckets_have_the_bounds_of_their_scale() -> None:
    """Base 2 at scale 0, its square root at scale 1; below zero in mirror image."""
    point = pb.ExponentialHistogramDataPoint(scale=0, zero_count=2, zero_threshold=0.5)
    point.positive.offset, point.negative.offset = 1, 0
    point.positive.bucket_counts.extend([3, 0, 4])
    point.negative.bucket_counts.extend([1])
    assert exponential_buckets(point) == [
        Bucket(-2, -1, 1), Bucket(0, 0.5, 2), Bucket(2, 4, 3), Bucket(8, 16, 4),
    ]  # fmt: skip
    point.scale = -20
    point.positive.offset = 1000
    assert exponential_buckets(point) is None


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    """A rate goes on over it, and the series are known."""
    first = MetricStore(tmp_path, clock)
    first.add([reading(0, 0), reading(100, 10)])
    first.close()
    second = MetricStore(tmp_path, clock)
    second.add([reading(300, 20)])
    clock.now_us += 20 * _S
    assert values(second) == [pytest.approx(10), pytest.approx(20)]
    assert second.series_count == 1


def test_a_damaged_file_is_begun_anew(tmp_path: Path, clock: Clock) -> None:
    """It must not keep the monitor from starting."""
    (tmp_path / "metrics.sqlite").write_bytes(b"this is no database" * 1000)
    store = MetricStore(tmp_path, clock)
    store.add([reading(0, 0)])
    assert store.series_count == 1


def test_a_folder_that_takes_no_file_leaves_memory(tmp_path: Path, clock: Clock) -> None:
    """The charts are there until the next start."""
    (tmp_path / "file").write_text("")
    store = MetricStore(tmp_path / "file", clock)
    store.add([reading(0, 0)])
    assert store.series_count == 1


def test_a_day_is_kept_more_and_more_coarsely(store: MetricStore, clock: Clock) -> None:
    """A day at 5 s would be 17,000 points. The rate of the whole day is still right, and its points are bounded."""
    for minute in range(0, 24 * 60, 2):
        clock.now_us = _NOW_US + minute * 60 * _S
        store.add([reading(minute * 60 * 5, minute * 60)])
    (series,) = store.series(COMMANDS.name, since_us=_NOW_US, step_s=1)
    assert series.step_s == 300
    rates = [point.value for point in series.points if point.value is not None]
    assert len(rates) > 280
    assert all(rate == pytest.approx(5) for rate in rates[1:])
    rows = store._db.execute("SELECT tier, count(*) FROM points GROUP BY tier ORDER BY tier").fetchall()
    assert [tier for tier, _ in rows] == [0, 1, 2]
    assert all(count <= 300 for _, count in rows)
    with pytest.raises(ValueError, match=f"{POINTS_MAX} points"):
        store.series(COMMANDS.name, since_us=_NOW_US - 3000 * 300 * _S, step_s=300)


def test_a_flood_of_series_is_bounded_and_counted(store: MetricStore, clock: Clock) -> None:
    """A foreign sender gets its share, and what the platform itself tells is kept all the while."""
    flood = [reading(1, 0, name="foreign", service="elsewhere", id=str(number)) for number in range(2000)]
    assert store.add(flood) == 2000 - FOREIGN_SERIES_MAX
    assert store.series_count == FOREIGN_SERIES_MAX
    assert store.dropped._counts["too_many_series",] == 1500
    assert store.add([reading(1, 0)]) == 0
    clock.now_us += 1000 * _S  # those that are silent for long make room
    assert store.add([reading(1, 1000, name="foreign", service="elsewhere", id="new")]) == 0
    assert store.series_count == FOREIGN_SERIES_MAX + 1


def test_times_of_elsewhere_are_refused(store: MetricStore) -> None:
    """Neither yesterday's before yesterday nor tomorrow's is kept."""
    assert store.add([reading(1, -2 * 86_400), reading(1, 3600), reading(1, 0)]) == 2


def request(*metrics: pb.Metric) -> ExportMetricsServiceRequest:
    """Return a request of a gateway's."""
    resource = Resource(
        attributes=[
            KeyValue(key="service.name", value=AnyValue(string_value="gateway")),
            KeyValue(key="service.instance.id", value=AnyValue(string_value="gateway-0")),
        ]
    )
    scope = pb.ScopeMetrics(metrics=metrics)
    return ExportMetricsServiceRequest(resource_metrics=[pb.ResourceMetrics(resource=resource, scope_metrics=[scope])])


def a_sum(temporality: "pb.AggregationTemporality.ValueType", points: int = 1) -> pb.Metric:
    """Return a sum with so many points."""
    point = pb.NumberDataPoint(time_unix_nano=_NOW_US * 1000, start_time_unix_nano=_NOW_US * 1000, as_int=4)
    data = pb.Sum(data_points=[point] * points, aggregation_temporality=temporality, is_monotonic=True)
    return pb.Metric(name=COMMANDS.name, unit="{command}", sum=data)


def test_only_what_counts_from_a_fixed_start_is_kept() -> None:
    """Of deltas a lost one would be missing for ever: they are told to be unfit."""
    cumulative, delta = pb.AGGREGATION_TEMPORALITY_CUMULATIVE, pb.AGGREGATION_TEMPORALITY_DELTA
    taken = read_points(request(a_sum(cumulative), a_sum(delta, 3), pb.Metric(name="s", summary=pb.Summary())))
    assert taken.unfit == 3
    (kept,) = taken.readings
    assert (kept.key.service, kept.key.instance, kept.value, kept.kind) == (
        "gateway",
        "gateway-0",
        4.0,
        MetricKind.COUNTER,
    )


def test_a_histogram_whose_counts_do_not_fit_its_bounds_is_unfit() -> None:
    """Nor is one with bounds that go back."""
    points = [
        pb.HistogramDataPoint(time_unix_nano=1, explicit_bounds=bounds, bucket_counts=counts)
        for bounds, counts in (([1, 2], [1, 2, 3]), ([1], [1, 2, 3]), ([2, 1], [1, 2, 3]))
    ]
    data = pb.Histogram(data_points=points, aggregation_temporality=pb.AGGREGATION_TEMPORALITY_CUMULATIVE)
    taken = read_points(request(pb.Metric(name="h", histogram=data)))
    assert (len(taken.readings), taken.unfit) == (1, 2)
    edges = [(bucket.lower, bucket.upper) for bucket in taken.readings[0].buckets]
    assert edges == [(0, 1), (1, 2), (2, math.inf)]
    assert all(low <= high for (_, low), (high, _) in pairwise(edges))


def test_the_receiver_says_how_many_points_it_dropped(store: MetricStore) -> None:
    """They need not be sent again: a partial success says so."""
    content = request(a_sum(pb.AGGREGATION_TEMPORALITY_CUMULATIVE), a_sum(pb.AGGREGATION_TEMPORALITY_DELTA, 3))
    answer = asyncio.run(MetricReceiver(store).export(content.SerializeToString(), None))  # type: ignore[arg-type]
    assert answer.partial_success.rejected_data_points == 3
    assert store.series_count == 1
