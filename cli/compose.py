"""The platform in containers: finding Docker Compose or Podman's, starting, asking and stopping by it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values

from cli.folders import CHECKOUT
from stack.supervisor.state import RunFolder

FOLDER: Final = CHECKOUT / "deploy" / "compose"
FILE: Final = FOLDER / "compose.yaml"
_PROGRAMS: Final = ("docker", "podman")
_PROFILES: Final = ("--profile", "opensearch", "--profile", "elasticsearch")
_OLDEST: Final = (2, 24)  # the oldest Compose that reads the file, and waits for its tasks
_ASK_TIMEOUT_S: Final = 30.0
_WAIT_TIMEOUT_S: Final = 900  # for all of it to be well, once the images are there
_MARKER: Final = "compose.json"
_SHOWN_PARTS: Final = 6


class ComposeError(Exception):
    """Why there is no platform in containers, with the remedy."""


def find_engine() -> tuple[str, ...]:
    """Return the command that is Compose on this machine. Raises ComposeError, which says what to install or start."""
    there = [program for program in _PROGRAMS if shutil.which(program)]
    if not there:
        raise ComposeError(
            "--compose runs containers, and neither docker nor podman is there. Install Docker Desktop, or Docker "
            "Engine with its Compose plugin (https://docs.docker.com/engine/install/), or podman with podman-compose. "
            "Without containers, `up --engines native` starts the same engines as processes."
        )
    versions = {program: _output(program, "compose", "version", "--short") for program in there}
    found = [program for program in there if versions[program] is not None]
    if not found:
        raise ComposeError(
            f"{' and '.join(there)} is there, and Compose is not: `{there[0]} compose version` fails. Install Compose "
            f"{_OLDEST[0]}.{_OLDEST[1]} or later: on Debian and Ubuntu the package docker-compose-plugin, for podman "
            "docker-compose or podman-compose."
        )
    numbers = re.match(r"v?(\d+)\.(\d+)", versions[found[0]] or "")
    if found[0] == "docker" and numbers and (int(numbers[1]), int(numbers[2])) < _OLDEST:
        raise ComposeError(
            f"Compose {numbers[0]} is too old: {_OLDEST[0]}.{_OLDEST[1]} or later is needed. Update Docker Desktop, or "
            "the package docker-compose-plugin."
        )
    running = [program for program in found if _output(program, "info") is not None]
    if not running:
        raise ComposeError(
            f"{found[0]} is installed, and its engine does not answer: `{found[0]} info` fails. Start it (Docker "
            "Desktop, or `sudo systemctl start docker`), and see that your user may use it (the group docker)."
        )
    return (running[0], "compose")


def up(data_dir: Path) -> dict[str, str | None]:
    """Start everything, wait until it is well, and return the addresses. Compose itself shows how it goes.

    Raises ComposeError, and OSError where `data_dir`, which remembers that it runs, can't be written.
    """
    engine = find_engine()
    folder = RunFolder(data_dir)
    folder.make()
    # Before the start: what has started halfway is stopped by `down`, too.
    _marker(data_dir).write_text(json.dumps({"engine": engine}), encoding="utf-8")
    options = ("--detach", "--wait", "--wait-timeout", str(_WAIT_TIMEOUT_S))
    code = subprocess.run(_command(engine, "up", *options), check=False).returncode  # noqa: S603 - fixed arguments
    if code != 0:
        raise ComposeError(_what_is_wrong(engine, code))
    return endpoints()


def down(engine: Sequence[str], data_dir: Path) -> None:
    """Stop everything and remove the containers; what is in the volumes stays. Raises ComposeError."""
    # Of both profiles: the other one may have run before.
    code = subprocess.run(_command(engine, *_PROFILES, "down"), check=False).returncode  # noqa: S603 - fixed arguments
    if code != 0:
        raise ComposeError(f"`{_shown(engine, 'down')}` ended with {code}")
    _marker(data_dir).unlink(missing_ok=True)


def started_with(data_dir: Path) -> tuple[str, ...] | None:
    """Return the command that started a platform in containers from this data folder, or None."""
    try:
        return tuple(json.loads(_marker(data_dir.resolve()).read_text(encoding="utf-8"))["engine"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def describe(engine: Sequence[str]) -> dict[str, Any]:
    """Return the status as the JSON of `status` has it, as far as containers tell it."""
    parts = _parts(engine)
    processes = [
        {
            "name": part["Service"],
            "pid": None,
            "status": _status(part),
            "restarts": 0,
            "memory_bytes": None,
        }
        for part in parts
    ]
    statuses = {process["status"] for process in processes}
    status = "stopped" if not parts else "ready" if statuses <= {"ready", "done"} else "degraded"
    return {
        "status": status,
        "engines": "external",
        "supervisor": None,
        "endpoints": endpoints() if parts else {},
        "processes": sorted(processes, key=lambda process: str(process["name"])),
    }


def down_command(engine: Sequence[str]) -> str:
    """Return the command that removes the data too, as a person would type it."""
    return _shown(engine, *_PROFILES, "down", "--volumes")


def endpoints() -> dict[str, str | None]:
    """Return where clients on this machine reach each part."""
    said = {**dotenv_values(FOLDER / ".env"), **os.environ}
    user, secret, database = (said[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB"))
    return {
        "rest": "http://127.0.0.1:8000",
        "grpc": "127.0.0.1:50051",
        "edge": "http://127.0.0.1:8443",
        "dashboard": "http://127.0.0.1:8089",
        "docs": "http://127.0.0.1:8000/docs",
        "kafka": "127.0.0.1:9092",
        "schema_registry": "http://127.0.0.1:8181/apis/ccompat/v7",
        "postgresql": f"postgresql://{user}:{secret}@127.0.0.1:5432/{database}",
        "mongodb": "mongodb://127.0.0.1:27017/streaming_db",
        "redis": "redis://127.0.0.1:6379/0",
        "opensearch": "http://127.0.0.1:9200",
        "otlp": "http://127.0.0.1:4317",
        "jaeger": "http://127.0.0.1:16686",
        "dashboards": "http://127.0.0.1:5601",
        "kafka_ui": "http://127.0.0.1:8080",
        "adminer": "http://127.0.0.1:8081",
        "mongo_express": "http://127.0.0.1:8082",
        "redis_commander": "http://127.0.0.1:8083",
    }


def settings() -> dict[str, str]:
    """Return the variables that lead a process on this machine to the engines."""
    there = endpoints()
    said = {**dotenv_values(FOLDER / ".env"), **os.environ}
    credentials = {name: said[name] or "" for name in ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")}
    return credentials | {
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": "5432",
        "KAFKA_BOOTSTRAP_SERVERS": there["kafka"] or "",
        "SCHEMA_REGISTRY_URL": there["schema_registry"] or "",
        "MONGODB_URL": there["mongodb"] or "",
        "REDIS_URL": there["redis"] or "",
    }


def _output(*command: str) -> str | None:
    """Return what a command writes, None where it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            command, capture_output=True, text=True, check=False, timeout=_ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _command(engine: Sequence[str], *arguments: str) -> list[str]:
    return [*engine, "--file", str(FILE), *arguments]


def _shown(engine: Sequence[str], *arguments: str) -> str:
    return " ".join([*engine, "--file", os.path.relpath(FILE), *arguments])


def _parts(engine: Sequence[str]) -> list[dict[str, Any]]:
    """Return what Compose says of each container. Raises ComposeError."""
    command = _command(engine, *_PROFILES, "ps", "--all", "--format", "json")
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            command, capture_output=True, text=True, check=False, timeout=_ASK_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ComposeError(f"`{_shown(engine, 'ps')}` fails: {error}") from error
    if done.returncode != 0:
        raise ComposeError(f"`{_shown(engine, 'ps')}` fails: {done.stderr.strip()}")
    text = done.stdout.strip()
    if text.startswith("["):  # one array, as earlier versions write it
        return list(json.loads(text))
    return [json.loads(line) for line in text.splitlines()]


def _status(part: dict[str, Any]) -> str:
    """Return a container's status in the words of `status`. A task that has ended well is done."""
    if part["State"] == "running":
        return {"healthy": "ready", "unhealthy": "unhealthy"}.get(part["Health"], "starting")
    if part["State"] == "exited":
        return "done" if part["ExitCode"] == 0 else f"ended with {part['ExitCode']}"
    return str(part["State"])


def _what_is_wrong(engine: Sequence[str], code: int) -> str:
    """Return why `up` failed: which parts are unwell, and where to read on."""
    try:
        unwell = {part["Service"]: _status(part) for part in _parts(engine)}
    except ComposeError:
        unwell = {}
    unwell = {name: status for name, status in unwell.items() if status not in {"ready", "done"}}
    told = "; ".join(f"{name}: {status}" for name, status in sorted(unwell.items())[:_SHOWN_PARTS])
    first = next(iter(sorted(unwell)), "")
    logs = _shown(engine, "logs", *filter(None, (first,)))
    return (
        f"`{_shown(engine, 'up')}` ended with {code}. {told + '. ' if told else ''}See `{logs}`; `down` stops the rest."
    )


def _marker(data_dir: Path) -> Path:
    return data_dir / "run" / _MARKER
