"""The overview's charts: what the services have measured themselves, from the metrics that the monitor keeps.

So they tell of what no event does, such as a command that was turned away at the door, and are there after a restart of
the monitor. A step of time is read when it is over and every service has told of it, once for all pages; now and then,
all steps are read anew, for what a service could only tell later.
"""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from mesh.telemetry.metric_list import (
    APPLY_DURATION,
    COMMANDS,
    COMMANDS_IN_FLIGHT,
    DEAD_LETTERS,
    LANE_COMMANDS,
    UPTIME,
    MetricSpec,
    Service,
)
from mesh.telemetry.names import OUTCOME
from monitor.metrics.points import SERVICE_NAME
from monitor.metrics.rates import Point
from monitor.metrics.store import MetricStore
from monitor.pages.charts import Chart, Line, draw
from monitor.pages.language import NONE, Language

# By the name in the address: how long, and the steps of the charts, in seconds.
SPANS: Final[Mapping[str, tuple[int, int]]] = {
    "5m": (300, 5),
    "15m": (900, 15),
    "1h": (3600, 60),
    "6h": (21_600, 300),
    "24h": (86_400, 1200),
}
DEFAULT_SPAN: Final = "15m"
_WHOLE_STEPS: Final = 12  # so many steps are read one by one, then all anew
_SLACK_S: Final = 1.0  # what services send is on its way for a moment
_IN_FLIGHT_S: Final = 2.0  # for so long, one answer does for all pages
_ACCEPTED, _REFUSED = "accepted", "refused"  # outcomes, as the gateway's and the lanes' metrics name them
_TURNED_AWAY: Final = ("refused", "shed", "failed")

Values = Sequence[float | None]


@dataclass(frozen=True, slots=True)
class _ChartSpec:
    name: str
    title: str  # a text, as the others
    unit: str
    lines: Mapping[str, str]  # by the text that names them: their look


_THROUGHPUT: Final = _ChartSpec(
    "throughput",
    "overview.throughput",
    "overview.per_second",
    {"overview.accepted": "look-main", "overview.answered": "look-second"},
)
_LATENCY: Final = _ChartSpec(
    "latency",
    "overview.latency",
    "overview.milliseconds",
    {"overview.p50": "look-main", "overview.p99": "look-second"},
)
_ERRORS: Final = _ChartSpec(
    "errors",
    "overview.errors",
    "overview.per_minute",
    {"overview.refused": "look-main", "overview.turned_away": "look-second", "overview.dead_letters": "look-bad"},
)
_ALL: Final = (_THROUGHPUT, _LATENCY, _ERRORS)

_LOG = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ChartValues:
    """What the charts of a span of time show, and the charts in each language that has been asked for."""

    times_s: range
    lines: Mapping[str, Values]  # by the text that names them
    steps_added: int = 0  # since all of it was read
    _charts: dict[str, Sequence[Chart]] = field(default_factory=dict)  # by the language's tag

    def followed_by(self, later: "ChartValues", since_s: int) -> "ChartValues":
        """Return these values and those of the steps behind them, from a time on."""
        gone = max(0, (since_s - self.times_s.start) // self.times_s.step)
        return ChartValues(
            range(self.times_s[gone], later.times_s.stop, self.times_s.step),
            {name: [*values[gone:], *later.lines[name]] for name, values in self.lines.items()},
            self.steps_added + len(later.times_s),
        )

    @property
    def is_known(self) -> bool:
        """Whether anything was measured at all."""
        return any(value is not None for values in self.lines.values() for value in values)

    def drawn(self, language: Language) -> Sequence[Chart]:
        """Return the charts."""
        if language.tag not in self._charts:

            def rate(value: float | None) -> str:
                return NONE if value is None else language.number(value, 0 if value >= 100 or value == 0 else 1)

            written = ((_THROUGHPUT, rate), (_LATENCY, language.milliseconds), (_ERRORS, rate))
            self._charts[language.tag] = [self._draw(spec, language, write) for spec, write in written]
        return self._charts[language.tag]

    def _draw(self, spec: _ChartSpec, language: Language, write: Callable[[float | None], str]) -> Chart:
        return draw(
            spec.name,
            language.text(spec.title),
            language.text(spec.unit),
            times_s=self.times_s,
            step_s=self.times_s.step,
            lines=[Line(language.text(name), look, self.lines[name]) for name, look in spec.lines.items()],
            write=write,
        )


class OverviewCharts:
    """Reads what the charts show. It belongs to the event loop, and reads in a thread."""

    def __init__(self, metrics: MetricStore, interval_s: float, clock_s: Callable[[], float] = time.time) -> None:
        """`interval_s` is how often services tell their metrics."""
        self._metrics = metrics
        self._interval_s = interval_s
        self._clock_s = clock_s
        self._reading = asyncio.Lock()
        self._known: dict[str, ChartValues] = {}  # by span
        self._in_flight: float | None = None
        self._in_flight_at_s = float("-inf")

    async def measured(self, span: str) -> ChartValues:
        """Return what is known of a span of time, one of `SPANS`."""
        length_s, step_s = SPANS[span]
        settled_s = self._interval_s + _SLACK_S
        end_s = int((self._clock_s() - settled_s) // step_s * step_s)
        async with self._reading:
            known = self._known.get(span)
            if known is None or known.times_s.stop != end_s:
                # Not a moment more than its length: what is older is kept in coarser steps.
                since_s = end_s - length_s + math.ceil((settled_s + _SLACK_S) / step_s + 1) * step_s
                wanted = range(since_s, end_s, step_s)
                try:
                    known = await asyncio.to_thread(self._read_on, known, wanted)
                except sqlite3.Error as error:  # the page tells what is wrong with the platform, and has to be there
                    _LOG.warning("the overview has no metrics", error=type(error).__name__)
                    known = ChartValues(wanted, {name: [None] * len(wanted) for each in _ALL for name in each.lines})
                self._known[span] = known
            return known

    async def in_flight(self) -> float | None:
        """Return how many commands wait for Kafka's acknowledgement; None where no gateway has told of it lately."""
        async with self._reading:
            now_s = self._clock_s()
            if not 0 <= now_s - self._in_flight_at_s < _IN_FLIGHT_S:
                since_us = round((now_s - 3 * self._interval_s) * 1e6)
                self._in_flight_at_s = now_s
                try:
                    points = await asyncio.to_thread(self._points, COMMANDS_IN_FLIGHT, since_us, None, self._interval_s)
                except sqlite3.Error:
                    points = {}
                told = [point.value for one in points.values() for point in one if point.value is not None]
                self._in_flight = told[-1] if told else None
            return self._in_flight

    def _read_on(self, known: ChartValues | None, wanted: range) -> ChartValues:
        """Return the values of all steps, of which only those are read that are not known."""
        if known is None or not wanted.start < known.times_s.stop < wanted.stop:
            return self._read(wanted)
        more = range(known.times_s.stop, wanted.stop, wanted.step)
        if known.steps_added + len(more) > _WHOLE_STEPS:
            return self._read(wanted)
        return known.followed_by(self._read(more), wanted.start)

    def _read(self, times_s: range) -> ChartValues:
        def read(spec: MetricSpec, by: str = "") -> Mapping[str, Sequence[Point]]:
            return self._points(spec, times_s.start * 1_000_000, times_s.stop * 1_000_000, times_s.step, by)

        def values(points: Iterable[Point], of: Callable[[Point], float | None]) -> Values:
            found = {point.time_us // 1_000_000: of(point) for point in points}
            return [found.get(at_s) for at_s in times_s]

        def levels(points: Iterable[Point]) -> Values:
            return values(points, lambda point: point.value)

        told = {service: levels(points) for service, points in read(UPTIME, SERVICE_NAME).items()}

        def total(
            of_each: Mapping[str, Sequence[Point]], service: Service, factor: float = 1, only: Collection[str] = ()
        ) -> Values:
            """Return the sum of rates; 0 where the service tells of itself, but not of any such thing."""
            rates = [levels(points) for name, points in of_each.items() if not only or name in only]
            there = told.get(service.value, [None] * len(times_s))
            sums = []
            for place, is_there in enumerate(there):
                known = [rate for each in rates if (rate := each[place]) is not None]
                sums.append(factor * sum(known) if known or is_there is not None else None)
            return sums

        commands, answers = read(COMMANDS, OUTCOME), read(LANE_COMMANDS, OUTCOME)
        latencies = next(iter(read(APPLY_DURATION).values()), ())
        return ChartValues(
            times_s,
            {
                "overview.accepted": total(commands, Service.GATEWAY, only=(_ACCEPTED,)),
                "overview.answered": total(answers, Service.PROCESSOR),
                "overview.p50": values(latencies, lambda point: _milliseconds(point.p50)),
                "overview.p99": values(latencies, lambda point: _milliseconds(point.p99)),
                "overview.refused": total(answers, Service.PROCESSOR, 60, (_REFUSED,)),
                "overview.turned_away": total(commands, Service.GATEWAY, 60, _TURNED_AWAY),
                "overview.dead_letters": total(read(DEAD_LETTERS), Service.PROCESSOR, 60),
            },
        )

    def _points(
        self, spec: MetricSpec, since_us: int, until_us: int | None, step_s: float, by: str = ""
    ) -> Mapping[str, Sequence[Point]]:
        """Return the points of each of an attribute's values, or of all series together."""
        found = self._metrics.series(
            spec.name, since_us=since_us, until_us=until_us, step_s=step_s, by=(by,) if by else ()
        )
        return {series.attributes.get(by, ""): series.points for series in found}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
