"""A supervisor whose disk, files and folder fail, and what others see of it meanwhile."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stack.supervisor.finding import find_state
from stack.supervisor.state import PlatformState, ProcessState, RunFolder, start_id_of
from tests.support.dummies import Dummy, dummies, polystream
from tests.support.freezing import frozen
from tests.support.waiting import eventually

_BACK_S = 30
_DISK_BYTES = 8 * 1024 * 1024


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dummy]]:
    """Return what starts supervisors, which end with the test."""
    with dummies(tmp_path) as start_one:
        yield start_one


def _found(dummy: Dummy) -> PlatformState:
    state = find_state(RunFolder(dummy.data_dir))
    assert state is not None
    return state


def _found_part(dummy: Dummy, name: str) -> ProcessState:
    return next(process for process in _found(dummy).processes if process.name == name)


def _kill(dummy: Dummy, name: str) -> int:
    """Kill a part, and return the process ID that it had."""
    pid = _found_part(dummy, name).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def _is_back(dummy: Dummy, name: str, before: int) -> bool:
    part = _found_part(dummy, name)
    return part.status == "ready" and part.pid != before and _found(dummy).status == "ready"


def _status(data_dir: Path) -> tuple[int, dict[str, Any]]:
    shown = polystream("status", "--json", "--data-dir", str(data_dir))
    return shown.returncode, json.loads(shown.stdout)


def _spoil_state(data_dir: Path) -> None:
    (data_dir / "run" / "state.tmp").mkdir()


def _spoil_logs(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "logs")
    (data_dir / "logs").touch()


def _remove_run_folder(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "run")


@pytest.mark.parametrize("harm", [_spoil_state, _spoil_logs, _remove_run_folder], ids=["state", "logs", "folder"])
def test_a_part_is_restarted_whatever_cannot_be_written(
    start: Callable[..., Dummy], harm: Callable[[Path], None]
) -> None:
    """No state, no logs, and no folder of its own: a part that is killed comes back, twice, and `status` is true."""
    dummy = start()
    dummy.until("ready")
    harm(dummy.data_dir)
    eventually(lambda: _found(dummy).status == "ready", _BACK_S)
    for _ in range(2):
        before = _kill(dummy, "web")
        eventually(lambda before=before: _is_back(dummy, "web", before), _BACK_S)  # type: ignore[misc]
    assert _found_part(dummy, "web").restarts == 2
    assert _status(dummy.data_dir)[0] == 0
    assert dummy.stop() == 0


def test_a_state_that_could_not_be_written_is_written_again(start: Callable[..., Dummy]) -> None:
    """It is told once that it can't be, and the file is true again a moment after it can be."""
    dummy = start()
    dummy.until("ready")
    _spoil_state(dummy.data_dir)
    before = _kill(dummy, "web")
    eventually(lambda: _is_back(dummy, "web", before), _BACK_S)
    assert dummy.part("web").pid == before
    (dummy.data_dir / "run" / "state.tmp").rmdir()
    eventually(lambda: dummy.part("web").pid not in {None, before}, _BACK_S)
    dummy.stop()
    notes = [event["message"] for event in dummy.events if event["event"] == "note"]
    assert [note.partition(":")[0] for note in notes] == ["the state can't be written", "the state is written again"]


def test_a_part_that_cannot_be_started_is_tried_until_it_can_be(start: Callable[..., Dummy]) -> None:
    """A folder that can't be prepared keeps it down, with the cause in `status`, and no longer than that."""
    dummy = start()
    dummy.until("ready")
    before = _kill(dummy, "redis")
    folder = dummy.data_dir / "redis"
    aside = folder.rename(dummy.data_dir / "aside")
    folder.touch()

    def told() -> bool:
        part = _found_part(dummy, "redis")
        return part.status == "restarting" and "redis can't be started" in part.detail

    eventually(told, _BACK_S)
    code, report = _status(dummy.data_dir)
    assert (code, report["status"]) == (1, "degraded")
    assert "redis is restarting: redis can't be started" in report["detail"]
    folder.unlink()
    aside.rename(folder)
    eventually(lambda: _is_back(dummy, "redis", before), _BACK_S)


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk takes root, who may mount one")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    filling = folder / "filling"
    with filling.open("wb", buffering=0) as file:
        for size in (65_536, 4096, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filling


@pytest.mark.parametrize(
    "killed", [("web",), ("worker", "redis")], ids=["a service", "one that writes, and the engine"]
)
def test_a_full_disk_ends_nothing_for_good(tmp_path: Path, killed: tuple[str, ...]) -> None:
    """What is killed while the data folder is full comes back once there is room; `status` is true meanwhile."""
    data_dir = tmp_path / "data"
    with _small_disk(data_dir), dummies(data_dir) as start:
        dummy = start("telling")
        dummy.until("ready")
        filling = _fill(data_dir)
        before = {name: _kill(dummy, name) for name in killed}
        for name, pid in before.items():
            eventually(lambda name=name, pid=pid: _found_part(dummy, name).pid != pid, _BACK_S)  # type: ignore[misc]
        code, report = _status(data_dir)
        parts = {part["name"]: part for part in report["processes"]}
        assert code == (0 if all(part["status"] == "ready" for part in report["processes"]) else 1)
        assert all(parts[name]["restarts"] == 1 for name in killed)
        assert all(parts[name]["pid"] != pid for name, pid in before.items())
        filling.unlink()
        for name, pid in before.items():
            eventually(lambda name=name, pid=pid: _is_back(dummy, name, pid), 60)  # type: ignore[misc]
        assert _status(data_dir)[0] == 0
        assert dummy.stop() == 0


def test_a_service_that_says_it_waits_degrades_the_platform(start: Callable[..., Dummy]) -> None:
    """`status` has the cause and ends with 1, while the process lives on; and is well again afterwards."""
    dummy = start("telling")
    dummy.until("ready")
    (dummy.data_dir / "held").touch()
    eventually(lambda: _found(dummy).status == "degraded", 10)
    code, report = _status(dummy.data_dir)
    assert (code, report["status"]) == (1, "degraded")
    worker = next(part for part in report["processes"] if part["name"] == "worker")
    assert (worker["status"], worker["restarts"]) == ("degraded", 0)
    assert "waits for redis since" in worker["detail"]
    assert "the connection is refused" in report["detail"]
    assert "the connection is refused" in polystream("status", "--data-dir", str(dummy.data_dir)).stdout
    (dummy.data_dir / "held").unlink()
    eventually(lambda: _found(dummy).status == "ready", 10)
    assert _found(dummy).detail == ""


def test_a_service_that_stands_still_is_started_again(start: Callable[..., Dummy]) -> None:
    """One that lives and goes no more rounds is killed after half a minute, and the cause is shown."""
    dummy = start("telling")
    dummy.until("ready")
    pid = _found_part(dummy, "worker").pid
    (dummy.data_dir / "stuck").touch()
    eventually(lambda: _is_back(dummy, "worker", pid or 0), 90)
    assert _found_part(dummy, "worker").last_cause == "stood still for 30 s, and was killed"
    shown = polystream("status", "--data-dir", str(dummy.data_dir)).stdout
    assert "worker was started again, at last since it stood still for 30 s" in shown


def test_status_believes_no_file_of_a_supervisor_that_does_not_answer(start: Callable[..., Dummy]) -> None:
    """It lives and hangs: that is what `status` says, with 1, and not what it wrote last."""
    dummy = start()
    dummy.until("ready")
    with frozen(dummy.process.pid):
        code, report = _status(dummy.data_dir)
    assert (code, report["status"]) == (1, "unknown")
    assert f"the supervisor (pid {dummy.process.pid}) does not answer" in report["detail"]
    assert _status(dummy.data_dir)[0] == 0


def test_down_ends_a_supervisor_that_was_stopped(start: Callable[..., Dummy]) -> None:
    """It says at once that nobody answers, and has it go on, so that it ends in order."""
    dummy = start()
    dummy.until("ready")
    os.kill(dummy.process.pid, signal.SIGSTOP)
    stopped = polystream("down", "--data-dir", str(dummy.data_dir))
    assert f"the supervisor (pid {dummy.process.pid}) does not answer: it is asked to stop" in stopped.stderr
    assert (stopped.returncode, stopped.stdout[:10]) == (0, "stopped in")
    assert dummy.exit_code() == 0


def _no_state(data_dir: Path) -> None:
    (data_dir / "run" / "state.json").unlink()


def _state_of_another_version(data_dir: Path) -> None:
    (data_dir / "run" / "state.json").write_text('{"pid": 1, "start_time": 1.0, "processes": [], "of": "another"}')


def _state_of_somebody_else(data_dir: Path) -> None:
    state = PlatformState(os.getpid(), start_id_of(os.getpid()) or "", "dummy", 0, status="ready")
    RunFolder(data_dir).write(state)


@pytest.mark.parametrize(
    "spoil",
    [_no_state, _state_of_another_version, _state_of_somebody_else],
    ids=["none", "another version", "a stranger"],
)
def test_the_lock_says_what_runs_whatever_the_state_says(
    start: Callable[..., Dummy], spoil: Callable[[Path], None]
) -> None:
    """`status` and `down` find the supervisor that lives, and nobody else, whatever stands in the file."""
    dummy = start("detached")
    dummy.until("ready")
    spoil(dummy.data_dir)
    code, report = _status(dummy.data_dir)
    assert (code, report["supervisor"]["pid"]) == (0, dummy.process.pid)
    stopped = polystream("down", "--data-dir", str(dummy.data_dir))
    assert (stopped.returncode, stopped.stdout[:10]) == (0, "stopped in"), stopped.stderr
    assert dummy.exit_code() == 0


def test_a_state_of_a_dead_supervisor_stops_nobody(tmp_path: Path) -> None:
    """The lock is free: a process that has the number by now, as it stands in the file, is left alone."""
    folder = RunFolder(tmp_path)
    folder.make()
    folder.lock().close()
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as stranger:
        try:
            folder.write(PlatformState(stranger.pid, start_id_of(stranger.pid) or "", "dummy", 0, status="ready"))
            assert _status(tmp_path)[0] == 3
            assert "nothing is running" in polystream("down", "--data-dir", str(tmp_path)).stdout
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_down_and_status_are_right_while_it_builds(start: Callable[..., Dummy]) -> None:
    """Before there is a plan, `status` says that it starts, with 1; `down` ends it, and it does not come up later."""
    dummy = start("detached", "building")
    eventually(lambda: _status(dummy.data_dir)[1]["status"] == "starting", _BACK_S)
    code, report = _status(dummy.data_dir)
    assert (code, report["detail"]) == (1, "makes ready for its start")
    stopped = polystream("down", "--data-dir", str(dummy.data_dir))
    assert (stopped.returncode, stopped.stdout[:10]) == (0, "stopped in"), stopped.stderr
    assert dummy.exit_code() == 0
    (dummy.data_dir / "built").touch()
    assert _status(dummy.data_dir)[0] == 3
    assert [event["event"] for event in dummy.events] == ["stopped"]


def test_down_is_right_while_its_parts_start(start: Callable[..., Dummy]) -> None:
    """A part that is not ready yet: `status` says that it starts, and `down` leaves nothing of it."""
    dummy = start("detached", "silent")
    dummy.until("phase")  # the engines; the worker will not be ready
    assert _status(dummy.data_dir)[1]["status"] in {"starting", "failed", "stopped"}
    stopped = polystream("down", "--data-dir", str(dummy.data_dir))
    assert stopped.returncode == 0, stopped.stderr
    dummy.exit_code()
    assert not any(process.is_alive() for process in dummy.state().processes)
    assert _status(dummy.data_dir)[0] == 3


def test_down_is_right_before_the_supervisor_has_begun(tmp_path: Path) -> None:
    """`up` has the lock before there is a supervisor: `down` waits for that one, and stops it."""
    options = ("--data-dir", str(tmp_path))
    up = subprocess.Popen(
        [sys.executable, "-m", "cli", "up", "--no-browser", *options, "--engines", "embedded"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    folder = RunFolder(tmp_path)
    eventually(folder.holder, _BACK_S, interval_s=0)
    stopped = polystream("down", *options)
    output, _ = up.communicate(timeout=_BACK_S)
    assert (stopped.returncode, stopped.stdout[:10]) == (0, "stopped in"), stopped.stderr
    assert "ready in" not in output
    assert _status(tmp_path)[0] == 3
    state = folder.read()
    assert state is None or not any(process.is_alive() for process in state.processes)


@pytest.mark.parametrize("how", ["down", "signal"])
def test_a_stop_that_leaves_something_for_the_next_start_says_so(start: Callable[..., Dummy], how: str) -> None:
    """It is told by `down` and by `up` alike, and is no failure: it is kept."""
    dummy = start("unsettled", *(["detached"] if how == "down" else []))
    dummy.until("ready")
    left = "2 commands go on at the next start: one, two"
    if how == "down":
        stopped = polystream("down", "--data-dir", str(dummy.data_dir))
        assert (stopped.returncode, f"\n{left}\n" in stopped.stdout) == (0, True)
        assert dummy.exit_code() == 0
    else:
        assert dummy.stop() == 0
    assert dummy.events[-1] == {"event": "stopped", "message": left}
