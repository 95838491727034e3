"""From two looks at a platform to what `top` shows: rates, latencies, lag, processor and memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, TypeVar

from cli.top.readings import PartReading, PlatformReading
from cli.top.scrape import Keep, Labels, Scrape, label
from mesh.telemetry import names
from mesh.telemetry.metric_list import (
    APPLY_DURATION,
    COMMANDS,
    EVENTS,
    LAG,
    LANE_COMMANDS,
    OPERATION_DURATION,
    RPC_DURATION,
    STORE_DURATION,
    MetricSpec,
)
from monitor.metrics.points import Bucket
from monitor.metrics.rates import quantile

_K = TypeVar("_K")
_ACCEPTED: Final = "accepted"
NO_METRICS: Final = "no rates: OTEL_METRICS_EXPORTER has no `prometheus`, by which each process tells its metrics"


@dataclass(frozen=True, slots=True)
class PartFigures:
    """A line of a part. What is not known, as of a part that has just begun, is None."""

    part: str
    status: str
    rate_per_s: float | None  # of a gateway, calls; of a lane, commands; of the monitor, events
    p50_ms: float | None  # of a gateway, a command's acknowledgement; of a lane, from there until it was applied; of
    p99_ms: float | None  # the monitor, a write into the event store
    lag_records: float | None
    cpu_percent: float | None  # of one processor
    memory_bytes: int | None
    trouble: str  # why there is less than there should be


@dataclass(frozen=True, slots=True)
class CommandFigures:
    """A line of a command, over all gateways."""

    command: str
    accepted_per_s: float
    errors_per_s: float  # refused, shed or failed
    p50_ms: float | None  # from its acceptance until the last of its stores had answered
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class TopFigures:
    """All that is shown at one moment."""

    status: str
    detail: str
    engines: str
    interval_s: float  # that the rates and latencies are of
    parts: tuple[PartFigures, ...]
    commands: tuple[CommandFigures, ...]  # the busiest first
    note: str  # why there are no rates at all

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def compare(before: PlatformReading, now: PlatformReading) -> TopFigures:
    """Return what has happened between two looks, and how all is at the second one."""
    seconds = max(now.time_s - before.time_s, 1e-3)
    earlier = {part.name: part for part in before.parts}
    pairs = [(_same(earlier.get(part.name), part), part) for part in now.parts]
    scrapes = [(then.scrape, part.scrape) for then, part in pairs if then and then.scrape and part.scrape]
    return TopFigures(
        now.status,
        now.detail,
        now.engines,
        round(seconds, 3),
        tuple(_part(then, part, seconds) for then, part in pairs),
        _commands(scrapes, seconds),
        "" if any(part.scrape or part.trouble for part in now.parts) else NO_METRICS,
    )


def _same(then: PartReading | None, now: PartReading) -> PartReading | None:
    """Return the earlier look at a part; None where another process has been it: that counts from 0."""
    return then if then is not None and then.pid == now.pid else None


def _part(then: PartReading | None, now: PartReading, seconds: float) -> PartFigures:
    cpu_percent = None
    if then is not None and then.cpu_s is not None and now.cpu_s is not None:
        # A child that has ended takes its time along.
        cpu_percent = max(0.0, (now.cpu_s - then.cpu_s) / seconds * 100)
    rate, p50_ms, p99_ms = None, None, None
    if then is not None and then.scrape and now.scrape:
        rate, p50_ms, p99_ms = _work(now.name, then.scrape, now.scrape, seconds)
    lag = now.scrape.total(LAG) if now.scrape else None
    return PartFigures(now.name, now.status, rate, p50_ms, p99_ms, lag, cpu_percent, now.memory_bytes, now.trouble)


def _work(name: str, then: Scrape, now: Scrape, seconds: float) -> tuple[float, float | None, float | None]:
    """Return what a service did a second, and its latencies in milliseconds."""
    if name.startswith("gateway"):
        commands = now.totals_by(COMMANDS, names.COMMAND)
        calls = _grown(then.counts(RPC_DURATION), now.counts(RPC_DURATION))

        def is_command(labels: Labels) -> bool:
            return labels.get(label(names.RPC_METHOD), "").rpartition("/")[2] in commands

        commands_only = _grown(then.counts(RPC_DURATION, is_command), now.counts(RPC_DURATION, is_command))
        return calls.get(math.inf, 0.0) / seconds, *_quantiles_ms(commands_only)
    counter, duration = (LANE_COMMANDS, APPLY_DURATION) if name.startswith("lane") else (EVENTS, STORE_DURATION)
    grown = (now.total(counter) or 0.0) - (then.total(counter) or 0.0)
    return grown / seconds, *_quantiles_ms(_grown(then.counts(duration), now.counts(duration)))


def _commands(scrapes: Sequence[tuple[Scrape, Scrape]], seconds: float) -> tuple[CommandFigures, ...]:
    accepted: dict[str, float] = {}
    errors: dict[str, float] = {}
    ended: dict[str, dict[float, float]] = {}
    for then, now in scrapes:
        _add(accepted, _increase(then, now, COMMANDS, is_accepted=True))
        _add(errors, _increase(then, now, COMMANDS, is_accepted=False))
        for command in now.totals_by(COMMANDS, names.COMMAND):
            grown = _grown(*(each.counts(OPERATION_DURATION, _of(command)) for each in (then, now)))
            _add(ended.setdefault(command, {}), grown)
    figures = [
        CommandFigures(
            command,
            accepted.get(command, 0.0) / seconds,
            errors.get(command, 0.0) / seconds,
            *_quantiles_ms(ended.get(command, {})),
        )
        for command in sorted(accepted | errors)
    ]
    return tuple(sorted(figures, key=lambda each: -(each.accepted_per_s + each.errors_per_s)))


def _increase(then: Scrape, now: Scrape, spec: MetricSpec, *, is_accepted: bool) -> dict[str, float]:
    def keep(labels: Labels) -> bool:
        return (labels.get(label(names.OUTCOME)) == _ACCEPTED) == is_accepted

    return _grown(then.totals_by(spec, names.COMMAND, keep), now.totals_by(spec, names.COMMAND, keep))


def _of(command: str) -> Keep:
    return lambda labels: labels.get(label(names.COMMAND)) == command


def _grown(then: Mapping[_K, float], now: Mapping[_K, float]) -> dict[_K, float]:
    return {key: value - then.get(key, 0.0) for key, value in now.items()}


def _add(sums: dict[_K, float], more: Mapping[_K, float]) -> None:
    for key, value in more.items():
        sums[key] = sums.get(key, 0.0) + value


def _quantiles_ms(at_most: Mapping[float, float]) -> tuple[float | None, float | None]:
    """Return the 50th and the 99th percentile of a histogram whose counts are cumulative, in milliseconds."""
    ordered = [(0.0, 0.0), *sorted(at_most.items())]
    buckets = [Bucket(lower, upper, count - below) for (lower, below), (upper, count) in pairwise(ordered)]
    found = [quantile(buckets, share) if buckets else None for share in (0.5, 0.99)]
    p50, p99 = (None if value is None else value * 1000 for value in found)
    return p50, p99
