"""The supervisor, on one real engine and two small services."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from stack.supervisor.state import PlatformState, ProcessState, RunFolder, start_id_of
from tests.support.dummies import Dummy, dummies, polystream
from tests.support.freezing import frozen
from tests.support.ports import free_port_run
from tests.support.waiting import eventually


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Dummy]]:
    """Return what starts supervisors, which end with the test."""
    with dummies(tmp_path) as start_one:
        yield start_one


def test_everything_is_ready_before_it_says_so(start: Callable[..., Dummy]) -> None:
    """`ready` comes after engines, provisioning and services, and all of them answer then."""
    dummy = start()
    endpoints = dummy.until("ready")["endpoints"]
    assert [event["name"] for event in dummy.events if event["event"] == "phase"] == ["engines", "services"]
    with redis.Redis.from_url(endpoints["redis"]) as client:
        assert client.ping()
    assert (dummy.data_dir / "working").exists()
    assert (dummy.data_dir / "provisioned").read_text() == "provisioned\n"
    assert dummy.state().status == "ready"


def test_the_state_is_for_its_owner_alone(start: Callable[..., Dummy]) -> None:
    """What has credentials in it, nobody else can read."""
    dummy = start()
    dummy.until("ready")
    run = dummy.data_dir / "run"
    assert run.stat().st_mode & 0o777 == 0o700
    assert (run / "state.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["web", "redis"])
def test_a_part_that_dies_is_started_again(start: Callable[..., Dummy], name: str) -> None:
    """A SIGKILL is noticed, shown and mended, and the platform is ready again."""
    dummy = start()
    dummy.until("ready")
    killed = dummy.part(name).pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    def mended() -> bool:
        part = dummy.part(name)
        return part.status == "ready" and part.pid not in {None, killed} and dummy.state().status == "ready"

    eventually(mended, 30)
    assert dummy.part(name).restarts == 1
    assert dummy.part(name).last_exit == -signal.SIGKILL
    dummy.stop()
    shown = [event for event in dummy.events if event.get("name") == name and event["status"] == "restarting"]
    assert [event["detail"] for event in shown] == ["ended by SIGKILL"]


def test_a_hung_part_is_shown(start: Callable[..., Dummy]) -> None:
    """A process that lives and does not answer is `unhealthy`, and the platform `degraded`, until it answers."""
    dummy = start()
    dummy.until("ready")
    pid = dummy.part("web").pid or 0
    with frozen(pid):
        eventually(lambda: dummy.part("web").status == "unhealthy" and dummy.state().status == "degraded", 20)
    eventually(lambda: dummy.part("web").status == "ready" and dummy.state().status == "ready", 20)


def test_it_stops_services_before_engines(start: Callable[..., Dummy]) -> None:
    """SIGTERM stops stage after stage, engines last, and each service may finish its work."""
    dummy = start()
    dummy.until("ready")
    pids = [process.pid for process in dummy.state().processes]
    assert dummy.stop() == 0
    stopped = [event["name"] for event in dummy.events if event.get("status") == "stopped"]
    assert stopped == ["web", "worker", "redis"]
    assert (dummy.data_dir / "drained").exists()
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    assert dummy.state().status == "stopped"


def test_a_part_that_does_not_stop_is_killed(start: Callable[..., Dummy]) -> None:
    """A process that ignores SIGTERM is killed when its time is up."""
    dummy = start("stubborn")
    dummy.until("ready")
    assert dummy.stop() == 0
    assert dummy.part("worker").last_exit == -signal.SIGKILL


def test_down_tells_whom_it_waits_for(start: Callable[..., Dummy]) -> None:
    """Somebody who waits for several seconds hears what for."""
    dummy = start("detached", "stubborn", "patient")
    dummy.until("ready")
    told = polystream("down", "--data-dir", str(dummy.data_dir))
    assert told.returncode == 0
    assert "waiting for worker to stop" in told.stderr
    assert dummy.exit_code() == 0


def test_it_stops_when_its_starter_is_gone(start: Callable[..., Dummy]) -> None:
    """A supervisor that is not detached stops by itself when its standard input is closed."""
    dummy = start()
    dummy.until("ready")
    assert dummy.process.stdin is not None
    dummy.process.stdin.close()
    assert dummy.exit_code() == 0
    assert dummy.events[-1] == {"event": "stopped"}


def test_it_outlives_its_starter_when_detached(start: Callable[..., Dummy]) -> None:
    """A detached supervisor goes on though nobody reads its events."""
    dummy = start("detached")
    dummy.until("ready")
    assert dummy.process.stdout is not None
    dummy.process.stdout.close()
    os.kill(dummy.part("web").pid or 0, signal.SIGKILL)
    eventually(lambda: dummy.part("web").restarts == 1 and dummy.part("web").status == "ready", 30)
    assert dummy.stop() == 0


def test_no_child_outlives_a_killed_supervisor(start: Callable[..., Dummy]) -> None:
    """A SIGKILL of the supervisor ends every process that it had started."""
    dummy = start()
    dummy.until("ready")
    children = dummy.state().processes
    dummy.process.kill()
    eventually(lambda: not any(child.is_alive() for child in children), 30)


def test_a_start_after_a_kill_finds_its_data(start: Callable[..., Dummy]) -> None:
    """The next start on the data folder of a killed supervisor works, on what was written before."""
    first = start()
    url = first.until("ready")["endpoints"]["redis"]
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
    first.process.kill()
    assert first.exit_code() == -signal.SIGKILL
    second = start()
    url = second.until("ready")["endpoints"]["redis"]
    with redis.Redis.from_url(url) as client:
        assert client.get("kept") == b"yes"


def test_stale_processes_are_ended_by_identity(start: Callable[..., Dummy], tmp_path: Path) -> None:
    """What an earlier run left is ended; a process that merely has the same ID now is not."""
    sleeper = [sys.executable, "-c", "import signal; signal.pause()"]
    left, stranger = subprocess.Popen(sleeper), subprocess.Popen(sleeper)
    try:
        processes = [
            ProcessState("left", "service", "ready", left.pid, start_id_of(left.pid)),
            ProcessState("stranger", "service", "ready", stranger.pid, "another start"),
        ]
        folder = RunFolder(tmp_path)
        folder.make()
        folder.write(PlatformState(1, "", "dummy", 0, processes=processes))
        dummy = start()
        assert "ended what an earlier run had left: left" in dummy.until("note")["message"]
        dummy.until("ready")
        assert left.wait(5) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        left.kill()
        stranger.kill()
        left.wait()
        stranger.wait()


def test_a_second_start_is_refused(start: Callable[..., Dummy]) -> None:
    """A data folder takes one supervisor; the second says who the first is, and leaves it alone."""
    first = start()
    first.until("ready")
    second = start()
    message = second.until("failed")["message"]
    assert f"already running on {first.data_dir} (pid {first.process.pid})" in message
    assert second.exit_code() == 1
    assert first.state().status == "ready"


def test_a_taken_port_stops_it_before_anything_starts(start: Callable[..., Dummy]) -> None:
    """A port that somebody has is named with its user and a remedy, and nothing is started."""
    port = free_port_run(2)
    with socket.create_server(("127.0.0.1", port)):
        dummy = start(first_port=port)
        message = dummy.until("failed")["message"]
        assert dummy.exit_code() == 1
    assert f"{port} (redis) is in use by" in message
    assert f"(pid {os.getpid()})" in message
    assert "--port-offset" in message
    assert [event["event"] for event in dummy.events] == ["failed"]
    assert not (dummy.data_dir / "redis").exists()


def test_a_service_that_ends_at_its_start_is_told_with_its_log(start: Callable[..., Dummy]) -> None:
    """The start fails with what the process wrote last, and everything else is stopped again."""
    dummy = start("broken")
    message = dummy.until("failed")["message"]
    assert "worker ended at its start, at last with 1" in message
    assert "the worker has no work" in message
    assert dummy.exit_code() == 1
    assert not any(process.is_alive() for process in dummy.state().processes)


def test_a_service_that_never_gets_ready_is_told(start: Callable[..., Dummy]) -> None:
    """The wait for readiness is bounded."""
    dummy = start("silent")
    assert "worker is not ready after 1 s" in dummy.until("failed")["message"]
    assert dummy.exit_code() == 1


def test_a_data_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The message has the folder and the remedy."""
    (tmp_path / "file").touch()
    dummy = Dummy(tmp_path / "file" / "data")
    message = dummy.until("failed")["message"]
    assert f"{tmp_path}/file/data can't be written" in message
    assert "--data-dir" in message
    assert dummy.exit_code() == 1


def test_status_and_down(start: Callable[..., Dummy]) -> None:
    """`status` shows a running platform with all of its keys, `down` stops it, `status` says so."""
    dummy = start("detached")
    dummy.until("ready")
    options = ("--data-dir", str(dummy.data_dir))
    shown = polystream("status", "--json", *options)
    report = json.loads(shown.stdout)
    assert shown.returncode == 0
    assert report["status"] == "ready"
    assert list(report["endpoints"]) == [
        *("rest", "grpc", "edge", "dashboard", "docs", "kafka", "schema_registry"),
        *("postgresql", "mongodb", "redis", "opensearch", "otlp", "jaeger"),
    ]
    assert report["endpoints"]["kafka"] is None
    assert {process["name"]: process["pid"] for process in report["processes"]} == {
        process.name: process.pid for process in dummy.state().processes
    }
    assert all(process["memory_bytes"] > 1_000_000 for process in report["processes"])
    assert "redis" in polystream("status", *options).stdout

    assert polystream("down", *options).stdout.startswith("stopped in")
    assert dummy.exit_code() == 0
    stopped = polystream("status", "--json", *options)
    assert (stopped.returncode, json.loads(stopped.stdout)["status"]) == (3, "stopped")
    assert "nothing is running" in polystream("down", *options).stdout
