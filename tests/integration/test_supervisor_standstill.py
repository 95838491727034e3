"""When a process that lives counts as one that stands still, and what never does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from mesh.health.part import PartHealth
from stack.supervisor.standstill import BEATS_MAX_STILL_S, SILENCE_MAX_S, UNTOLD_MAX_S, HealthFileWatch, SilenceWatch

_LOOK_S = 2.0


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return what moves the clock by which it is judged."""
    now_s = [1000.0]
    monkeypatch.setattr("stack.supervisor.standstill.time.monotonic", lambda: now_s[0])

    def move(by_s: float) -> None:
        now_s[0] += by_s

    return move


class _Part:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.health = PartHealth("lane-redis-0", "lane-redis")
        self.write()

    def write(self, pid: int | None = None) -> None:
        told = self.health.report().to_dict() | {"beats": self.health.beats, "pid": pid or os.getpid()}
        self.file.write_text(json.dumps(told))


def _look_for(watch: HealthFileWatch, seconds: float, pass_time: Callable[[float], None]) -> None:
    for _ in range(int(seconds / _LOOK_S)):
        pass_time(_LOOK_S)
        watch.look()


def test_a_part_whose_beats_stand_still_is_told_from_one_that_waits(
    tmp_path: Path, pass_time: Callable[[float], None]
) -> None:
    """The same beats for more than 30 s stand still; one that waits for its store, and beats, does not."""
    part = _Part(tmp_path / "lane.json")
    watch = HealthFileWatch(part.file, os.getpid())
    for _ in range(60):
        part.health.beat()
        part.write()
        _look_for(watch, _LOOK_S, pass_time)
    assert watch.still_s == 0.0
    _look_for(watch, BEATS_MAX_STILL_S + _LOOK_S, pass_time)
    assert watch.still_s > BEATS_MAX_STILL_S


def test_what_is_no_word_of_this_process_is_no_beat(tmp_path: Path, pass_time: Callable[[float], None]) -> None:
    """A file of the process before, however it changes, and none at all, are as good as silence."""
    part = _Part(tmp_path / "lane.json")
    watch, none = HealthFileWatch(part.file, os.getpid()), HealthFileWatch(tmp_path / "none", os.getpid())
    for _ in range(20):
        part.health.beat()
        part.write(pid=1)
        _look_for(watch, _LOOK_S, pass_time)
        none.look()
        assert watch.look() is None
    assert watch.still_s > BEATS_MAX_STILL_S
    assert none.still_s > BEATS_MAX_STILL_S


def test_nobody_is_judged_by_a_file_that_cannot_be_written(tmp_path: Path, pass_time: Callable[[float], None]) -> None:
    """Where this process can't write beside the file either, as on a full disk, its silence means nothing."""
    part = _Part(tmp_path / "lane.json")
    watch = HealthFileWatch(part.file, os.getpid())
    (tmp_path / f".writable.{os.getpid()}").mkdir()
    _look_for(watch, 10 * BEATS_MAX_STILL_S, pass_time)
    assert watch.still_s <= BEATS_MAX_STILL_S


@pytest.mark.parametrize(("is_full", "words"), [(True, "full or read-only"), (False, "it has said nothing")])
def test_a_file_that_is_not_written_any_more_is_not_believed(
    tmp_path: Path, pass_time: Callable[[float], None], *, is_full: bool, words: str
) -> None:
    """The last good word of a part stands in it on a full disk, and while the part is stopped."""
    part = _Part(tmp_path / "lane.json")
    watch = HealthFileWatch(part.file, os.getpid())
    for _ in range(10):
        part.write()
        _look_for(watch, _LOOK_S, pass_time)
        assert watch.silence() == ""
    if is_full:
        (tmp_path / f".writable.{os.getpid()}").mkdir()
    _look_for(watch, 2 * UNTOLD_MAX_S, pass_time)
    assert words in watch.silence()
    part.write()
    _look_for(watch, _LOOK_S, pass_time)
    assert watch.silence() == ""


def test_a_watcher_that_was_stopped_itself_blames_nobody(tmp_path: Path, pass_time: Callable[[float], None]) -> None:
    """An hour between two looks counts for a few seconds."""
    part = _Part(tmp_path / "lane.json")
    watch = HealthFileWatch(part.file, os.getpid())
    watch.look()
    pass_time(3600)
    watch.look()
    assert watch.still_s < BEATS_MAX_STILL_S


@pytest.fixture
def process() -> Iterator[psutil.Popen]:
    """Return a process that does as it is told: it computes while it has the word, and else waits."""
    code = "import sys\nfor line in sys.stdin:\n    sum(range(40_000_000))\n    print(flush=True)"
    child = psutil.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield child
    child.kill()
    child.communicate()


def test_an_engine_that_is_busy_is_not_silent(process: psutil.Popen, pass_time: Callable[[float], None]) -> None:
    """One that does not answer and computes is left alone; one that does nothing either is not; an answer ends it."""
    watch = SilenceWatch(process.pid)
    for _ in range(int(SILENCE_MAX_S / _LOOK_S) + 1):
        pass_time(_LOOK_S)
        watch.note(answers=False)
    assert watch.silent_s > SILENCE_MAX_S
    process.stdin.write("\n")
    process.stdin.flush()
    process.stdout.readline()
    pass_time(_LOOK_S)
    watch.note(answers=False)
    assert watch.silent_s == 0.0
    pass_time(_LOOK_S)
    watch.note(answers=False)
    assert watch.silent_s == _LOOK_S
    watch.note(answers=True)
    assert watch.silent_s == 0.0
