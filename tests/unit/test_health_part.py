"""A part's health: what degrades it, after how long, since when, and how its report travels."""

import json
import os
import threading
from pathlib import Path

import pytest
from polystream.monitor.v1.part_health_pb2 import PartHealth as PartHealthMessage

from mesh.health.file import HealthFile
from mesh.health.messages import from_message, to_message
from mesh.health.part import STALL_MAX_S, WAIT_GRACE_S, PartHealth
from mesh.health.report import MAX_REPORT_BYTES, HealthState, Lag, PartReport, Wait, read_file
from mesh.threads import CriticalThreads
from tests.support.waiting import eventually

_START_MS = 1_700_000_000_000


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.s = 100.0

    def now_ms(self) -> int:
        """Return the time of day."""
        return _START_MS + int(self.s * 1000)


@pytest.fixture
def clock() -> Clock:
    """Return a clock."""
    return Clock()


@pytest.fixture
def health(clock: Clock) -> PartHealth:
    """Return the health of a part that works."""
    made = PartHealth("lane-redis-0", "lane-redis", clock_s=lambda: clock.s, now_ms=clock.now_ms)
    made.ready()
    return made


def test_a_part_is_unhealthy_until_it_is_ready_and_says_what_its_start_waits_for(clock: Clock) -> None:
    """The start's wait is over with the start: what is still missing then gets its three seconds anew."""
    health = PartHealth("lane-redis-0", "lane-redis", clock_s=lambda: clock.s, now_ms=clock.now_ms)
    assert health.report().state is HealthState.UNHEALTHY
    assert health.report().cause == "starts since 2023-11-14 22:15:00 UTC"
    health.waiting("schema_registry", "REGISTRY_UNAVAILABLE", "it does not answer")
    assert "waits for schema_registry since 2023-11-14 22:15:00 UTC (it does not answer)" in health.report().cause
    clock.s += 60
    health.ready()
    assert health.report().state is HealthState.HEALTHY
    clock.s += WAIT_GRACE_S + 0.1
    assert health.report().state is HealthState.DEGRADED


def test_a_wait_degrades_a_part_after_three_seconds_and_until_it_ends(health: PartHealth, clock: Clock) -> None:
    """Told again, it keeps its beginning and takes the newer detail."""
    health.waiting("redis", "STORE_UNAVAILABLE", "ConnectionError")
    assert (health.report().state, health.report().cause) == (HealthState.HEALTHY, "")
    clock.s += WAIT_GRACE_S + 0.1
    health.waiting("redis", "STORE_UNAVAILABLE", "ReadOnlyError")
    report = health.report()
    began_ms = _START_MS + 100_000
    assert (report.state, report.since_ms) == (HealthState.DEGRADED, began_ms)
    assert report.waits == (Wait("redis", "STORE_UNAVAILABLE", "ReadOnlyError", began_ms),)
    health.going_on("redis")
    report = health.report()
    assert (report.state, report.since_ms, report.waits) == (HealthState.HEALTHY, clock.now_ms(), ())


def test_a_call_that_is_not_answered_is_a_wait_while_it_hangs(health: PartHealth, clock: Clock) -> None:
    """An error that ends it begins where it began; one that is answered leaves nothing."""
    with health.calling("postgresql"):
        clock.s += WAIT_GRACE_S + 0.1
        report = health.report()
        assert report.state is HealthState.DEGRADED
        assert [(wait.dependency, wait.reason) for wait in report.waits] == [("postgresql", "STORE_UNAVAILABLE")]
        health.waiting("postgresql", "STORE_UNAVAILABLE", "LockNotAvailable")
    assert health.report().state is HealthState.DEGRADED
    assert health.report().since_ms == _START_MS + 100_000
    health.going_on("postgresql")
    with health.calling("kafka", "receipts are not acknowledged yet"):
        clock.s += WAIT_GRACE_S + 0.1
        assert health.report().waits[0].detail == "receipts are not acknowledged yet"
    answered_ms = clock.now_ms()
    clock.s += 60
    with health.calling("kafka"):
        clock.s += WAIT_GRACE_S - 0.1
    assert health.report().state is HealthState.HEALTHY
    assert health.report().since_ms == pytest.approx(answered_ms, abs=1)


def test_work_that_is_not_finished_degrades_a_part_that_waits_for_nothing(health: PartHealth, clock: Clock) -> None:
    """Whatever holds it up."""
    health.doing("applies commands")
    health.working()
    clock.s += STALL_MAX_S + 0.1
    report = health.report()
    assert (report.state, report.since_ms) == (HealthState.DEGRADED, _START_MS + 100_000)
    assert report.cause.startswith("applies commands, and has finished nothing since ")
    health.finished()
    assert (health.report().state, health.report().since_ms) == (HealthState.HEALTHY, clock.now_ms())


def test_beats_grow_with_the_loop_and_in_a_call_for_two_minutes_only(health: PartHealth, clock: Clock) -> None:
    """What hangs for longer is no progress, and beats never go back."""
    health.beat()
    before = health.beats
    with health.calling("mongodb"):
        clock.s += 60
        assert health.beats == before + 60
        clock.s += 120
        at_bound = health.beats
        clock.s += 120
        assert health.beats == at_bound == before + 120
    assert health.beats == at_bound


def test_a_change_wakes_who_waits_for_one(health: PartHealth) -> None:
    """A reader that is told of every change loses none that came in between."""
    seen = health.wait_for_change(0, 10)
    woken = threading.Event()

    def wait() -> None:
        health.wait_for_change(seen, 30)
        woken.set()

    threading.Thread(target=wait, daemon=True).start()
    health.waiting("kafka", "KAFKA_UNAVAILABLE")
    assert woken.wait(10)
    assert health.wait_for_change(seen, 0) > seen


def test_a_report_comes_back_as_it_was_by_json_and_by_message(health: PartHealth) -> None:
    """With its waits, its lag and its counts."""
    health.waiting("kafka", "KAFKA_UNAVAILABLE", "no broker is reached")
    health.lag(12, 3400)
    health.count("set_apart", 2)
    report = health.report()
    assert report.lag == Lag(12, 3400)
    assert report.counts == {"set_apart": 2}
    assert PartReport.from_json(report.to_json()) == report
    assert from_message(to_message(report)) == report


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 10_000,
        '{"state": "FINE"}',
        '{"state": "HEALTHY", "pid": -1}',
        '{"state": "HEALTHY", "since_ms": 1e30}',
        '{"state": "HEALTHY", "since_ms": 99999999999999999}',
        '{"state": "HEALTHY", "waits": [1]}',
        '{"state": "HEALTHY", "waits": ' + str([{}] * 17) + "}",
        '{"state": "HEALTHY", "counts": {"a": true}}',
        '{"state": "HEALTHY", "name": 7}',
        '{"state": "HEALTHY", "name": "' + "x" * MAX_REPORT_BYTES + '"}',
    ],
    ids=range(13),
)
def test_what_is_no_report_is_refused(text: str) -> None:
    """By one kind of error, whatever it is."""
    with pytest.raises(ValueError):  # noqa: PT011 - its text is for people
        PartReport.from_json(text)


def test_a_message_without_a_state_or_with_a_time_out_of_range_is_refused() -> None:
    """Anybody may send one."""
    with pytest.raises(ValueError, match="no state"):
        from_message(PartHealthMessage(name="x"))
    late = PartHealthMessage(name="x", state=1)  # type: ignore[arg-type] # as it travels
    late.since_time.seconds = -5
    with pytest.raises(ValueError, match="1970"):
        from_message(late)


def test_texts_are_cut_and_hold_nothing_that_a_terminal_takes_for_an_order() -> None:
    """They come from anybody, and are printed."""
    report = PartReport.from_json(json.dumps({"state": "HEALTHY", "name": "a\x1b[2Jb\n" + "c" * 1000}))
    assert report.name.startswith("a\N{REPLACEMENT CHARACTER}[2Jb\N{REPLACEMENT CHARACTER}ccc")
    assert len(report.name) == 500


def test_the_file_tells_the_report_and_the_beats_until_the_part_stops(tmp_path: Path) -> None:
    """From the first moment on, and soon after a change; nothing is beside it, and nothing is left."""
    path, threads, health = tmp_path / "part.json", CriticalThreads(), PartHealth("monitor", "monitor")
    path.write_text("of one that was killed")
    file = HealthFile(str(path), health, threads)
    assert not path.exists()
    file.add(lambda: {"partitions": [1, 4]})
    file.start()
    eventually(path.exists, 10)
    assert read_file(path).report.state is HealthState.UNHEALTHY
    health.ready()
    health.beat()
    eventually(lambda: read_file(path).report.state is HealthState.HEALTHY and read_file(path).beats == 1, 10)
    assert json.loads(path.read_text())["partitions"] == [1, 4]
    assert read_file(path).report.pid == os.getpid()
    assert list(tmp_path.iterdir()) == [path]
    file.stop()
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_another_process_stays(tmp_path: Path) -> None:
    """One that was started in this one's place has written its own; what cannot be read is nobody's."""
    path = tmp_path / "part.json"
    for text in ('{"pid": 1}', "", "[]"):
        file = HealthFile(str(path), PartHealth("a", "b"), CriticalThreads())
        path.write_text(text)
        file.stop()
        assert path.read_text() == text


def test_a_disk_that_takes_nothing_ends_no_thread(tmp_path: Path) -> None:
    """The file is written again as soon as that is possible."""
    folder, threads = tmp_path / "full", CriticalThreads()
    folder.write_text("in the place of the folder")
    health = PartHealth("monitor", "monitor")
    file = HealthFile(str(folder / "part.json"), health, threads)
    file.start()
    health.ready()
    folder.unlink()
    folder.mkdir()
    eventually((folder / "part.json").exists, 10)
    assert threads.all_alive
    file.stop()


def test_without_a_path_there_is_no_file_and_no_thread(tmp_path: Path) -> None:
    """Nothing is written, and stopping it is harmless."""
    file = HealthFile("", PartHealth("a", "b"), CriticalThreads())
    file.start()
    file.stop()
    assert list(tmp_path.iterdir()) == []
