"""The platform in containers: finding Docker Compose or Podman's, starting, asking and stopping by it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from cli.folders import CHECKOUT
from mesh.env_file import SettingsError, read_env_file
from mesh.settings import PostgresSettings
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
_COMPOSED_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


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
    engine, given = find_engine(), _settings()
    folder = RunFolder(data_dir)
    folder.make()
    # Before the start: what has started halfway is stopped by `down`, too.
    _mark(data_dir, {"engine": engine, "settings": given})
    options = ("--detach", "--wait", "--wait-timeout", str(_WAIT_TIMEOUT_S))
    code = subprocess.run(_command(engine, "up", *options), check=False).returncode  # noqa: S603 - fixed arguments
    if code != 0:
        raise ComposeError(_what_is_wrong(engine, code))
    return _endpoints(given)


def down(engine: Sequence[str], data_dir: Path) -> None:
    """Stop everything and remove the containers; what is in the volumes stays. Raises ComposeError."""
    # Of both profiles: the other one may have run before.
    code = subprocess.run(_command(engine, *_PROFILES, "down"), check=False).returncode  # noqa: S603 - fixed arguments
    if code != 0:
        raise ComposeError(f"`{_shown(engine, 'down')}` ended with {code}")
    _marker(data_dir).unlink(missing_ok=True)


def started_with(data_dir: Path) -> tuple[str, ...] | None:
    """Return the command that started a platform in containers from this data folder, or None."""
    engine = _read_marker(data_dir).get("engine")
    return tuple(engine) if engine else None


def describe(engine: Sequence[str], data_dir: Path) -> dict[str, Any]:
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
        "endpoints": endpoints(data_dir) if parts else {},
        "processes": sorted(processes, key=lambda process: str(process["name"])),
    }


def down_command(engine: Sequence[str]) -> str:
    """Return the command that removes the data too, as a person would type it."""
    return _shown(engine, *_PROFILES, "down", "--volumes")


def restart_command(engine: Sequence[str], part: str) -> str:
    """Return the command that starts a part again, as a person would type it."""
    return _shown(engine, "restart", part)


def endpoints(data_dir: Path) -> dict[str, str | None]:
    """Return where clients on this machine reach each part of the platform that was started from a data folder.

    Raises ComposeError where that is not known.
    """
    return _endpoints(settings(data_dir))


def settings(data_dir: Path) -> dict[str, str]:
    """Return the settings by which a process on this machine works as the containers do.

    They are those of the start: the file and the shell may say something else by now. Raises ComposeError where they
    are not known.
    """
    given = _read_marker(data_dir).get("settings")
    if not isinstance(given, dict):
        raise ComposeError(
            f"the settings of the containers that were started from {data_dir} are not known: stop them with `down`, "
            "and start them again with `up --compose`"
        )
    return given


def _endpoints(given: Mapping[str, str]) -> dict[str, str | None]:
    postgresql = PostgresSettings.model_construct(
        host=given["POSTGRES_HOST"],
        port=int(given["POSTGRES_PORT"]),
        user=given["POSTGRES_USER"],
        password=SecretStr(given["POSTGRES_PASSWORD"]),
        db=given["POSTGRES_DB"],
    ).dsn
    return {
        "rest": "http://127.0.0.1:8000",
        "grpc": "127.0.0.1:50051",
        "edge": "http://127.0.0.1:8443",
        "dashboard": "http://127.0.0.1:8089",
        "docs": "http://127.0.0.1:8000/docs",
        "kafka": given["KAFKA_BOOTSTRAP_SERVERS"],
        "schema_registry": given["SCHEMA_REGISTRY_URL"],
        "postgresql": postgresql.partition("?")[0],
        "mongodb": given["MONGODB_URL"],
        "redis": given["REDIS_URL"],
        "opensearch": "http://127.0.0.1:9200",
        "otlp": "http://127.0.0.1:4317",
        "jaeger": "http://127.0.0.1:16686",
        "dashboards": "http://127.0.0.1:5601",
        "kafka_ui": "http://127.0.0.1:8080",
        "adminer": "http://127.0.0.1:8081",
        "mongo_express": "http://127.0.0.1:8082",
        "redis_commander": "http://127.0.0.1:8083",
    }


def _settings() -> dict[str, str]:
    """Return what the containers are given now, with the engines' addresses on this machine. Raises ComposeError."""
    try:
        file = read_env_file(FOLDER / ".env")
    except SettingsError as error:
        raise ComposeError(str(error)) from error
    said = {**file.values, **os.environ}  # as Compose reads them
    names = ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")
    missing = [name for name in names if not said.get(name)]
    if missing:
        raise ComposeError(f"{file.path} does not set {' and '.join(missing)}: set them there")
    for name in ("POSTGRES_USER", "POSTGRES_DB"):
        if not _COMPOSED_NAME.fullmatch(said[name]):
            place = "in the environment" if name in os.environ else file.place(name)
            raise ComposeError(
                f"{name}, {place}, goes into addresses as it stands: use a to z, A to Z, digits, _ and - only"
            )
    return {name: said[name] for name in names} | {
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": "5432",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
        "SCHEMA_REGISTRY_URL": "http://127.0.0.1:8181/apis/ccompat/v7",
        "MONGODB_URL": "mongodb://127.0.0.1:27017/streaming_db",
        "REDIS_URL": "redis://127.0.0.1:6379/0",
    }


def _read_marker(data_dir: Path) -> dict[str, Any]:
    try:
        read = json.loads(_marker(data_dir.resolve()).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def _mark(data_dir: Path, content: Mapping[str, Any]) -> None:
    # For its owner alone: the settings have a password.
    descriptor = os.open(_marker(data_dir), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)


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
