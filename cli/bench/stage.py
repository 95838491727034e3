"""What the benchmark runs: a broker and the other engines, the gateway, Envoy and the peer, on free ports.

No lane and no monitor: the peer has none either, and the two would take the processors that are measured.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from cli.bench.load import LoadError
from cli.bench.records import RecordCounter
from cli.bench.sink import span_sink
from mesh import topics
from mesh.settings import KafkaSettings, PostgresSettings
from stack import probes
from stack.engines import EMBEDDED
from stack.engines import process as processes
from stack.engines.spec import HOST, CommandLine, ProcessSpec, StackContext
from stack.ports import Ports
from stack.supervisor.free_ports import is_free
from stack.supervisor.services import ENVOY, GATEWAY

PEER_TOPIC = "user_events.bench_peer"
BROKER = "kafka"
GRPCIO = "gateway-grpcio"
PEER = "peer"
PEER_H11 = "peer-h11"
_PORT_RANGE = range(11_000, 32_000)  # below what Linux gives to outgoing connections
_POLL_S = 0.02
_LOG_ERRORS = 3  # librdkafka's level; it writes to the terminal
_PROVISION_TIMEOUT_S = 60.0
_TOPIC_TIMEOUT_S = 10.0


@dataclass
class Stage:
    """The running processes."""

    context: StackContext
    kafka: Mapping[str, str | int | bool]  # the common part of a client's configuration
    embedded_broker: bool
    _running: dict[str, tuple[subprocess.Popen[bytes], CommandLine]] = field(default_factory=dict)

    def start(self, spec: ProcessSpec, context: StackContext | None = None, **settings: str) -> None:
        """Start a process, with settings beyond its own, and wait until it is ready.

        Raises LoadError, with the end of its log, when it ends or is not ready in time.
        """
        where = context or self.context
        spec.prepare(where)
        command = spec.command(where)
        command = replace(command, env={**command.env, **settings})
        process = processes.spawn(command, where.log(spec.name))
        self._running[spec.name] = process, command
        deadline = time.monotonic() + spec.ready_timeout_s
        while not spec.answers(where):
            if process.poll() is not None or time.monotonic() > deadline:
                raise LoadError(f"{spec.name} did not start:\n{processes.tail(where.log(spec.name))}")
            time.sleep(_POLL_S)

    def cpu_s(self, names: tuple[str, ...]) -> dict[str, float]:
        """Return the CPU time that processes have used so far, in seconds."""
        used = {name: psutil.Process(self._running[name][0].pid).cpu_times() for name in names}
        return {name: float(times.user + times.system) for name, times in used.items()}

    def stop(self) -> None:
        """Stop everything, the last started first."""
        for process, command in reversed(self._running.values()):
            processes.stop(process, command)
        self._running.clear()


@contextmanager
def stage(broker: str, *, everything: bool) -> Iterator[Stage]:
    """Run everything while the block runs.

    `broker` is the address of an empty broker to use; where it is empty, one is started. `everything` adds what only
    a long run measures. Raises LoadError.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="polystream-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        context = StackContext(folder, _free_ports(), PostgresSettings(_env_file=None))
        engines = [engine for engine in EMBEDDED if engine.name != BROKER or not broker]
        settings = {name: value for engine in engines for name, value in engine.environment(context).items()}
        if broker:
            settings["KAFKA_BOOTSTRAP_SERVERS"] = broker
        otlp = f"{HOST}:{context.ports.otlp}"
        settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{otlp}", "LOG_LEVEL": "WARNING", "DEMO_DATA": "1"}
        context = replace(context, environment=processes.bare_environment() | settings, work_dir=folder)
        kafka = KafkaSettings(bootstrap_servers=settings["KAFKA_BOOTSTRAP_SERVERS"]).client_config("bench")
        kafka["log_level"] = _LOG_ERRORS

        running = Stage(context, kafka, embedded_broker=not broker)
        stack.callback(running.stop)
        stack.enter_context(span_sink(otlp))
        for engine in engines:
            running.start(engine)
        _create_topics(kafka)
        _provision(context)
        running.start(GATEWAY)
        running.start(ENVOY)
        peer = _peer(settings["KAFKA_BOOTSTRAP_SERVERS"])
        running.start(peer)
        if everything:
            running.start(replace(peer, name=PEER_H11), h11_context(context), PEER_HTTP="h11")
            running.start(
                replace(GATEWAY, name=GRPCIO), grpcio_context(context), GATEWAY_SERVER="grpcio", GATEWAY_NAME=GRPCIO
            )
        yield running


def grpcio_context(context: StackContext) -> StackContext:
    """Return where the gateway on plain grpcio listens."""
    ports = context.ports
    return replace(context, ports=replace(ports, gateway=ports.jaeger_grpc, rest=ports.jaeger_otlp))


def h11_context(context: StackContext) -> StackContext:
    """Return where the peer on uvicorn's own HTTP parser listens."""
    return replace(context, ports=replace(context.ports, dashboard=context.ports.jaeger))


def peer_port(context: StackContext) -> int:
    """Return the peer's port: the one that the platform has for a monitor, which does not run here."""
    return context.ports.dashboard


def _peer(bootstrap_servers: str) -> ProcessSpec:
    def command(context: StackContext) -> CommandLine:
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "PEER_TOPIC": PEER_TOPIC,
            "PEER_PORT": str(peer_port(context)),
        }
        environment = processes.bare_environment() | settings
        return CommandLine(argv=(sys.executable, "-m", "cli.bench.peer"), env=environment, cwd=context.work_dir)

    return ProcessSpec(
        name=PEER,
        ports=("dashboard",),
        command=command,
        is_ready=lambda context: probes.http_answers(HOST, peer_port(context), "/health"),
    )


def _free_ports() -> Ports:
    drawn: dict[str, int] = {}
    while len(drawn) < len(fields(Ports)):
        port = random.choice(_PORT_RANGE)  # noqa: S311 - no secret
        if is_free(port) and port not in drawn.values():
            drawn[fields(Ports)[len(drawn)].name] = port
    return Ports(**drawn)


def _create_topics(kafka: Mapping[str, str | int | bool]) -> None:
    """Create the platform's topics and the peer's. Raises LoadError where the broker holds commands already.

    It may be one in use: lanes would apply what the benchmark sends.
    """
    admin = AdminClient(dict(kafka))
    existing = admin.list_topics(timeout=_TOPIC_TIMEOUT_S).topics
    if PEER_TOPIC in existing or (topics.COMMANDS in existing and _has_records(kafka)):
        raise LoadError(
            f"the broker at {kafka['bootstrap.servers']} holds commands, or an earlier run's: give the benchmark an "
            "empty one by KAFKA_BOOTSTRAP_SERVERS, or none, and it starts its own"
        )
    topics.create_topics(kafka)
    new = NewTopic(PEER_TOPIC, num_partitions=topics.PARTITIONS, replication_factor=-1)
    for future in admin.create_topics([new], request_timeout=_TOPIC_TIMEOUT_S).values():
        future.result(_TOPIC_TIMEOUT_S)


def _has_records(kafka: Mapping[str, str | int | bool]) -> bool:
    counter = RecordCounter(kafka, topics.COMMANDS)
    try:
        return counter.count_new(0, _TOPIC_TIMEOUT_S) > 0
    finally:
        counter.close()


def _provision(context: StackContext) -> None:
    command = CommandLine(argv=(sys.executable, "-m", "stack.provision"), env=context.environment, cwd=context.work_dir)
    run = processes.run(command, context.log("provision"), timeout_s=_PROVISION_TIMEOUT_S)
    if run.returncode != 0:
        raise LoadError(f"provisioning failed:\n{run.stdout[-2000:]}")


def broker_of_environment() -> str:
    """Return the broker that the environment names, or nothing. `.env` is not read: it may name one that is in use."""
    return os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
