"""What the benchmark runs: a broker and the other engines, and what takes commands before them, on free ports."""

import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, field, fields, replace
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
from stack.engines import EMBEDDED, native
from stack.engines import process as processes
from stack.engines.spec import HOST, CommandLine, EngineSpec, ProcessSpec, StackContext, StackError
from stack.ports import Ports
from stack.supervisor.free_ports import is_free
from stack.supervisor.services import ENVOY, GATEWAY, PROVISION, gateway

PEER_TOPIC = "user_events.bench_peer"
BROKER = "kafka"
GRPCIO = "gateway-grpcio"
PEER = "peer"
PEER_H11 = "peer-h11"
PEER_EDGE = "envoy-peer"
PAIR = ("gateway-a", "gateway-b")
PAIR_NAME = "pair"  # the two, which share their ports
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
    owns_broker: bool
    elsewhere: Mapping[str, StackContext]  # where each process is that the platform has none of
    _running: dict[str, tuple[subprocess.Popen[bytes], CommandLine]] = field(default_factory=dict)

    def start(self, spec: ProcessSpec, place: str = "", **settings: str) -> None:
        """Start a process, with settings beyond its own, and wait until it is ready. `place` is one of `elsewhere`.

        Raises LoadError, with the end of its log, when it ends or is not ready in time.
        """
        where = self.elsewhere[place] if place else self.context
        try:
            spec.prepare(where)
        except StackError as error:
            raise LoadError(str(error)) from error
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

    def memory_mib(self, names: tuple[str, ...]) -> float:
        """Return how much memory processes have together, in MiB."""
        return sum(psutil.Process(self._running[name][0].pid).memory_info().rss for name in names) / 2**20

    def stop(self) -> None:
        """Stop everything, the last started first."""
        for process, command in reversed(self._running.values()):
            processes.stop(process, command)
        self._running.clear()


@contextmanager
def engines(broker: str, *, native_kafka: bool) -> Iterator[Stage]:
    """Run the engines, with their topics and tables, while the block runs.

    `broker` is the address of an empty broker to use; where it is empty, one is started: the embedded set's, or Apache
    Kafka. Raises LoadError.
    """
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="polystream-bench-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        context = StackContext(folder, Ports(*_draw_ports(len(fields(Ports)))), PostgresSettings())
        specs = _engines(broker, native_kafka=native_kafka)
        settings = {name: value for engine in specs for name, value in engine.environment(context).items()}
        if broker:
            settings["KAFKA_BOOTSTRAP_SERVERS"] = broker
        otlp = f"http://{HOST}:{context.ports.otlp}"
        settings |= {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "LOG_LEVEL": "WARNING", "DEMO_DATA": "1"}
        context = replace(context, environment=processes.bare_environment() | settings, work_dir=folder)
        kafka = KafkaSettings(bootstrap_servers=settings["KAFKA_BOOTSTRAP_SERVERS"]).client_config("bench")
        kafka["log_level"] = _LOG_ERRORS

        running = Stage(context, kafka, not broker, _contexts(context))
        stack.callback(running.stop)
        for engine in specs:
            running.start(engine)
        _create_topics(kafka)
        for argv in PROVISION:
            _provision(context, argv)
        yield running


@contextmanager
def stage(broker: str, *, native_kafka: bool, everything: bool) -> Iterator[Stage]:
    """Run the engines, the gateway, Envoy and the peer while the block runs.

    No lane and no monitor: the peer has none either, and the two would take the processors that are measured. `broker`
    and `native_kafka` are those of `engines`; `everything` adds what only a long run measures. Raises LoadError.
    """
    with engines(broker, native_kafka=native_kafka) as running, span_sink(f"{HOST}:{running.context.ports.otlp}"):
        running.start(GATEWAY)
        running.start(ENVOY)
        peer = _peer(running.context.environment["KAFKA_BOOTSTRAP_SERVERS"])
        running.start(peer, PEER)
        running.start(replace(ENVOY, name=PEER_EDGE), PEER_EDGE)
        if everything:
            _start_more(running, peer)
        yield running


def _engines(broker: str, *, native_kafka: bool) -> list[EngineSpec]:
    engines = [engine for engine in EMBEDDED if engine.name != BROKER]
    if not broker:
        among = native.NATIVE if native_kafka else EMBEDDED
        engines.insert(0, next(engine for engine in among if engine.name == BROKER))
    return engines


def _start_more(running: Stage, peer: ProcessSpec) -> None:
    running.start(replace(peer, name=PEER_H11), PEER_H11, PEER_HTTP="h11")
    running.start(replace(GATEWAY, name=GRPCIO), GRPCIO, GATEWAY_SERVER="grpcio", GATEWAY_NAME=GRPCIO)
    for index, name in enumerate(PAIR):
        running.start(replace(gateway(index + 1, shares_ports=True), name=name), PAIR_NAME, GATEWAY_NAME=name)


def _contexts(context: StackContext) -> dict[str, StackContext]:
    """Return where each process is that the platform has none of: ports and a folder of its own."""
    names = (PEER, PEER_H11, PEER_EDGE, GRPCIO, PAIR_NAME)
    free = iter(_draw_ports(3 * len(names), astuple(context.ports)))
    contexts = {
        name: replace(
            context,
            data_dir=context.data_dir / name,
            ports=replace(context.ports, rest=next(free), gateway=next(free), edge=next(free)),
        )
        for name in names
    }
    # The Envoy before the peer is given the peer's port as the one of a gateway's REST.
    before_peer = replace(context.ports, rest=contexts[PEER].ports.rest, edge=contexts[PEER_EDGE].ports.edge)
    contexts[PEER_EDGE] = replace(contexts[PEER_EDGE], ports=before_peer)
    return contexts


def _peer(bootstrap_servers: str) -> ProcessSpec:
    def command(context: StackContext) -> CommandLine:
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            "PEER_TOPIC": PEER_TOPIC,
            "PEER_PORT": str(context.ports.rest),
        }
        environment = processes.bare_environment() | settings
        return CommandLine(argv=(sys.executable, "-m", "cli.bench.peer"), env=environment, cwd=context.work_dir)

    return ProcessSpec(
        name=PEER,
        ports=("rest",),
        command=command,
        is_ready=lambda context: probes.http_answers(HOST, context.ports.rest, "/healthz"),
    )


def _draw_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    drawn: list[int] = []
    while len(drawn) < count:
        port = random.choice(_PORT_RANGE)  # noqa: S311 - no secret
        if is_free(port) and port not in drawn and port not in taken:
            drawn.append(port)
    return drawn


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


def _provision(context: StackContext, argv: tuple[str, ...]) -> None:
    command = CommandLine(argv=(sys.executable, *argv), env=context.environment, cwd=context.work_dir)
    run = processes.run(command, context.log("provision"), timeout_s=_PROVISION_TIMEOUT_S)
    if run.returncode != 0:
        raise LoadError(f"provisioning failed:\n{run.stdout[-2000:]}")


def broker_of_environment() -> str:
    """Return the broker that the environment names, or nothing. `.env` is not read: it may name one that is in use."""
    return os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "")
