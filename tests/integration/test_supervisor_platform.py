"""The whole platform by its command line: started, looked at, stopped, started again, by root and by others."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from stack.ports import Ports
from tests.support.ordinary_user import OrdinaryUser, folder_for_everybody
from tests.support.platform import CHECKOUT, Platform
from tests.support.ports import free_offset
from tests.support.waiting import eventually

ENGINES = {"postgresql", "mongodb", "redis", "kafka", "schema_registry"}
SERVICES = {"gateway-0", "lane-postgresql-0", "lane-mongodb-0", "lane-redis-0", "monitor"}


def _polystream(*arguments: str, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=timeout_s, check=False)


def test_it_starts_detached_shows_itself_and_stops(tmp_path: Path) -> None:
    """`up --detach` returns when all is ready; `status` has every part and address; a second `up` is refused."""
    options = ("--data-dir", str(tmp_path))
    offset = free_offset()
    up = ("up", "--detach", "--no-browser", *options, "--port-offset", str(offset), "--gateways", "1")
    started = _polystream(*up)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        assert "ready in" in started.stdout
        report = json.loads(_polystream("status", "--json", *options).stdout)
        assert report["status"] == "ready"
        assert {process["name"] for process in report["processes"]} == ENGINES | SERVICES
        assert all(process["status"] == "ready" and process["memory_bytes"] for process in report["processes"])
        ports = Ports().shifted(offset)
        assert report["endpoints"] | {"postgresql": ""} == {
            "rest": f"http://127.0.0.1:{ports.rest}",
            "grpc": f"127.0.0.1:{ports.gateway}",
            "edge": None,
            "dashboard": f"http://127.0.0.1:{ports.dashboard}",
            "docs": f"http://127.0.0.1:{ports.rest}/docs",
            "kafka": f"127.0.0.1:{ports.kafka}",
            "schema_registry": f"http://127.0.0.1:{ports.schema_registry}",
            "postgresql": "",
            "mongodb": f"mongodb://127.0.0.1:{ports.mongodb}/streaming_db",
            "redis": f"redis://127.0.0.1:{ports.redis}/0",
            "opensearch": None,
            "otlp": f"http://127.0.0.1:{ports.otlp}",
            "jaeger": None,
        }
        assert report["endpoints"]["postgresql"].startswith(
            f"postgresql://user:password@127.0.0.1:{ports.postgresql}/streaming_db"
        )
        refused = _polystream(*up)
        assert refused.returncode == 1
        assert "already running" in refused.stderr
    finally:
        stopped = _polystream("down", *options)
    assert stopped.stdout.startswith("stopped in")
    assert not any(psutil.pid_exists(process["pid"]) for process in report["processes"])


def test_gateways_share_their_ports_behind_an_edge(tmp_path: Path) -> None:
    """Each port is every gateway's: while one is killed, the others and the edge answer, and it comes back."""
    options, offset = ("--data-dir", str(tmp_path)), free_offset()
    up = ("up", "--detach", "--no-browser", *options, "--port-offset", str(offset), "--gateways", "3", "--edge")
    started = _polystream(*up)
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        report = json.loads(_polystream("status", "--json", *options).stdout)
        gateways = {f"gateway-{index}" for index in range(3)}
        pids = {process["name"]: process["pid"] for process in report["processes"]}
        assert gateways | {"envoy"} <= pids.keys()
        ports = Ports().shifted(offset)
        doors = [report["endpoints"][name] for name in ("rest", "edge")]
        assert doors == [f"http://127.0.0.1:{port}" for port in (ports.rest, ports.edge)]
        for name in gateways:
            listening = psutil.Process(pids[name]).net_connections("tcp")
            own = {connection.laddr.port for connection in listening if connection.status == psutil.CONN_LISTEN}
            assert {ports.rest, ports.gateway} <= own
        os.kill(pids["gateway-1"], signal.SIGKILL)
        psutil.wait_procs([psutil.Process(pids["gateway-1"])] if psutil.pid_exists(pids["gateway-1"]) else [], 10)
        for door in doors * 10:
            assert httpx.post(f"{door}/usuarios", timeout=10).status_code == 200

        def is_back() -> bool:
            parts = json.loads(_polystream("status", "--json", *options).stdout)["processes"]
            back = next(part for part in parts if part["name"] == "gateway-1")
            return bool(back["status"] == "ready" and back["pid"] != pids["gateway-1"])

        eventually(is_back, 60)
    finally:
        stopped = _polystream("down", *options)
    assert stopped.stdout.startswith("stopped in")


@pytest.mark.timeout(240)
def test_a_stop_loses_nothing_and_a_kill_leaves_nothing(tmp_path: Path) -> None:
    """What was accepted up to Ctrl-C is in the store after the next start; killing `up` ends all of that one, too."""
    platform = Platform(tmp_path, engine_set="embedded")  # the supervisor does the same for each set
    platform.start()
    pids = _pids(platform)
    lane = psutil.Process(platform.pid("lane-postgresql-0"))
    lane.suspend()  # so that everything is still to be done when it is stopped
    accepted = _create_users(platform.endpoints["rest"], 50)
    assert platform._up is not None
    platform._up.send_signal(signal.SIGINT)
    eventually(lambda: re.search(r"gateway-0 +stopped", platform.output), 30)
    lane.resume()
    assert platform._up.wait(60) == 0
    assert re.search(r"^stopped$", platform.output, re.MULTILINE)
    assert not any(psutil.pid_exists(pid) for pid in pids)

    platform.start()
    with psycopg.connect(platform.endpoints["postgresql"], autocommit=True) as connection:

        def stored() -> set[int]:
            return {row[0] for row in connection.execute("SELECT user_id FROM usuarios")}

        eventually(lambda: accepted <= stored(), 60)  # the lane goes on with what it had not read
    supervisor, pids = psutil.Process(platform.state.pid), _pids(platform)
    platform._up.kill()
    platform._up.wait()
    eventually(lambda: not supervisor.is_running(), 60)
    assert not any(psutil.pid_exists(pid) for pid in pids)


def _pids(platform: Platform) -> list[int]:
    """Return the process IDs of all parts."""
    pids = [process.pid for process in platform.state.processes]
    assert pids
    return [pid for pid in pids if pid is not None]


def _create_users(rest: str, count: int) -> set[int]:
    """Create users as fast as they are accepted, and return their IDs."""
    with httpx.Client(base_url=rest, timeout=20) as client, ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda _: client.post("/usuarios").raise_for_status().json(), range(count))
        return {int(answer["user_id"]) for answer in answers}


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    """The message names the port, who has it, and a remedy."""
    offset = free_offset()
    with socket.create_server(("127.0.0.1", Ports().shifted(offset).redis)) as server:
        port = server.getsockname()[1]
        result = _polystream("up", "--no-browser", "--data-dir", str(tmp_path), "--port-offset", str(offset))
    assert result.returncode == 1
    assert f"{port} (redis) is in use by" in result.stderr
    assert f"(pid {os.getpid()})" in result.stderr
    assert "--port-offset" in result.stderr


def test_wrong_settings_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An offset that leaves no valid ports, and a malformed variable, end the start with their names."""
    up = ("up", "--no-browser", "--data-dir", str(tmp_path))
    result = _polystream(*up, "--port-offset", "60000")
    assert result.returncode == 2
    assert "--port-offset: '60000' is no whole number from 0 to" in result.stderr
    monkeypatch.setenv("POSTGRES_CONNECT_TIMEOUT_S", "soon")
    result = _polystream(*up, "--port-offset", str(free_offset()))
    assert result.returncode == 1
    assert "POSTGRES_CONNECT_TIMEOUT_S, in the environment, is 'soon'" in result.stderr


def test_an_ordinary_user_starts_it() -> None:
    """Without any privilege, in a home of its own, the same command starts and stops the same platform."""
    with folder_for_everybody() as home:
        _start_and_stop_as(OrdinaryUser(home), home / "data")


def _start_and_stop_as(user: OrdinaryUser, data_dir: Path) -> None:
    up = ["-m", "cli", "up", "--no-browser", "--data-dir", str(data_dir), "--port-offset", str(free_offset())]
    with user.popen(up) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "ready in" in line:
                break
        try:
            assert "ready in" in lines[-1], "".join(lines)
            report = json.loads(_polystream("status", "--json", "--data-dir", str(data_dir)).stdout)
            assert {psutil.Process(part["pid"]).uids().real for part in report["processes"]} == {user.uid}
        finally:
            process.send_signal(signal.SIGINT)
            process.stdout.read()
            assert process.wait(60) == 0
