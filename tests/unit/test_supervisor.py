"""What of the supervisor needs no process."""

import json
import os
from pathlib import Path

import pytest

from mesh.backoff import Backoff
from stack.engines import process as processes
from stack.supervisor.events import EventPipe
from stack.supervisor.state import PlatformState, ProcessState, RunFolder, for_display
from stack.supervisor.supervised_process import pause_after


def test_backoff_doubles_up_to_its_limit_and_forgets() -> None:
    """0.1 s, doubled with every early death, 5 s at the most, and 0.1 s again after ten seconds of life."""
    backoff = Backoff(0.1, 5.0)
    assert [pause_after(0.5, backoff) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause_after(9.9, backoff) == 5.0
    assert pause_after(10.0, backoff) == 0.1
    assert pause_after(0.0, backoff) == 0.2


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://user:secret@127.0.0.1:5432/db?sslmode=prefer", "postgresql://user@127.0.0.1:5432/db"),
        ("mongodb://127.0.0.1:27017/db?password=secret", "mongodb://127.0.0.1:27017/db"),
        ("redis://:secret@127.0.0.1:6379/0", "redis://@127.0.0.1:6379/0"),
        ("127.0.0.1:9092", "127.0.0.1:9092"),
        (None, None),
    ],
)
def test_addresses_are_shown_without_secrets(url: str | None, shown: str | None) -> None:
    """What a person sees of an address has neither password nor query."""
    assert for_display(url) == shown


def test_the_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Another process reads what the supervisor wrote; what is none of it is no state."""
    folder = RunFolder(tmp_path)
    assert folder.read() is None
    folder.make()
    state = PlatformState(1, "2", "embedded", 3, processes=[ProcessState("redis", "engine", "ready", 4, "5")])
    folder.write(state)
    assert folder.read() == state
    file = tmp_path / "run" / "state.json"
    for wrong in ({"port_offset": "3"}, {"port_offset": True}, {"engines": None}, {"endpoints": {"rest": 8000}}):
        file.write_text(json.dumps(json.loads(state.to_json()) | wrong))
        assert folder.read() is None, wrong
    file.write_text('{"of": "another version"}')
    assert folder.read() is None
    file.unlink()
    os.mkfifo(file)  # whoever reads it would wait for somebody who writes
    assert folder.read() is None


def test_events_arrive_whole_and_in_order() -> None:
    """Each event is one line of JSON."""
    read, write = os.pipe()
    pipe = EventPipe(write)
    events = [{"event": "note", "message": "x" * 5000}, {"event": "stopped"}]
    for event in events:
        pipe.send(event)
    os.close(write)
    with os.fdopen(read) as lines:
        assert [json.loads(line) for line in lines] == events


def test_a_reader_that_is_gone_stops_nothing() -> None:
    """Events to a closed pipe are dropped."""
    read, write = os.pipe()
    os.close(read)
    pipe = EventPipe(write)
    pipe.send({"event": "note"})
    pipe.send({"event": "note"})
    os.close(write)


def test_a_reader_that_hangs_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that stays full is given up after a bounded wait."""
    monkeypatch.setattr("stack.supervisor.events._WRITE_TIMEOUT_S", 0.05)
    read, write = os.pipe()
    pipe = EventPipe(write)
    for _ in range(10):
        pipe.send({"event": "note", "message": "x" * 20_000})
    os.close(read)
    os.close(write)


def test_logs_stay_bounded(tmp_path: Path) -> None:
    """A log that has grown large is put aside: by renaming before a start, by copying while it is written."""
    log, aside = tmp_path / "part.log", tmp_path / "part.log.1"
    log.write_text("old\n" * 10)
    processes.rotate(log, limit_bytes=100)
    processes.shorten(log, limit_bytes=100)
    assert not aside.exists()
    processes.rotate(log, limit_bytes=10)
    assert not log.exists()
    assert aside.read_text() == "old\n" * 10

    with log.open("ab", buffering=0) as writer:
        writer.write(b"new\n" * 10)
        processes.shorten(log, limit_bytes=10)
        assert aside.read_text() == "new\n" * 10
        writer.write(b"last\n")
    assert log.read_text() == "last\n"


def test_the_tail_of_a_log_is_bounded(tmp_path: Path) -> None:
    """Only the last lines are told, and of them only the last bytes; no log is no text."""
    log = tmp_path / "part.log"
    assert processes.tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert processes.tail(log, lines=2) == "line 99998\nline 99999"
    assert len(processes.tail(log, lines=10_000, max_bytes=100)) <= 100
