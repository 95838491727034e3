"""Readings of a series to what a chart shows: rates of what only grows, quantiles of histograms, levels of the rest."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from monitor.metrics.points import Bucket

Edges = tuple[float, float]  # a bucket's lower and upper bound

_SAME_START_US = 1_000_000  # a start that is told anew may be rounded in another way


@dataclass(frozen=True, slots=True)
class Sample:
    """A reading without its series. Times are in microseconds since the epoch."""

    time_us: int
    start_us: int
    value: float
    buckets: Sequence[Bucket] = ()
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """What a chart shows of one step. None where nothing is known of it."""

    time_us: int  # when the step begins, since the epoch
    value: float | None  # a level; of a counter, so many a second; of a histogram, values a second
    p50: float | None = None  # of a histogram: half of the values were at most that
    p99: float | None = None
    mean: float | None = None
    trace_id: str = ""  # of a histogram: a trace with a value of that step


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of the same length. Times are in microseconds."""

    since_us: int
    step_us: int
    count: int

    def parts(self, from_us: int, to_us: int) -> Iterator[tuple[int, float]]:
        """Yield the steps that a stretch of time lies in, and which share of it lies in each."""
        length_us = to_us - from_us
        if length_us <= 0:
            return
        first = max(0, (from_us - self.since_us) // self.step_us)
        last = min(self.count - 1, (to_us - 1 - self.since_us) // self.step_us)
        for step in range(first, last + 1):
            begin_us = self.since_us + step * self.step_us
            within_us = min(to_us, begin_us + self.step_us) - max(from_us, begin_us)
            yield step, within_us / length_us

    def times(self) -> Iterator[int]:
        """Yield when each step begins."""
        return (self.since_us + step * self.step_us for step in range(self.count))


@dataclass(frozen=True, slots=True)
class Growth:
    """What was counted between two samples."""

    from_us: int
    to_us: int
    value: float
    buckets: Mapping[Edges, float]
    trace_id: str


def growths(samples: Sequence[Sample], since_us: int) -> Iterator[Growth]:
    """Yield what was counted between each two samples, in the order of time.

    A process that began anew counts from 0 again: its first sample is all growth. So is the first sample of all, where
    it began to count after `since_us`; else nobody knows when what it tells was counted.
    """
    if samples and samples[0].start_us >= since_us:
        yield _whole(samples[0], samples[0].start_us)
    for before, sample in pairwise(samples):
        if abs(sample.start_us - before.start_us) > _SAME_START_US or sample.value < before.value:
            yield _whole(sample, max(before.time_us, sample.start_us))
            continue
        buckets = {(b.lower, b.upper): b.values for b in sample.buckets}
        for bucket in before.buckets:
            edges = (bucket.lower, bucket.upper)
            buckets[edges] = max(0.0, buckets.get(edges, 0.0) - bucket.values)
        told = sample.trace_id if sample.trace_id != before.trace_id else ""
        yield Growth(before.time_us, sample.time_us, sample.value - before.value, buckets, told)


def _whole(sample: Sample, from_us: int) -> Growth:
    buckets = {(b.lower, b.upper): float(b.values) for b in sample.buckets}
    return Growth(from_us, sample.time_us, sample.value, buckets, sample.trace_id)


def rate_points(of_series: Iterable[Sequence[Sample]], steps: Steps) -> list[Point]:
    """Return how much several counters together grew in each step, a second."""
    totals: list[float | None] = [None] * steps.count
    for samples in of_series:
        grown, known = [0.0] * steps.count, [0.0] * steps.count  # in each step: how much, and for how long it is known
        for growth in growths(samples, steps.since_us):
            for step, share in steps.parts(growth.from_us, growth.to_us):
                grown[step] += growth.value * share
                known[step] += (growth.to_us - growth.from_us) * share / 1e6
        for step in range(steps.count):
            if known[step]:
                totals[step] = (totals[step] or 0.0) + grown[step] / known[step]
    return [Point(time_us, total) for time_us, total in zip(steps.times(), totals, strict=True)]


def level_points(of_series: Iterable[Sequence[Sample]], steps: Steps, *, summed: bool) -> list[Point]:
    """Return the last level in each step: of several series the sum, or else the highest."""
    totals: list[float | None] = [None] * steps.count
    for samples in of_series:
        last: dict[int, float] = {}
        for sample in samples:
            step = (sample.time_us - steps.since_us) // steps.step_us
            if 0 <= step < steps.count:
                last[step] = sample.value
        for step, value in last.items():
            before = totals[step]
            totals[step] = value if before is None else before + value if summed else max(before, value)
    return [Point(time_us, total) for time_us, total in zip(steps.times(), totals, strict=True)]


def histogram_points(of_series: Iterable[Sequence[Sample]], steps: Steps) -> list[Point]:
    """Return the rate, the mean and the quantiles of what several histograms together counted in each step."""
    buckets: list[dict[Edges, float]] = [{} for _ in range(steps.count)]
    sums, known = [0.0] * steps.count, [False] * steps.count
    rates, traces = [0.0] * steps.count, [""] * steps.count
    for samples in of_series:
        seconds = [0.0] * steps.count
        counts = [0.0] * steps.count
        for growth in growths(samples, steps.since_us):
            for step, share in steps.parts(growth.from_us, growth.to_us):
                seconds[step] += (growth.to_us - growth.from_us) * share / 1e6
                sums[step] += growth.value * share
                traces[step] = growth.trace_id or traces[step]
                for edges, count in growth.buckets.items():
                    buckets[step][edges] = buckets[step].get(edges, 0.0) + count * share
                    counts[step] += count * share
        for step in range(steps.count):
            if seconds[step]:
                known[step] = True
                rates[step] += counts[step] / seconds[step]
    return [
        _histogram_point(time_us, buckets[step], sums[step], rates[step], traces[step])
        if known[step]
        else Point(time_us, None)
        for step, time_us in enumerate(steps.times())
    ]


def _histogram_point(time_us: int, counts: Mapping[Edges, float], total: float, rate: float, trace_id: str) -> Point:
    count = sum(counts.values())
    if not count:
        return Point(time_us, rate)
    ordered = [Bucket(lower, upper, counts[lower, upper]) for lower, upper in sorted(counts)]
    return Point(time_us, rate, quantile(ordered, 0.5), quantile(ordered, 0.99), total / count, trace_id)


def quantile(buckets: Sequence[Bucket], share: float) -> float | None:
    """Return the value that a share of all values is at most, 0 to 1; None where there are none.

    Within a bucket, values are taken to lie evenly. Of the last one, which has no upper bound, it is the lower one.
    """
    total = sum(bucket.values for bucket in buckets)
    if total <= 0:
        return None
    wanted, below = share * total, 0.0
    for bucket in buckets:
        if bucket.values and below + bucket.values >= wanted:
            if math.isinf(bucket.upper):
                return bucket.lower
            return bucket.lower + (bucket.upper - bucket.lower) * (wanted - below) / bucket.values
        below += bucket.values
    return buckets[-1].lower if math.isinf(buckets[-1].upper) else buckets[-1].upper
