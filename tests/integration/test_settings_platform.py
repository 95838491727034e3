"""A platform with odd names in its settings, started and asked by people whose shells have variables for other things.

One for all tests here: its marks are kept for a minute, so that a command which went by other settings than the
platform's own would take what it finds for lost.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
import redis

from cli.running import find_platform
from mesh.settings_base import setting_names
from stack.supervisor.state import PlatformState
from tests.support.ambient import AMBIENT
from tests.support.platform import CHECKOUT
from tests.support.ports import free_offset
from tests.support.waiting import eventually

_PAYMENTS = 10
_START_TIMEOUT_S = 120.0
_TIMEOUT_S = 30.0
_ENV_FILE = """\
POSTGRES_DB="a/b?c d%20e"
POSTGRES_USER="u:s@e/r?#%"
POSTGRES_PASSWORD='p:/@?#% "&='
LANE_MARKER_TTL_S=60
REDIS_HOST=elsewhere
"""
# What another folder's `.env`, or the shell, would have a command believe.
_OTHERS = {
    "LANE_MARKER_TTL_S": "604800",
    "POSTGRES_PORT": "9",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
    "SCHEMA_REGISTRY_URL": "http://127.0.0.1:9",
    "MONGODB_URL": "mongodb://127.0.0.1:9/nothing",
    "REDIS_URL": "redis://127.0.0.1:9/0",
}
# Beside their settings: the engines' own, and what makes a process's standard streams UTF-8.
_OWN_NAMES = {"RUST_LOG", "PYTHONUTF8", "LC_CTYPE"}
_BASE_NAMES = {"PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH"}


class _Running:
    """The platform, and its commands as somebody in another folder calls them."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"
        self.elsewhere = folder / "elsewhere"
        self.env_file = folder / "settings.env"
        self.elsewhere.mkdir()
        self.env_file.write_text(_ENV_FILE)
        (self.elsewhere / ".env").write_text("".join(f"{name}={value}\n" for name, value in _OTHERS.items()))

    def polystream(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a command in the other folder, in an environment with everybody's variables."""
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments, "--data-dir", str(self.data_dir)],
            cwd=self.elsewhere,
            env=os.environ | AMBIENT | {"PYTHONPATH": str(CHECKOUT)} | variables,
            capture_output=True,
            text=True,
            timeout=_START_TIMEOUT_S,
            check=False,
        )

    @property
    def state(self) -> PlatformState:
        """What the supervisor has written."""
        state = find_platform(self.data_dir)
        assert state is not None
        return state

    def endpoint(self, name: str) -> str:
        """Return the address of a part."""
        return str(self.state.endpoints[name])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Running]:
    """Start the platform by `up`."""
    made = _Running(tmp_path_factory.mktemp("settings"))
    up = ("up", "--detach", "--no-browser", "--gateways", "1", "--edge", "--port-offset", str(free_offset()))
    started = made.polystream(*up, POLYSTREAM_ENV_FILE=str(made.env_file))
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        assert f"line 5 of {made.env_file} sets REDIS_HOST, which is no setting here" in started.stdout
        yield made
    finally:
        stopped = made.polystream("down")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stderr == ""


def _finish(running: _Running, correlation_ids: list[str]) -> None:
    with httpx.Client(base_url=running.endpoint("rest"), trust_env=False) as client:
        for correlation_id in correlation_ids:
            done = client.post(f"/v1/operations/{correlation_id}:wait", timeout=_TIMEOUT_S).raise_for_status().json()
            assert done["state"] == "SUCCEEDED", done


def _send(running: _Running, path: str, body: dict[str, object]) -> str:
    answer = httpx.post(running.endpoint("rest") + path, json=body, timeout=10, trust_env=False).raise_for_status()
    return str(answer.json()["correlation_id"])


def test_every_process_has_its_own_variables_alone(running: _Running) -> None:
    """Engines, services, edge and supervisor: no proxy, no certificate, nothing of libpq's, Java's or the linker's."""
    known = setting_names() | _OWN_NAMES | _BASE_NAMES
    engines = {"postgresql", "mongodb", "redis", "kafka", "envoy"}
    for part in running.state.processes:
        environment = psutil.Process(part.pid).environ()
        assert environment.keys() & AMBIENT.keys() == set(), part.name
        assert environment.keys() - known == set(), part.name
        if part.name in engines:
            settings = {name for name in environment if name in setting_names() and not name.startswith("EDGE_")}
            assert settings == set(), part.name


def test_odd_names_hold_in_every_store(running: _Running) -> None:
    """Each address that `status` shows leads there, and what goes in at the door is in the stores."""
    user = _send(running, "/v1/users", {"name": "A B", "email": "a@example.com", "cpf": "529.982.247-25"})
    session = _send(running, "/v1/sessions", {"user_id": "1234", "device": "TV"})
    _finish(running, [user, session])
    with psycopg.connect(running.endpoint("postgresql")) as connection:
        row = connection.execute("SELECT current_database(), current_user").fetchone()
    assert row == ("a/b?c d%20e", "u:s@e/r?#%")
    shown = running.polystream("status").stdout
    assert "postgresql://u%3As%40e%2Fr%3F%23%25@" in shown
    assert "%26" not in shown  # of the password


@pytest.mark.parametrize("command", ["check", "repair"])
def test_integrity_goes_by_the_platforms_own_memory(running: _Running, command: str) -> None:
    """Payments whose marks are forgotten are not taken for lost, whatever another folder's `.env` says."""
    paid = [
        _send(
            running,
            "/v1/users/1234/payments",
            {"amount": {"currency_code": "BRL", "units": "29", "nanos": 900000000}, "method": "PIX"},
        )
        for _ in range(_PAYMENTS)
    ]
    _finish(running, paid)
    with psycopg.connect(running.endpoint("postgresql")) as connection:
        before = connection.execute("SELECT count(*) FROM pagamentos").fetchone()
        # As tidying does when their time is over.
        connection.execute("DELETE FROM inbox WHERE correlation_id = ANY(%s)", (paid,))
    done = running.polystream("integrity", command, "--json", **_OTHERS)
    # By its own memory there is nothing left to compare: that is no success of a check, and a repair has nothing to do.
    assert done.returncode == (1 if command == "check" else 0), done.stdout + done.stderr
    told = json.loads(done.stdout)
    assert told["problem"].startswith("nothing to compare with") if command == "check" else told["sent_again"] == []
    with psycopg.connect(running.endpoint("postgresql")) as connection:
        assert connection.execute("SELECT count(*) FROM pagamentos").fetchone() == before


def test_dead_letters_are_those_of_the_platform(running: _Running) -> None:
    """`dlq` reads its Kafka, not the one that the shell names."""
    listed = running.polystream("dlq", "list", "--json", **_OTHERS)
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["letters"] == []


def test_a_story_is_asked_for_directly(running: _Running) -> None:
    """`explain` reaches the gateway without a proxy, and says in one sentence what is wrong with what it was given."""
    command = _send(running, "/historico-visualizacao?user_id=1234&conteudo_id=5678", {})
    _finish(running, [command])
    eventually(lambda: running.polystream("explain", command, **_OTHERS).returncode == 0, _TIMEOUT_S)
    unknown = running.polystream("explain", "019a1b2c-3d4e-7f50-8123-456789abcdef")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    assert "correlation_id: there is no operation with this correlation ID" in unknown.stderr


def test_a_service_that_comes_back_has_the_settings_of_the_start(running: _Running) -> None:
    """What the file says by now holds at the next `up`."""
    running.env_file.write_text(_ENV_FILE.replace("=60", "=5"))
    lane = next(part for part in running.state.processes if part.name == "lane-redis-0")
    assert lane.pid is not None
    os.kill(lane.pid, signal.SIGKILL)

    def came_back() -> int | None:
        now = next(part for part in running.state.processes if part.name == lane.name)
        return now.pid if now.status == "ready" and now.pid != lane.pid else None

    pid = eventually(came_back, _TIMEOUT_S)
    assert psutil.Process(pid).environ()["LANE_MARKER_TTL_S"] == "60"
    assert running.state.environment["LANE_MARKER_TTL_S"] == "60"


def test_the_marks_are_kept_as_long_as_was_said(running: _Running) -> None:
    """The lane goes by the file that was named."""
    stored = _send(running, "/v1/sessions", {"user_id": "1234", "device": "TV"})
    _finish(running, [stored])
    with redis.Redis.from_url(running.endpoint("redis")) as client:
        assert 0 < client.ttl(f"comando:{stored}") <= 60
