"""The overview's charts: what the services have measured, one reading a step for all who look."""

import asyncio
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from mesh.telemetry.metric_list import (
    APPLY_DURATION,
    COMMANDS,
    COMMANDS_IN_FLIGHT,
    DEAD_LETTERS,
    LANE_COMMANDS,
    UPTIME,
    MetricSpec,
)
from mesh.telemetry.names import COMMAND, OUTCOME, STORE
from monitor.metrics.points import Bucket, SeriesKey, SeriesReading
from monitor.metrics.store import TIERS, MetricStore
from monitor.pages.language import load_languages
from monitor.pages.overview_charts import SPANS, ChartValues, OverviewCharts
from tests.support.monitor_pages import METRIC_INTERVAL_S, opened_pages

NOW_S = 1_796_000_000
LANGUAGES = load_languages()


class ReadMetrics(MetricStore):
    """A metric store that counts what is read from it."""

    reads = 0

    def series(self, *args: object, **options: object) -> list[object]:  # type: ignore[override]
        """Count, and read."""
        self.reads += 1
        return super().series(*args, **options)  # type: ignore[arg-type, return-value]


def reading(
    spec: MetricSpec, value: float, at_s: float, instance: str, buckets: Sequence[Bucket] = (), **attributes: str
) -> SeriesReading:
    """Return what a process that began half an hour ago says of a metric."""
    names = {"outcome": OUTCOME, "command": COMMAND, "store": STORE}
    told = tuple(sorted((names[name], text) for name, text in attributes.items()))
    service = "processor" if instance.startswith("lane") else instance.partition("-")[0]
    key = SeriesKey(spec.name, service, instance, told)
    at_us, start_us = round(at_s * 1e6), (NOW_S - 1800) * 1_000_000
    return SeriesReading(key, spec.kind, spec.unit, at_us, start_us, value, buckets)


def told(at_s: int) -> list[SeriesReading]:
    """Return what two gateways and a lane say at a time, counting since a minute before now."""
    seconds = at_s - (NOW_S - 60)
    readings = [reading(UPTIME, 1800 + seconds, at_s, name) for name in ("gateway-0", "gateway-1", "lane-redis-0")]
    for name in ("gateway-0", "gateway-1"):
        readings += [
            reading(COMMANDS, 10 * seconds, at_s, name, outcome="accepted", command="CreateSession"),
            reading(COMMANDS, seconds, at_s, name, outcome="shed", command="CreateSession"),
            reading(COMMANDS_IN_FLIGHT, 3, at_s, name),
        ]
    readings += [
        reading(LANE_COMMANDS, 18 * seconds, at_s, "lane-redis-0", outcome="succeeded", store="REDIS"),
        reading(LANE_COMMANDS, 2 * seconds, at_s, "lane-redis-0", outcome="refused", store="REDIS"),
        reading(
            *(APPLY_DURATION, seconds * 0.1, at_s, "lane-redis-0"),
            [Bucket(0.0, 0.01, 19 * seconds), Bucket(0.05, 0.1, seconds)],
            command="CreateSession",
        ),
    ]
    return readings


@pytest.fixture
def store(tmp_path: Path) -> ReadMetrics:
    """Return a store with the last minute of a platform in it."""
    made = ReadMetrics(tmp_path, lambda: NOW_S * 1_000_000)
    for at_s in range(NOW_S - 60, NOW_S + 1, 5):
        made.add(told(at_s))
    return made


def charts_of(store: MetricStore, now_s: float = NOW_S) -> OverviewCharts:
    """Return the charts of a store."""
    return OverviewCharts(store, METRIC_INTERVAL_S, lambda: now_s)


async def test_charts_show_what_the_services_measured(store: ReadMetrics) -> None:
    """All of them together, a second or a minute; nothing of before; 0 of what did not happen."""
    values = await charts_of(store).measured("5m")
    last = {name: line[-1] for name, line in values.lines.items()}
    assert last == {
        "overview.accepted": pytest.approx(20),
        "overview.answered": pytest.approx(20),
        "overview.p50": pytest.approx(10 * 10 / 19),
        "overview.p99": pytest.approx(90),
        "overview.refused": pytest.approx(120),
        "overview.turned_away": pytest.approx(120),
        "overview.dead_letters": 0,
    }
    assert values.is_known
    assert {name: line[0] for name, line in values.lines.items()} == dict.fromkeys(last)
    assert values.times_s[-1] == NOW_S - 15  # what ended before five seconds and a moment ago


async def test_dead_letters_are_told_whatever_became_of_the_command(store: ReadMetrics) -> None:
    """A lane's own count of records."""
    for at_s in range(NOW_S - 60, NOW_S + 1, 5):
        store.add([reading(DEAD_LETTERS, (at_s - NOW_S + 60) / 2, at_s, "lane-redis-0", store="REDIS")])
    assert (await charts_of(store).measured("5m")).lines["overview.dead_letters"][-1] == pytest.approx(30)


@pytest.mark.parametrize("span", SPANS)
async def test_every_span_has_its_steps(tmp_path: Path, span: str) -> None:
    """No more than its length, in steps as fine as the address says, whatever the second."""
    length_s, step_s = SPANS[span]
    for second in (0, 1, 4, 14, 59, 1199):
        store = MetricStore(tmp_path / span / str(second), lambda second=second: (NOW_S + second) * 1_000_000)  # type: ignore[misc]
        tier_s = next(tier.step_s for tier in TIERS if length_s <= tier.keep_s)
        for at_s in range(NOW_S - length_s // 2, NOW_S + second, tier_s):
            store.add(
                [reading(UPTIME, 1, at_s, "gateway-0"), reading(COMMANDS, at_s, at_s, "gateway-0", outcome="shed")]
            )
        values = await charts_of(store, NOW_S + second).measured(span)
        assert {after - before for before, after in zip(values.times_s, values.times_s[1:], strict=False)} == {step_s}
        assert length_s - 3 * step_s - METRIC_INTERVAL_S <= values.times_s[-1] - values.times_s[0] < length_s
        known = [value for value in values.lines["overview.turned_away"] if value is not None]
        assert len(known) > len(values.times_s) // 3
        store.close()


async def test_a_step_is_read_once_for_all_pages(store: ReadMetrics) -> None:
    """Ten pages at once, and again a moment later: only the next step is read anew."""
    now = [NOW_S + 2.0]
    charts = OverviewCharts(store, METRIC_INTERVAL_S, lambda: now[0])
    found = await asyncio.gather(*(charts.measured("15m") for _ in range(10)))
    once = store.reads
    assert all(each is found[0] for each in found)
    assert found[0].drawn(LANGUAGES["en"]) is found[0].drawn(LANGUAGES["en"])
    now[0] += 4
    assert await charts.measured("15m") is found[0]
    assert store.reads == once
    now[0] += 15
    assert await charts.measured("15m") is not found[0]
    assert store.reads == 2 * once


async def test_steps_that_are_read_one_by_one_are_those_that_are_read_at_once(tmp_path: Path) -> None:
    """Whether a page is open all the while or opened now; a long time later, all is read anew."""
    now = [float(NOW_S)]
    store = MetricStore(tmp_path, lambda: round(now[0] * 1e6))
    charts = OverviewCharts(store, METRIC_INTERVAL_S, lambda: now[0])
    for second in range(400):
        now[0] = NOW_S + second
        if second % 5 == 0:
            store.add(told(NOW_S + second))
        if second % 3 == 0 and second not in range(200, 230):
            open_all_the_while = await charts.measured("5m")
            opened_now = await OverviewCharts(store, METRIC_INTERVAL_S, lambda: now[0]).measured("5m")
            assert open_all_the_while.times_s == opened_now.times_s
            assert open_all_the_while.lines == opened_now.lines
    now[0] += 10_000
    assert not (await charts.measured("5m")).is_known
    store.close()


async def test_commands_in_flight_are_those_of_all_gateways(store: ReadMetrics, tmp_path: Path) -> None:
    """As they said last; nothing where none has said anything lately."""
    charts = charts_of(store)
    assert await charts.in_flight() == 6
    reads = store.reads
    assert await charts.in_flight() == 6
    assert store.reads == reads
    assert await charts_of(MetricStore(tmp_path / "empty")).in_flight() is None


async def test_a_file_that_cannot_be_read_leaves_the_charts_empty(store: ReadMetrics) -> None:
    """The page tells what is wrong with the platform: it is there all the same."""
    charts = charts_of(store)
    store.close()
    values = await charts.measured("5m")
    assert not values.is_known
    assert len(values.drawn(LANGUAGES["en"])) == 3
    assert await charts.in_flight() is None


async def test_the_page_says_where_nothing_is_measured(tmp_path: Path) -> None:
    """Its charts are empty then; with metrics, they are not."""
    async with opened_pages(tmp_path) as opened:
        page = (await opened.client.get("/?lang=en&span=5m")).text
        assert "OTEL_METRICS_EXPORTER" in page
        assert page.count('class="chart"') == 3
    async with opened_pages(tmp_path / "used") as opened:
        at_us = time.time_ns() // 1000
        for age_s in (40, 35, 30, 25, 20, 15):
            shifted = [_at(each, at_us - age_s * 1_000_000) for each in told(NOW_S - age_s)]
            opened.metrics.add(shifted)
        page = (await opened.client.get("/?lang=en&span=5m")).text
        assert "OTEL_METRICS_EXPORTER" not in page
        assert re.search(r'class="line look-main" d="M[^"]+L', page)


def _at(told: SeriesReading, time_us: int) -> SeriesReading:
    start_us = time_us - 1_800_000_000
    return SeriesReading(told.key, told.kind, told.unit, time_us, start_us, told.value, told.buckets)


def test_values_without_a_measurement_are_known_as_such() -> None:
    """Whatever their number."""
    assert not ChartValues(range(0, 10, 5), {"overview.accepted": (None, None)}).is_known
    assert ChartValues(range(0, 10, 5), {"overview.accepted": (None, 0.0)}).is_known
