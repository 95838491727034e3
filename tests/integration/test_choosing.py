"""Which platform a command is for, where several run: none is stopped, or asked, that was not meant."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from cli import choosing
from cli.__main__ import main
from stack.supervisor.register import user_register
from tests.support.dummies import Dummy
from tests.support.platform import CHECKOUT
from tests.support.waiting import eventually

_TIMEOUT_S: Final = 15.0
Start = Callable[..., Dummy]
Said = tuple[int, str, str]  # exit code, standard output, standard error


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return what starts platforms, by a name and an offset, that nobody else runs beside."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(choosing, "default_data_dir", lambda: tmp_path / "here")
    started: list[Dummy] = []

    def start_one(name: str, offset: int) -> Dummy:
        folder = tmp_path / name
        folder.mkdir()
        started.append(Dummy(folder, f"offset={offset}"))
        started[-1].until("ready")
        return started[-1]

    try:
        yield start_one
    finally:
        for dummy in started:
            dummy.stop()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Return what runs a command here, and tells its exit code and what it wrote."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


def test_status_tells_what_runs_elsewhere(start: Start, say: Callable[..., Said], tmp_path: Path) -> None:
    """With nothing in the checkout's folder, by the option that leads there; where a folder is named, that alone."""
    dummy = start("a", 300)
    code, out, _ = say("status")
    assert code == 3
    assert "stopped: nothing runs on" in out.splitlines()[0]
    assert "one runs elsewhere, reached with --port-offset 300; `up` starts one here" in out.splitlines()[0]
    rows = [line.split() for line in out.splitlines()]
    assert ["--port-offset", "300", "dummy", "ready", str(dummy.data_dir)] in rows
    code, out, _ = say("status", "--json")
    elsewhere = {
        "data_dir": str(dummy.data_dir),
        "port_offset": 300,
        "engines": "dummy",
        "status": "ready",
        "supervisor_pid": dummy.process.pid,
    }
    assert (code, json.loads(out)["elsewhere"]) == (3, [elsewhere])
    assert str(dummy.data_dir) not in say("status", "--data-dir", str(tmp_path / "here"))[1]


def test_an_offset_leads_to_the_platform(start: Start, say: Callable[..., Said]) -> None:
    """And one that nobody has, to what there is."""
    start("a", 300)
    start("b", 400)
    code, out, _ = say("status", "--port-offset", "400", "--json")
    assert (code, json.loads(out)["status"]) == (0, "ready")
    for command in (("status",), ("down",), ("restart", "web"), ("dlq", "list"), ("integrity", "check"), ("open",)):
        code, out, err = say(*command, "--port-offset", "500")
        assert code in {1, 2}
        assert out == ""
        assert "no platform of yours runs with --port-offset 500. What runs: --port-offset 300" in err, command
        assert len(err.splitlines()) == 1
    assert say("restart", "worker", "--port-offset", "400")[0] == 0
    assert "not allowed with" in say("status", "--port-offset", "400", "--data-dir", "x")[2]


def test_down_stops_what_is_named_and_nothing_else(start: Start, say: Callable[..., Said]) -> None:
    """Also where one alone runs: it may be somebody else's work. Then it says which, and how to stop it."""
    first = start("a", 300)
    code, out, _ = say("down")
    assert code == 0
    assert f"What runs: --port-offset 300 (dummy, ready, on {first.data_dir})" in out
    assert first.process.poll() is None
    second = start("b", 400)
    code, out, err = say("down", "--port-offset", "400")
    assert (code, err) == (0, "")
    assert "stopped in" in out
    assert second.exit_code() == 0
    assert first.process.poll() is None
    code, _, err = say("restart", "worker")
    assert code == 2
    assert "no platform runs on" in err
    assert "--port-offset 300" in err


def test_two_at_one_offset_are_told_apart(start: Start, say: Callable[..., Said]) -> None:
    """By their folders: one of them may be about to fail, and neither is stopped."""
    dummies = start("a", 300), start("b", 300)
    code, _, err = say("down", "--port-offset", "300")
    assert code == 1
    for dummy in dummies:
        assert f"--data-dir {dummy.data_dir}" in err
        assert dummy.process.poll() is None
    assert f"--data-dir {dummies[0].data_dir} (dummy, ready" in say("down")[1]


def test_what_only_reads_takes_the_only_one(start: Start, say: Callable[..., Said]) -> None:
    """It says which. Where several run, it asks which."""
    dummy = start("a", 300)
    code, _, err = say("open", "--print")
    assert code == 2
    assert err.splitlines() == [
        f"(the platform on {dummy.data_dir}, the only one that runs)",
        "this platform has no dashboard; it has ",
    ]
    code, out, err = say("top", "--once", "--json", "--interval", "1")
    assert (code, err) == (0, f"(the platform on {dummy.data_dir}, the only one that runs)\n")
    figures = json.loads(out)
    assert [(part["part"], part["status"]) for part in figures["parts"]] == [
        ("redis", "ready"),
        ("web", "ready"),
        ("worker", "ready"),
    ]
    assert all(part["memory_bytes"] > 0 and part["cpu_percent"] >= 0 for part in figures["parts"])
    assert "OTEL_METRICS_EXPORTER" in figures["note"]
    start("b", 400)
    code, out, err = say("open", "--print")
    assert (code, out) == (2, "")
    assert "nothing runs on" in err
    assert "--port-offset 300" in err
    assert "--port-offset 400" in err


def test_one_that_was_killed_misleads_nobody(start: Start, say: Callable[..., Said]) -> None:
    """Its entry goes when somebody looks. That of one that runs comes back where somebody has removed it."""
    dead, living = start("a", 300), start("b", 400)
    register = user_register()
    assert register is not None
    register.forget(living.data_dir)
    eventually(lambda: register.has(living.data_dir), _TIMEOUT_S)
    dead.process.send_signal(signal.SIGKILL)
    dead.process.wait(_TIMEOUT_S)
    assert register.has(dead.data_dir)
    code, _, err = say("status", "--port-offset", "300")
    assert code == 1
    assert "no platform of yours runs with --port-offset 300" in err
    assert register.data_dirs() == (living.data_dir.resolve(),)
    living.stop()
    assert register.data_dirs() == ()


def test_an_entry_decides_no_offset(start: Start, say: Callable[..., Said]) -> None:
    """On which ports it runs, a platform says itself; where it is silent, its state does. No other is stopped."""
    dummy = start("a", 300)
    register = user_register()
    assert register is not None
    (entry,) = register.folder.glob("*.json")
    forged = {"data_dir": str(dummy.data_dir), "port_offset": 7, "engines": "\x1b]0;pwn\x07"}
    entry.write_text(json.dumps(forged))
    for command in ("status", "down"):
        code, out, err = say(command, "--port-offset", "7")
        assert (code, out) == (1, "")
        assert f"What runs: --port-offset 300 (dummy, ready, on {dummy.data_dir})" in err
    assert dummy.process.poll() is None
    dummy.process.send_signal(signal.SIGSTOP)
    try:
        assert "no platform of yours runs with --port-offset 7. " in say("down", "--port-offset", "7")[2]
        assert "--port-offset 300 (dummy, unknown, on " in say("down")[1]
        (dummy.data_dir / "run" / "state.json").write_text(json.dumps(forged))
        assert f"--data-dir {dummy.data_dir} (engines unknown, unknown, on" in say("down", "--port-offset", "300")[2]
    finally:
        dummy.process.send_signal(signal.SIGCONT)
    assert dummy.process.poll() is None


def test_what_is_no_entry_hides_no_platform_and_breaks_no_command(start: Start, say: Callable[..., Said]) -> None:
    """Stale ones, invented ones and malformed ones go, however many they are; pipes and folders are passed over."""
    dummy = start("a", 300)
    register = user_register()
    assert register is not None
    (living,) = register.folder.glob("*.json")
    for number in range(200):
        register.keep(Path(f"/nowhere/{number}"))
        (register.folder / f"invented-{number}.json").write_text(json.dumps({"data_dir": "/nowhere/\0\ud800"}))
    os.mkfifo(register.folder / "00.json")
    (register.folder / "000.json").mkdir()
    code, out, err = say("status", "--port-offset", "300", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["status"] == "ready"
    left = {path.name for path in register.folder.glob("*.json")}
    assert left == {living.name, "00.json", "000.json"}
    assert dummy.process.poll() is None


def test_no_terminal_gets_an_order_from_the_name_of_a_folder(start: Start, say: Callable[..., Said]) -> None:
    """Wherever a sentence names the data folder of what runs; the option that leads there is as a shell takes it."""
    start("a b\x1b]0;pwn\x07", 300)
    commands = (
        ("status",),
        ("down",),
        ("restart", "web"),
        ("open", "--print"),
        ("status", "--port-offset", "7"),
        ("down", "--port-offset", "7"),
    )
    for command in commands:
        _, out, err = say(*command)
        assert "a b\\x1b]0;pwn\\x07" in out + err, command
        assert not {"\x1b", "\x07"} & set(out + err), command
    start("c d", 300)
    assert "c d' (dummy, ready, on " in say("down")[1]


def test_top_leaves_the_terminal_as_it_was(start: Start) -> None:
    """On a terminal it goes on until somebody presses q, shows colours only where they are wanted, and cleans up."""
    dummy = start("a", 300)
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "cli", "top", "--interval", "1", "--data-dir", str(dummy.data_dir)]
    environment = os.environ | {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80", "LINES": "40"}
    with subprocess.Popen(command, cwd=CHECKOUT, stdin=its, stdout=its, stderr=its, env=environment) as top:
        os.close(its)
        try:
            shown = b""
            while b"worker" not in shown:
                shown += os.read(ours, 65_536)
            os.write(ours, b"q")
            assert top.wait(_TIMEOUT_S) == 0
            os.set_blocking(ours, False)
            try:
                while more := os.read(ours, 65_536):
                    shown += more
            except OSError:  # all of it has been read
                pass
        finally:
            top.kill()
            os.close(ours)
    assert shown.startswith(b"\x1b[?1049h")  # another screen than the shell's
    assert shown.endswith(b"\x1b[?1049l")
    assert b"\x1b[32m" not in shown
    assert all(len(line) <= 80 for line in shown.decode().split("\r\n") if "\x1b" not in line)


def test_top_ends_with_the_platform(start: Start) -> None:
    """Piped, it writes no order to a terminal, and says why it ends."""
    dummy = start("a", 300)
    command = [sys.executable, "-m", "cli", "top", "--interval", "1", "--data-dir", str(dummy.data_dir)]
    with subprocess.Popen(
        command, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as top:
        assert top.stdout is not None
        assert top.stderr is not None
        lines = [top.stdout.readline()]
        assert lines[0].startswith("ready  dummy, over the last ")
        dummy.stop()
        lines += top.stdout.readlines()
        assert top.wait(_TIMEOUT_S) == 3
        assert top.stderr.read() == f"the platform on {dummy.data_dir} has stopped\n"
    assert "\x1b" not in "".join(lines)
    assert all(len(line) <= 81 for line in lines)
