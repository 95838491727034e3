"""The platform in containers: starting, asking and stopping it by Compose."""

import json
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from cli.compose_engine import ComposeError, find_engine, require_memory
from cli.compose_ports import USUAL_PORTS, endpoints_on, host_ports, require_free_ports, settings_on, variable_of
from cli.folders import CHECKOUT
from mesh.env_file import SettingsError, read_env_file
from stack.ports import OFFSET_MAX
from stack.supervisor.data_folder import read_regular_file
from stack.supervisor.register import user_register
from stack.supervisor.state import RunFolder

FOLDER: Final = CHECKOUT / "deploy" / "compose"
FILE: Final = FOLDER / "compose.yaml"
_ENV_FILE: Final = FOLDER / ".env"
_PROJECT: Final = "polystream"  # as the file has it
_PROFILES: Final = ("--profile", "opensearch", "--profile", "elasticsearch")
_ASK_TIMEOUT_S: Final = 30.0
_WAIT_TIMEOUT_S: Final = 900  # for all of it to be well, once the images are there
_MARKER: Final = "compose.json"
_MARKER_MAX_BYTES: Final = 1024 * 1024
_SHOWN_PARTS: Final = 6
_COMPOSED_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")


def up(data_dir: Path, port_offset: int) -> dict[str, str | None]:
    """Start everything, wait until it is well, and return the addresses. Compose itself shows how it goes.

    Ports that are taken, and too little memory, are told before anything is started. Raises ComposeError, StackError,
    and OSError where `data_dir`, which remembers that it runs, can't be written.
    """
    engine = find_engine()
    if port_offset:  # a project of its own: its containers and volumes are beside those of the first
        engine += ("--project-name", f"{_PROJECT}-{port_offset}")
    _require_none_else(data_dir, engine)
    said = _said()
    ports = host_ports(said, port_offset)
    running = {part["Service"] for part in _parts_if_any(engine) if part["State"] == "running"}
    require_free_ports(ports, running, port_offset)
    if not running:
        require_memory(engine[0])
    given = _settings(said) | settings_on(ports)
    folder = RunFolder(data_dir)
    folder.make()
    # Before the start: what has started halfway is stopped by `down`, too.
    _mark(data_dir, {"engine": engine, "settings": given, "ports": ports, "port_offset": port_offset})
    if (register := user_register()) is not None:
        with suppress(OSError):  # who says --data-dir does without
            register.keep(data_dir)
    options = ("--detach", "--wait", "--wait-timeout", str(_WAIT_TIMEOUT_S))
    environment = os.environ | {variable_of(name): str(port) for name, port in ports.items()}
    code = subprocess.run(  # noqa: S603 - fixed arguments
        _command(engine, "up", *options), check=False, env=environment
    ).returncode
    if code != 0:
        raise ComposeError(_what_is_wrong(engine, code))
    return endpoints_on(ports, given)


def down(engine: Sequence[str], data_dir: Path) -> None:
    """Stop everything and remove the containers; what is in the volumes stays. Raises ComposeError."""
    # Of both profiles: the other one may have run before.
    code = subprocess.run(_command(engine, *_PROFILES, "down"), check=False).returncode  # noqa: S603 - fixed arguments
    if code != 0:
        raise ComposeError(f"`{_shown(engine, 'down')}` ended with {code}")
    _marker(data_dir).unlink(missing_ok=True)
    if (register := user_register()) is not None:
        register.forget(data_dir)


def started_with(data_dir: Path) -> tuple[str, ...] | None:
    """Return the command that started a platform in containers from this data folder, or None."""
    engine = _read_marker(data_dir).get("engine")
    if not (engine and isinstance(engine, list) and all(isinstance(word, str) for word in engine)):
        return None
    return tuple(engine)


def port_offset_of(data_dir: Path) -> int:
    """Return by how much the ports of the platform that was started from a data folder are moved."""
    offset = _read_marker(data_dir).get("port_offset")
    return offset if type(offset) is int and 0 <= offset <= OFFSET_MAX else 0


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
    ports = _read_marker(data_dir).get("ports")
    return endpoints_on(ports if isinstance(ports, dict) else USUAL_PORTS, settings(data_dir))


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


def _require_none_else(data_dir: Path, engine: Sequence[str]) -> None:
    """Raise ComposeError where another platform is on the data folder, which can remember one."""
    before = started_with(data_dir)
    if before is not None and before != tuple(engine):
        raise ComposeError(
            f"a platform in containers was started from {data_dir} already, with --port-offset "
            f"{port_offset_of(data_dir)}: stop it with `down`, or start another beside it with --data-dir"
        )
    if RunFolder(data_dir).holder() is not None:
        raise ComposeError(
            f"a platform runs on {data_dir} already, as processes: stop it with `down`, or start another beside it "
            "with --data-dir and --port-offset"
        )


def _said() -> dict[str, str]:
    """Return what Compose reads: the file, and the shell's variables over it. Raises ComposeError."""
    try:
        return {**read_env_file(_ENV_FILE).values, **os.environ}
    except SettingsError as error:
        raise ComposeError(str(error)) from error


def _settings(said: Mapping[str, str]) -> dict[str, str]:
    """Return the credentials that the containers are given now. Raises ComposeError."""
    names = ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB")
    missing = [name for name in names if not said.get(name)]
    if missing:
        raise ComposeError(f"{_ENV_FILE} does not set {' and '.join(missing)}: set them there")
    for name in ("POSTGRES_USER", "POSTGRES_DB"):
        if not _COMPOSED_NAME.fullmatch(said[name]):
            place = "in the environment" if name in os.environ else read_env_file(_ENV_FILE).place(name)
            raise ComposeError(
                f"{name}, {place}, goes into addresses as it stands: use a to z, A to Z, digits, _ and - only"
            )
    return {name: said[name] for name in names}


def _read_marker(data_dir: Path) -> dict[str, Any]:
    try:
        # Of this user alone: it names a command.
        read = json.loads(read_regular_file(_marker(data_dir.resolve()), _MARKER_MAX_BYTES, of_user=os.geteuid()))
    except (OSError, ValueError, RecursionError):
        return {}
    return read if isinstance(read, dict) else {}


def _mark(data_dir: Path, content: Mapping[str, Any]) -> None:
    # For its owner alone: the settings have a password.
    descriptor = os.open(_marker(data_dir), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)


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


def _parts_if_any(engine: Sequence[str]) -> list[dict[str, Any]]:
    """Return the same; none where Compose does not say, which its start then does."""
    try:
        return _parts(engine)
    except (ComposeError, ValueError):
        return []


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
