"""`up --compose`, `status`, `explain` and `down`, with a stand-in for the container engine."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from cli.compose_ports import USUAL_PORTS, variable_of
from tests.support.platform import CHECKOUT
from tests.support.ports import free_port_run

_STAND_IN: Final = """#!{python}
import json, os, sys
arguments = sys.argv[1:]
with open({record!r}, "a") as record:
    record.write(json.dumps(arguments) + "\\n")
if "up" in arguments:
    ports = {{name: value for name, value in os.environ.items() if name.startswith("HOST_PORT_")}}
    json.dump(ports, open({record!r} + ".ports", "w"))
answers = json.load(open({answers!r}))
verb = next((word for word in arguments if word in answers), "")
answer = answers.get(verb, [0, ""])
if "up" in arguments:
    print("Container polystream-kafka-1  Healthy", flush=True)
sys.stdout.write(answer[1])
sys.exit(answer[0])
"""
_FILE: Final = str(CHECKOUT / "deploy" / "compose" / "compose.yaml")


def _part(service: str, state: str = "running", health: str = "healthy", code: int = 0) -> dict[str, Any]:
    return {"Service": service, "State": state, "Health": health, "ExitCode": code}


def _free_ports() -> dict[str, int]:
    """Return a free port for each part."""
    return dict(zip(USUAL_PORTS, count(free_port_run(len(USUAL_PORTS))), strict=False))


@dataclass
class Machine:
    """A machine whose PATH has nothing but the stand-in, and ports of its own."""

    folder: Path
    ports: dict[str, int] = field(default_factory=_free_ports)

    def install(self, program: str, **answers: tuple[int, str]) -> None:
        """Put an engine there that answers so to a word of its arguments: an exit code and what it writes."""
        (self.folder / "answers.json").write_text(json.dumps(answers))
        path = self.folder / "bin" / program
        path.parent.mkdir(exist_ok=True)
        record, told = str(self.folder / "record"), str(self.folder / "answers.json")
        path.write_text(_STAND_IN.format(python=sys.executable, record=record, answers=told))
        path.chmod(0o755)

    def polystream(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the command line."""
        environment = {name: value for name, value in os.environ.items() if name not in {"DISPLAY", "WAYLAND_DISPLAY"}}
        environment |= {variable_of(name): str(port) for name, port in self.ports.items()}
        command = [sys.executable, "-m", "cli", *arguments, "--data-dir", str(self.folder / "data")]
        return subprocess.run(
            command,
            cwd=CHECKOUT,
            env=environment | {"PATH": str(self.folder / "bin"), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def published(self, ports: Mapping[str, int]) -> bool:
        """Tell whether these are the ports that the engine was last given."""
        given = json.loads((self.folder / "record.ports").read_text())
        return bool(given == {variable_of(name): str(port) for name, port in ports.items()})

    @property
    def told(self) -> list[list[str]]:
        """What the engine was told so far."""
        record = self.folder / "record"
        return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Give a machine without any engine."""
    return Machine(tmp_path)


def test_up_starts_everything_and_says_where_it_is(machine: Machine) -> None:
    """Compose is told to start all and to wait; what it shows is shown; the addresses follow, and `down` stops it."""
    machine.install("docker")
    up = machine.polystream("up", "--engines", "external", "--compose", "--no-browser")
    assert up.returncode == 0, up.stderr
    assert ["compose", "--file", _FILE, "up", "--detach", "--wait", "--wait-timeout", "900"] in machine.told
    assert "polystream-kafka-1  Healthy" in up.stdout
    assert "ready in" in up.stdout
    ports = machine.ports
    for address in (f"http://127.0.0.1:{ports['rest']}/docs", f"http://127.0.0.1:{ports['dashboards']}"):
        assert address in up.stdout
    assert f" 127.0.0.1:{ports['kafka']} " in up.stdout
    assert "password" not in up.stdout
    down = machine.polystream("down")
    assert down.returncode == 0, down.stderr
    profiles = ["--profile", "opensearch", "--profile", "elasticsearch"]
    assert machine.told[-1] == ["compose", "--file", _FILE, *profiles, "down"]
    assert "down --volumes` removes it" in down.stdout
    assert "nothing is running" in machine.polystream("down").stdout


def test_compose_implies_external_engines(machine: Machine) -> None:
    """`up --compose` is enough."""
    machine.install("docker")
    assert machine.polystream("up", "--compose", "--no-browser", "--detach").returncode == 0


def test_every_port_that_is_taken_is_told_before_anything_starts(machine: Machine) -> None:
    """By its part, with who has it where that may be seen, and the offset that would do."""
    machine.install("docker")
    with ExitStack() as stack:
        for name in ("rest", "adminer"):
            server = stack.enter_context(socket.create_server(("127.0.0.1", machine.ports[name])))
            assert server.getsockname()[1] == machine.ports[name]
        up = machine.polystream("up", "--compose", "--no-browser")
        assert up.returncode == 1
        for name in ("rest", "adminer"):
            assert f"{machine.ports[name]} ({name}) is in use" in up.stderr
        assert "(kafka)" not in up.stderr
        assert "or start with --port-offset" in up.stderr
        assert not any("up" in told for told in machine.told)
        # Those of containers that run already are their own: a second `up` brings them up to date.
        parts = "\n".join(json.dumps(_part(service)) for service in ("gateway", "adminer"))
        machine.install("docker", ps=(0, parts))
        assert machine.polystream("up", "--compose", "--no-browser").returncode == 0


def test_an_offset_moves_every_port_of_a_second_platform(machine: Machine) -> None:
    """It is a project of its own, with volumes of its own; every command finds it by the offset too."""
    machine.install("docker")
    first = machine.ports
    # What is free as it is, is the port of each part once it is moved.
    machine.ports = {name: port - 7 for name, port in first.items()}
    up = machine.polystream("up", "--compose", "--no-browser", "--port-offset", "7")
    assert up.returncode == 0, up.stderr
    assert f"http://127.0.0.1:{first['dashboard']}" in up.stdout
    project = ["compose", "--project-name", "polystream-7", "--file", _FILE]
    assert [*project, "up", "--detach", "--wait", "--wait-timeout", "900"] in machine.told
    assert machine.published(first)
    status = json.loads(machine.polystream("status", "--json").stdout)
    assert status["status"] == "stopped"  # the stand-in has no containers
    again = machine.polystream("up", "--compose", "--no-browser")
    assert again.returncode == 1
    assert "already, with --port-offset 7: stop it with `down`" in again.stderr
    assert machine.polystream("down").returncode == 0
    assert machine.told[-1][:5] == project


def test_too_little_memory_is_told_before_anything_starts(machine: Machine) -> None:
    """An engine in a virtual machine often has 2 GB."""
    machine.install("docker", info=(0, f"{2 * 2**30}\n"))
    up = machine.polystream("up", "--compose", "--no-browser")
    assert up.returncode == 1
    assert "docker has 2.0 GiB of memory, and about 4 GiB are needed" in up.stderr
    assert not any("up" in told for told in machine.told)


@pytest.mark.parametrize("port", [-1, 0, 70_000])
def test_a_port_that_is_none_is_told(machine: Machine, port: int) -> None:
    """By its variable. Compose would say so in words of its own."""
    machine.install("docker")
    machine.ports["rest"] = port
    up = machine.polystream("up", "--compose", "--no-browser")
    assert up.returncode == 1
    assert f"HOST_PORT_REST is '{port}'" in up.stderr
    assert not any("up" in told for told in machine.told)


@pytest.mark.parametrize("options", [("--engines", "native"), ("--engines", "embedded"), ("--lanes", "2")])
def test_what_compose_has_of_its_own_is_refused(machine: Machine, options: Sequence[str]) -> None:
    """Other engines, and more lanes: exit code 2 and the reason, and nothing is started."""
    machine.install("docker")
    up = machine.polystream("up", "--compose", *options)
    assert up.returncode == 2
    assert f"leave {options[0]}" in up.stderr
    assert machine.told == []


def test_without_an_engine_it_says_what_to_install(machine: Machine) -> None:
    """Neither docker nor podman: exit code 1, both are named, and the way without containers."""
    up = machine.polystream("up", "--compose")
    assert up.returncode == 1
    for words in ("Docker Desktop", "podman", "https://docs.docker.com/engine/install/", "--engines native"):
        assert words in up.stderr.replace("\n", " ")


def test_docker_without_compose_is_told_apart(machine: Machine) -> None:
    """The plugin is named, by its package."""
    machine.install("docker", version=(1, ""))
    up = machine.polystream("up", "--compose")
    assert up.returncode == 1
    assert "docker-compose-plugin" in up.stderr.replace("\n", " ")


@pytest.mark.parametrize(("version", "code"), [("2.23.3\n", 1), ("v2.24.0\n", 0), ("5.0.1\n", 0)])
def test_a_compose_that_is_too_old_is_told(machine: Machine, version: str, code: int) -> None:
    """It would not read the file, and say so in its own words only."""
    machine.install("docker", version=(0, version))
    up = machine.polystream("up", "--compose", "--no-browser")
    assert up.returncode == code
    assert ("is too old: 2.24 or later" in up.stderr.replace("\n", " ")) == bool(code)


def test_an_engine_that_does_not_run_is_told_apart(machine: Machine) -> None:
    """It says how to start it."""
    machine.install("docker", info=(1, ""))
    up = machine.polystream("up", "--compose")
    assert up.returncode == 1
    assert "systemctl start docker" in up.stderr.replace("\n", " ")


def test_podman_will_do(machine: Machine) -> None:
    """Where there is no docker."""
    machine.install("podman")
    assert machine.polystream("up", "--compose", "--no-browser").returncode == 0
    marker = machine.folder / "data" / "run" / "compose.json"
    assert json.loads(marker.read_text())["engine"] == ["podman", "compose"]
    assert marker.stat().st_mode & 0o077 == 0  # it has a password


def test_a_part_that_does_not_come_up_is_named(machine: Machine) -> None:
    """Exit code 1, the parts that are not well with their state, and how to see the log. `down` works then."""
    parts = [
        _part("redis"),
        _part("kafka", health="unhealthy"),
        _part("migrate", "exited", "", 1),
        _part("provision", "exited", ""),
    ]
    machine.install("docker", up=(1, ""), ps=(0, "\n".join(map(json.dumps, parts))))
    up = machine.polystream("up", "--compose")
    said = up.stderr.replace("\n", " ")
    assert up.returncode == 1
    assert "kafka: unhealthy; migrate: ended with 1." in said
    assert "logs kafka" in said
    assert "redis" not in said
    assert machine.polystream("down").returncode == 0


def test_status_asks_the_containers(machine: Machine) -> None:
    """Ready where all are well and the tasks are done, in the form of every other platform's status."""
    parts = [_part("redis"), _part("provision", "exited", "")]
    for text in ("\n".join(map(json.dumps, parts)), json.dumps(parts)):  # as later and as earlier versions write it
        machine.install("docker", ps=(0, text))
        machine.polystream("up", "--compose", "--no-browser")
        done = machine.polystream("status", "--json")
        status = json.loads(done.stdout)
        assert done.returncode == 0
        assert (status["status"], status["engines"]) == ("ready", "external")
        assert {part["name"]: part["status"] for part in status["processes"]} == {"provision": "done", "redis": "ready"}
        assert status["endpoints"]["postgresql"] == (
            f"postgresql://user:password@127.0.0.1:{machine.ports['postgresql']}/streaming_db"
        )
    machine.install("docker", ps=(0, json.dumps([_part("redis", health="unhealthy")])))
    shown = machine.polystream("status")
    assert shown.returncode == 1
    assert "unhealthy" in shown.stdout


def test_explain_asks_the_gateway_of_the_containers(machine: Machine) -> None:
    """It finds its address; here nothing answers there."""
    machine.install("docker")
    machine.polystream("up", "--compose", "--no-browser")
    explain = machine.polystream("explain", "00000000-0000-7000-8000-000000000000")
    assert explain.returncode == 2
    assert "no platform runs" not in explain.stderr
