"""The parts' reports as components of the platform's health, and who keeps the reports."""

import pytest
from polystream.v1.system_pb2 import Health

from mesh.health.components import KINDS, MAX_SILENCE_S, HeardPart, overall, part_components
from mesh.health.part import PartHealth
from mesh.health.report import HealthState, Lag, PartReport, Wait
from monitor.part_health import KnownParts

_SINCE_MS = 1_700_000_000_000
_WAIT = Wait("redis", "STORE_UNAVAILABLE", "ReadOnlyError", _SINCE_MS)


def _report(name: str, kind: str, state: HealthState = HealthState.HEALTHY, lag: Lag | None = None) -> PartReport:
    waits = () if state is HealthState.HEALTHY else (_WAIT,)
    return PartReport(name, kind, 1, state, "works", _SINCE_MS, waits, lag)


def _heard(name: str, kind: str, state: HealthState = HealthState.HEALTHY, silence_s: float = 0.0) -> HeardPart:
    return HeardPart(_report(name, kind, state, Lag(3, 1500)), silence_s)


def _component(heard: list[HeardPart], name: str, *, monitor_answers: bool = True) -> Health.Component:
    return {c.name: c for c in part_components(heard, monitor_answers=monitor_answers)}[name]


def test_every_kind_has_its_component_also_where_nobody_reports() -> None:
    """A lane that nobody reports for is UNHEALTHY, with what is known of why."""
    components = part_components([], monitor_answers=True)
    assert [component.name for component in components] == list(KINDS)
    assert {component.status for component in components} == {Health.UNHEALTHY}
    assert _component([], "lane-redis").detail == "no lane of redis reports"
    away = _component([], "lane-redis", monitor_answers=False)
    assert away.detail == "the monitor, which hears of the lanes, does not answer"
    assert _component([], "monitor", monitor_answers=False).detail == "does not answer"


def test_a_component_says_why_since_when_and_how_far_behind_it_is() -> None:
    """In the fields of their own, and the cause in words."""
    sick = _component([_heard("lane-redis-0", "lane-redis", HealthState.DEGRADED)], "lane-redis")
    assert sick.status == Health.DEGRADED
    assert sick.detail == "waits for redis since 2023-11-14 22:13:20 UTC (ReadOnlyError)"
    assert sick.since_time.ToMilliseconds() == _SINCE_MS
    assert (sick.lag_records, sick.oldest_command_age.ToMilliseconds()) == (3, 1500)
    well = _component([HeardPart(_report("gateway-0", "gateway"), 0)], "gateway")
    assert (well.status, well.detail, well.HasField("lag_records")) == (Health.HEALTHY, "", False)


def test_several_parts_of_a_kind_are_summed_up() -> None:
    """Their lags are added; one that is sick degrades the kind, and is named; the kind works until all are silent."""
    one, two = _heard("lane-redis-0", "lane-redis"), _heard("lane-redis-1", "lane-redis", HealthState.DEGRADED)
    both = _component([one, two], "lane-redis")
    assert (both.status, both.lag_records) == (Health.DEGRADED, 6)
    assert both.detail.startswith("lane-redis-1: waits for redis since ")
    silent = [part._replace(silence_s=MAX_SILENCE_S + 1) for part in (one, two)]
    half = _component([one, silent[1]], "lane-redis")
    assert (half.status, half.detail, half.lag_records) == (
        Health.DEGRADED,
        "lane-redis-1: not heard of for 7 s",
        3,
    )
    assert _component(silent, "lane-redis").status == Health.UNHEALTHY


@pytest.mark.parametrize(
    ("statuses", "whole"),
    [
        ([Health.HEALTHY, Health.HEALTHY], Health.HEALTHY),
        ([Health.HEALTHY, Health.DEGRADED], Health.DEGRADED),
        ([Health.HEALTHY, Health.UNHEALTHY], Health.DEGRADED),
        ([Health.UNHEALTHY, Health.UNHEALTHY], Health.UNHEALTHY),
        ([Health.DEGRADED, Health.UNHEALTHY], Health.DEGRADED),
    ],
)
def test_the_whole_is_healthy_only_where_every_part_is(statuses: list[Health.Status], whole: Health.Status) -> None:
    """It is UNHEALTHY where no part works at all."""
    assert overall([Health.Component(status=status) for status in statuses]) == whole


def test_the_known_has_the_newest_report_of_each_part_and_the_monitors_own() -> None:
    """With its age; a part that leaves is forgotten, but not by the name of its successor."""
    now_s = 0.0
    known = KnownParts(PartHealth("monitor", "monitor"), clock_s=lambda: now_s)
    known.take(_report("lane-redis-0", "lane-redis", HealthState.DEGRADED))
    now_s = 2.0
    known.take(_report("lane-redis-0", "lane-redis"))
    known.take(_report("gateway-0", "gateway"))
    now_s = 5.0
    assert [(h.report.name, h.report.state, h.silence_s) for h in known.parts()] == [
        ("gateway-0", HealthState.HEALTHY, 3.0),
        ("lane-redis-0", HealthState.HEALTHY, 3.0),
        ("monitor", HealthState.UNHEALTHY, 0.0),
    ]
    known.forget("lane-redis-0", pid=2)
    known.forget("gateway-0", pid=1)
    assert [heard.report.name for heard in known.parts()] == ["lane-redis-0", "monitor"]
    now_s = 700.0
    assert [heard.report.name for heard in known.parts()] == ["monitor"]


def test_the_known_is_bounded() -> None:
    """The part that was heard longest ago makes room."""
    known = KnownParts(PartHealth("monitor", "monitor"))
    for number in range(1001):
        known.take(_report(f"lane-{number:04}", "lane-redis"))
    known.take(_report("lane-0001", "lane-redis"))
    known.take(_report("lane-9999", "lane-redis"))
    names = {heard.report.name for heard in known.parts()}
    assert len(names) == 1001
    assert "lane-0001" in names
    assert not names & {"lane-0000", "lane-0002"}
