"""`deploy/compose` as Docker Compose itself understands it, without an engine."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.support.platform import CHECKOUT
from tests.support.tools import go_tool

FOLDER: Final = CHECKOUT / "deploy" / "compose"
OWN_IMAGE: Final = "polystream:"
PROFILES: Final = ("opensearch", "elasticsearch")
_TIMEOUT_S: Final = 60


@dataclass(frozen=True, slots=True)
class Service:
    """One service of the resolved file."""

    name: str
    fields: Mapping[str, Any]

    @property
    def is_own(self) -> bool:
        """Whether it runs the platform's own image."""
        return str(self.fields["image"]).startswith(OWN_IMAGE)

    @property
    def is_task(self) -> bool:
        """Whether it ends by itself."""
        return self.fields.get("restart") == "no"

    @property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        return {name: str(value) for name, value in (self.fields.get("environment") or {}).items()}

    @property
    def argv(self) -> list[str]:
        """Its entry point and its command, without what the image has."""
        return [*(self.fields.get("entrypoint") or ()), *(self.fields.get("command") or ())]

    @property
    def published(self) -> dict[int, int]:
        """Its ports on the host, each by the port that it listens on."""
        return {int(port["target"]): int(port["published"]) for port in self.fields.get("ports", ())}

    @property
    def depends_on(self) -> dict[str, dict[str, Any]]:
        """What it waits for, and for which condition."""
        return dict(self.fields.get("depends_on") or {})

    @property
    def health_command(self) -> list[str]:
        """The arguments of the process that tells whether it is well, as the engine would start it."""
        kind, *arguments = self.fields["healthcheck"]["test"]
        unescaped = [argument.replace("$$", "$") for argument in arguments]
        return unescaped if kind == "CMD" else ["/bin/sh", "-c", *unescaped]

    @property
    def health_timeout_s(self) -> float:
        """How long that process may take."""
        return seconds(self.fields["healthcheck"]["timeout"])

    @property
    def stop_grace_s(self) -> float:
        """How long it has to stop; 10 s where nothing is said."""
        return seconds(self.fields.get("stop_grace_period", "10s"))


@dataclass(frozen=True, slots=True)
class Composition:
    """The resolved file of one profile."""

    services: Mapping[str, Service]
    volumes: Mapping[str, Any]
    networks: Mapping[str, Any]
    configs: Mapping[str, Any]

    def named(self, names: Sequence[str]) -> list[Service]:
        """Return services by their names."""
        return [self.services[name] for name in names]


@cache
def composition(profiles: str) -> Composition:
    """Return the file as it is with these profiles, separated by commas. Fails on any warning."""
    # Nothing of the shell's: what stands in `.env` holds.
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "COMPOSE_PROFILES": profiles}
    command = [str(go_tool("compose")), "-f", str(FOLDER / "compose.yaml"), "config", "--format", "json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    document = json.loads(done.stdout)
    services = {name: Service(name, fields) for name, fields in document["services"].items()}
    parts = (document.get(part) or {} for part in ("volumes", "networks", "configs"))
    return Composition(services, *parts)


def seconds(duration: str) -> float:
    """Return a duration of Compose's, like `1m30s`, in seconds."""
    total, number = 0.0, ""
    for character in duration:
        if character.isdigit() or character == ".":
            number += character
        else:
            total += float(number) * {"h": 3600, "m": 60, "s": 1}[character]
            number = ""
    return total


def script(name: str) -> Path:
    """Return a script of the folder."""
    return FOLDER / "scripts" / name
