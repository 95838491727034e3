"""A paused lane: what it does, what it tells of itself, and where the wish is kept."""

from pathlib import Path

import pytest
from polystream.monitor.v1.part_health_pb2 import ReportHealthResponse

from mesh.errors import PolystreamError, Reason
from mesh.health.messages import from_message, timestamp, to_message
from mesh.health.report import HealthState, PartReport
from monitor.lane_control import LaneControls
from processor.lanes.control import LaneControl
from tests.support.lane_rig import Rig, delete

_LANE = "lane-mongodb"
_SINCE_MS = 1_700_000_000_000
_SENTENCE = "paused by ana since 2023-11-14 22:13:20 UTC: an index is made"


def _pausing() -> ReportHealthResponse:
    answer = ReportHealthResponse()
    answer.pause.principal, answer.pause.justification = "ana", "an index is made"
    answer.pause.since_time.CopyFrom(timestamp(_SINCE_MS))
    return answer


def test_a_paused_lane_reads_nothing_and_goes_on_where_it_was() -> None:
    """It finishes its batch first; in its pause it stays in its group, beats, and gives away what is taken from it."""
    rig = Rig()
    first = rig.source.put(delete(7))
    rig.lane.run_once()
    rig.control.take(_pausing())
    second, third = rig.source.put(delete(7)), rig.source.put(delete(7), partition=1)
    beats, idles = rig.health.beats, rig.source.idles
    rig.source.lost = {1}
    for _ in range(3):
        rig.lane.run_once()
    assert rig.store.applied == [first]
    assert rig.source.committed == {0: 1}
    assert rig.health.beats == beats + 3
    assert rig.source.idles == idles + 3
    assert not rig.source.lost
    assert rig.lane.is_paused()

    rig.control.take(ReportHealthResponse())
    rig.lane.run_once()
    assert rig.store.applied == [first, second, third]
    assert not rig.lane.is_paused()


def test_its_health_says_who_paused_it_since_when_and_why() -> None:
    """In the file, to the monitor, and in one sentence; and nothing of it once it goes on."""
    rig = Rig()
    rig.lane.run_once()
    rig.control.take(_pausing())
    rig.lane.run_once()
    report = rig.health.report()
    assert (report.state, report.doing, report.cause) == (HealthState.DEGRADED, "is paused", _SENTENCE)
    assert report.partitions == (0, 1)
    assert from_message(to_message(report)) == PartReport.from_json(report.to_json()) == report

    rig.health.waiting("mongodb", "STORE_UNAVAILABLE", "it is away")
    rig.now_s += 4
    assert rig.health.report().cause.startswith(f"{_SENTENCE}; waits for mongodb since")

    rig.health.going_on("mongodb")
    rig.control.take(ReportHealthResponse())
    rig.lane.run_once()
    assert (rig.health.report().state, rig.health.report().pause) == (HealthState.HEALTHY, None)


def test_what_waits_for_its_user_waits_on_in_a_pause() -> None:
    """A paused lane writes nothing."""
    rig = Rig()
    rig.store.plans[7] = [None]
    waiting = rig.source.put(delete(7))
    rig.lane.run_once()
    rig.control.take(_pausing())
    rig.now_s += 1
    rig.lane.run_once()
    assert not rig.store.applied
    rig.control.take(ReportHealthResponse())
    rig.lane.run_once()
    assert rig.store.applied == [waiting]


def test_a_lane_that_starts_waits_a_while_to_hear_whether_it_is_paused() -> None:
    """For five seconds, or the first answer; without a monitor to hear of, not at all."""
    now_s = 100.0
    control = LaneControl(hears=True, clock_s=lambda: now_s)
    assert control.is_untold()
    control.take(_pausing())
    assert not control.is_untold()
    assert control.pause is not None

    alone = LaneControl(hears=True, clock_s=lambda: now_s)
    now_s += 5.5
    assert not alone.is_untold()
    assert not LaneControl(hears=False).is_untold()


def test_an_answer_with_an_impossible_time_changes_nothing() -> None:
    """No monitor of ours sends it."""
    control = LaneControl(hears=True)
    answer = _pausing()
    answer.pause.since_time.seconds = -5
    control.take(answer)
    assert control.pause is None


def test_the_monitor_remembers_who_paused_a_lane(tmp_path: Path) -> None:
    """Over its own restart, until it is resumed; other lanes are not touched."""
    controls = LaneControls(tmp_path, now_ms=lambda: _SINCE_MS)
    controls.pause(_LANE, "ana", "an index is made")
    again = LaneControls(tmp_path)
    assert again.pause_of(_LANE) == _pausing().pause
    assert again.pause_of("lane-redis") is None
    assert again.pause_of("gateway") is None
    again.resume(_LANE, "bia", "it is made")
    assert LaneControls(tmp_path).pause_of(_LANE) is None
    assert [control.lane for control in again.controls()] == ["lane-mongodb", "lane-postgresql", "lane-redis"]


@pytest.mark.parametrize(
    ("lane", "principal", "justification", "field"),
    [
        ("lane-oracle", "ana", "why", "lane"),
        (_LANE, " ", "why", "principal"),
        (_LANE, "ana", "", "justification"),
        (_LANE, "ana", "x" * 501, "justification"),
        (_LANE, "ana\x1b[2J", "why", "principal"),
        (_LANE, "ana", "asked by ana@example.com", "justification"),
        (_LANE, "ana", "for 123.456.789-09", "justification"),
    ],
)
def test_a_pause_names_a_lane_somebody_and_a_reason(
    tmp_path: Path, lane: str, principal: str, justification: str, field: str
) -> None:
    """And no personal data; else nothing is changed."""
    controls = LaneControls(tmp_path)
    with pytest.raises(PolystreamError) as refused:
        controls.pause(lane, principal, justification)
    assert [fault.field for fault in refused.value.faults] == [field]
    assert not any(tmp_path.iterdir())


def test_a_pause_that_cannot_be_written_down_is_refused(tmp_path: Path) -> None:
    """A restart would forget it."""
    controls = LaneControls(tmp_path / "file")
    (tmp_path / "file").write_text("")
    with pytest.raises(PolystreamError) as refused:
        controls.pause(_LANE, "ana", "why")
    assert refused.value.reason is Reason.NOT_KEPT
    assert controls.pause_of(_LANE) is None


def test_a_file_that_is_no_good_pauses_nothing(tmp_path: Path) -> None:
    """The monitor starts without it, and says so in its log."""
    (tmp_path / "lane_controls.json").write_text("{")
    assert LaneControls(tmp_path).pause_of(_LANE) is None
