"""Running what compose.yaml says as processes of this machine.

In a container, a service has its own loopback interface, its own files, and others by their names. Here all of them
share one machine. So each port that a service listens on becomes a free one, each name becomes 127.0.0.1, and each
path of a volume, of a config or of `/tmp` one below a folder of the test. Nothing else of a command or of a variable is
touched.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.compose_file import Composition, Service

# The ports that a service is reached at from the others, or by its own health check. They are not in the file.
INNER_PORTS: Final[Mapping[str, tuple[int, ...]]] = {
    "envoy": (8443,),
    "edge-config": (8443,),  # what it writes is Envoy's
    "gateway": (50051, 8000),
    "monitor": (8089, 4317),
    "kafka": (19092, 9092, 29093),
    "schema-registry": (8080,),
    "postgresql": (5432,),
    "mongodb": (27017,),
    "redis": (6379,),
    "opensearch": (9200,),
    "elasticsearch": (9200,),
    "opensearch-dashboards": (5601,),
    "kibana": (5601,),
    "jaeger": (16686, 4317, 13133),
    "kafka-ui": (8080,),
    "adminer": (8080,),
    "mongo-express": (8081,),
    "redis-commander": (8081,),
}


@dataclass(frozen=True, slots=True)
class Wiring:
    """Where each service is on this machine."""

    composition: Composition
    ports: Mapping[tuple[str, int], int]  # by service and by the port that it has in its container
    folder: Path

    def argv(self, service: Service, arguments: Iterable[str]) -> list[str]:
        """Return a command of a service as it is here."""
        return [self.text(service, argument) for argument in arguments]

    def environment(self, service: Service) -> dict[str, str]:
        """Return the variables of a service as they are here."""
        said, names = service.environment, self._names()
        here = {name: self.text(service, value) for name, value in said.items()}
        for variable, value in said.items():
            # Some hosts and ports are told apart, as POSTGRES_HOST and POSTGRES_PORT.
            if variable.endswith("_HOST") and value in names:
                port = f"{variable.removesuffix('_HOST')}_PORT"
                here |= {variable: "127.0.0.1", port: str(self.ports[names[value], int(said[port])])}
            elif value == "0.0.0.0":
                here[variable] = "127.0.0.1"
        return here

    def text(self, service: Service, value: str) -> str:
        """Return one argument or one value as it is here."""
        # `CLIENT://:19092` listens on every interface.
        value = re.sub(r"(?<=://)(?=:\d)|(?<![\w.])0\.0\.0\.0(?=:\d)", "127.0.0.1", value)
        value = re.sub(r"(?<=127\.0\.0\.1:)\d+", lambda found: self._own(service, found[0]), value)
        value = re.sub(r"(?<=-p )\d+|(?<=--port=)\d+|^\d+$", lambda found: self._own(service, found[0]), value)
        for name, target in self._names().items():
            at_name = rf"(?<![\w.-]){re.escape(name)}:(\d+)"
            value = re.sub(at_name, lambda found, target=target: self._reached(target, found), value)  # type: ignore[misc]
        return self._path(service, value)

    def _names(self) -> dict[str, str]:
        """Return each name that a service has in the network, with the service."""
        named = {name: name for name in self.composition.services}
        for name, service in self.composition.services.items():
            for network in (service.fields.get("networks") or {}).values():
                named |= dict.fromkeys((network or {}).get("aliases", ()), name)
        return named

    def _reached(self, name: str, found: "re.Match[str]") -> str:
        port = self.ports.get((name, int(found[1])))
        return found[0] if port is None else f"127.0.0.1:{port}"

    def _own(self, service: Service, port: str) -> str:
        return str(self.ports.get((service.name, int(port)), port))

    def _path(self, service: Service, value: str) -> str:
        if "/tmp" in service.fields.get("tmpfs", ()):
            # First of all: the folder of the test may be below the machine's own.
            scratch = self.folder / "tmp" / service.name
            scratch.mkdir(parents=True, exist_ok=True)
            value = re.sub(r"^/tmp(?=/|$)", str(scratch), value)
        for config in service.fields.get("configs", ()):
            value = value.replace(config["target"], self.composition.configs[config["source"]]["file"])
        for volume in service.fields.get("volumes", ()):
            here = self.folder / "volumes" / volume["source"]
            here.mkdir(parents=True, exist_ok=True)
            value = value.replace(volume["target"], str(here))
        return value


def search_path(folder: Path, programs: Mapping[str, Path | str]) -> str:
    """Return a PATH on which programs are found under other names, before the machine's own."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in programs.items():
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(program)
    return f"{folder}{os.pathsep}{os.defpath}{os.pathsep}{os.environ['PATH']}"
