"""The services of compose.yaml as processes, on the native engines."""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from stack.engines import native
from stack.engines import process as processes
from stack.engines.native import kafka
from stack.engines.native.fetch import provide
from stack.engines.native.folders import scratch_folder
from stack.engines.spec import CommandLine, EngineSpec, StackContext
from tests.support.compose_file import Service, composition
from tests.support.compose_probe import programs_path, run_check, service_of
from tests.support.compose_wiring import INNER_PORTS, Wiring
from tests.support.freezing import frozen
from tests.support.image_tree import Image
from tests.support.platform import EngineSet
from tests.support.ports import free_port_run

# The engines that stand in for the containers, and the field of `Ports` that each port of a container is here.
_ENGINE_PORTS: Final[Mapping[tuple[str, int], str]] = {
    ("postgresql", 5432): "postgresql",
    ("mongodb", 27017): "mongodb",
    ("redis", 6379): "redis",
    ("kafka", 9092): "kafka",
    ("schema-registry", 8080): "schema_registry",
    ("opensearch", 9200): "opensearch",
    ("jaeger", 16686): "jaeger",
    ("jaeger", 4317): "jaeger_otlp",
    ("jaeger", 13133): "jaeger_health",
}
_NO_PROPERTY: Final = {"KAFKA_HEAP_OPTS"}  # Kafka's image makes a property of every other KAFKA_ variable


class Process:
    """A running service."""

    def __init__(self, service: Service, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.service = service
        self.popen = popen
        self._log = log

    @property
    def output(self) -> str:
        """What it has written."""
        return self._log.read_text()

    def stop(self) -> int:
        """Ask it to stop as the engine would, and return its exit code. Fails where it takes longer than it may."""
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(self.service.stop_grace_s)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Let it hang for a while: its ports take connections, and it answers none."""
        with frozen(self.popen.pid):
            yield

    def kill(self) -> None:
        """Kill it with what it has started, where it still runs."""
        processes.kill(self.popen)
        self.popen.wait()


class ComposedRun:
    """The native engines, and how to start the services on them. Kafka runs with the settings of compose.yaml."""

    def __init__(self, image: Image, folder: Path) -> None:
        self.image = image
        self.composition = composition("opensearch")
        self._folder = folder
        names = {engine.name for engine in native.NATIVE}
        engines = [self._kafka() if engine.name == "kafka" else engine for engine in native.NATIVE]
        self.engines = EngineSet(names, folder / "engines", engines)
        of_engines = {key: int(getattr(self.engines.context.ports, field)) for key, field in _ENGINE_PORTS.items()}
        drawn = {(name, port): free_port_run(1) for name, ports in INNER_PORTS.items() for port in ports}
        self.wiring = Wiring(self.composition, drawn | of_engines | _shared(drawn), folder)

    def __enter__(self) -> Self:
        try:
            self.engines.start_all()
        except BaseException:
            self.engines.stop_all()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.engines.stop_all()

    def service(self, name: str) -> Service:
        """Return a service of the file."""
        return service_of(name)

    def with_ports(self, name: str, ports: Mapping[int, int]) -> Wiring:
        """Return the wiring with other ports in the places of a service's."""
        others = {(name, port): here for port, here in ports.items()}
        return replace(self.wiring, ports={**self.wiring.ports, **others})

    def is_healthy(self, name: str, wiring: Wiring | None = None) -> bool:
        """Run the health check of a service once."""
        service, wiring = self.service(name), wiring or self.wiring
        return run_check(service, wiring, self._environment(service), self._work_dir(service))

    def run_task(self, name: str, wiring: Wiring | None = None, timeout_s: float = 60) -> None:
        """Run a service that ends by itself. Fails where it does not end well."""
        with self.started(name, wiring) as process:
            code = process.popen.wait(timeout_s)
            assert code == 0, f"{name} ended with {code}:\n{process.output}"

    @contextmanager
    def started(self, name: str, wiring: Wiring | None = None) -> Iterator[Process]:
        """Run a service while the block runs."""
        process = self.start(name, wiring)
        try:
            yield process
        finally:
            process.kill()

    def start(self, name: str, wiring: Wiring | None = None) -> Process:
        """Start a service with the command and the variables of the file."""
        service, wiring = self.service(name), wiring or self.wiring
        environment = {**self._environment(service), **wiring.environment(service)}
        program, *arguments = wiring.argv(service, service.argv)
        found = shutil.which(program, path=environment["PATH"])
        assert found, f"{name}: there is no {program}"
        command = CommandLine(argv=(found, *arguments), env=environment, cwd=self._work_dir(service))
        log = self._folder / f"{name}.log"
        log.unlink(missing_ok=True)
        return Process(service, processes.spawn(command, log), log)

    def _environment(self, service: Service) -> dict[str, str]:
        """Return what the image sets."""
        return self.image.environment if service.is_own else {"PATH": programs_path(), "HOME": str(self._folder)}

    def _work_dir(self, service: Service) -> Path:
        return self.image.app if service.is_own else self._folder

    def _kafka(self) -> EngineSpec:
        """Return Kafka with the settings that its container would have."""

        def prepare(context: StackContext) -> None:
            provide([kafka.ENGINE.name])
            scratch_folder(context, kafka.ENGINE.name)
            variables = self.wiring.environment(self.service("kafka"))
            properties = {
                name.removeprefix("KAFKA_").lower().replace("_", "."): value
                for name, value in variables.items()
                if name.startswith("KAFKA_") and name not in _NO_PROPERTY
            }
            # The image makes this folder; the cluster's ID is given to its formatting.
            properties["log.dirs"] = str(kafka._storage(context))
            text = "".join(f"{name}={value}\n" for name, value in properties.items())
            kafka._settings_file(context).write_text(text)
            if not (kafka._storage(context) / "meta.properties").exists():
                kafka._format(context)

        return replace(kafka.ENGINE, prepare=prepare)


def _shared(drawn: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """Return the ports that one service writes down for another."""
    return {("edge-config", port): drawn["envoy", port] for port in INNER_PORTS["edge-config"]}
