"""`python -m stack.health`: what a container's health command says of a part that writes a health file."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from mesh.health.part import PartHealth
from stack import health
from tests.support.platform import CHECKOUT
from tests.support.waiting import eventually


class Writer:
    """A real report, written to a file as often as a part that goes its rounds writes it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.now_s = 0.0
        self.health = PartHealth("lane-redis-0", "lane-redis", clock_s=lambda: self.now_s)
        self.pid: int | None = None
        self._stop = Event()
        self._thread = Thread(target=self._go_rounds)

    def write(self) -> None:
        """Write the report as it is."""
        told = self.health.report().to_dict() | {"beats": self.health.beats}
        beside = self.file.with_suffix(".new")
        beside.write_text(json.dumps(told | ({} if self.pid is None else {"pid": self.pid})))
        beside.replace(self.file)

    def go_rounds(self) -> None:
        """Beat, and write, until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End that."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _go_rounds(self) -> None:
        while not self._stop.wait(0.05):
            self.health.beat()
            self.write()


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """Return one whose part is ready."""
    writer = Writer(tmp_path / "lane.json")
    writer.health.ready()
    writer.write()
    yield writer
    writer.stop()


def test_a_lane_that_goes_its_rounds_is_well(writer: Writer) -> None:
    """Both commands end with 0, and say nothing."""
    writer.go_rounds()
    for kind in ("lane", "progress"):
        argv = [sys.executable, "-m", "stack.health", kind, str(writer.file)]
        result = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False)
        assert (result.returncode, result.stderr) == (0, "")


def test_a_lane_whose_store_is_down_is_not_well_and_makes_progress(writer: Writer) -> None:
    """`lane` tells the cause; `progress` lets whoever would kill it leave it alone."""
    writer.health.waiting("redis", "STORE_UNAVAILABLE", "the connection is refused")
    writer.now_s = 10.0
    writer.go_rounds()
    eventually(lambda: json.loads(writer.file.read_text())["state"] == "DEGRADED", 10)
    with pytest.raises(health.SickError, match=r"lane-redis-0 is DEGRADED: waits for redis since .*is refused"):
        health.check_lane(str(writer.file))
    health.check_progress(str(writer.file))


def test_one_that_stands_still_is_neither(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same beats for as long as a part may take for one round: both say so, whatever the file's time is."""
    monkeypatch.setattr(health, "_BEATS_MAX_STILL_S", 0.3)
    os.utime(writer.file, (2**31, 2**31))
    for check in (health.check_lane, health.check_progress):
        with pytest.raises(health.SickError, match="lane-redis-0 has stood still for"):
            check(str(writer.file))


def test_a_file_that_says_nothing_of_a_living_process_is_told(writer: Writer, tmp_path: Path) -> None:
    """One of a process that has died, one that is not there, and one that is something else."""
    died = subprocess.Popen([sys.executable, "-c", ""])
    died.wait()
    writer.pid = died.pid
    writer.write()
    other = tmp_path / "other.json"
    other.write_text('{"partitions": [0], "pid": "1"}')
    for check in (health.check_lane, health.check_progress):
        with pytest.raises(health.SickError, match=f"process {died.pid}, which wrote .* has died"):
            check(str(writer.file))
        with pytest.raises(health.SickError, match="is not there"):
            check(str(tmp_path / "none.json"))
        with pytest.raises(health.SickError, match="is no health file"):
            check(str(other))
