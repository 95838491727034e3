"""Apache Kafka: one broker that is its own controller (KRaft)."""

import secrets
import socket
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.kafka import own_broker
from stack.engines.native.fetch import engine_folder, made_folder, provide
from stack.engines.native.folders import data_folder, scratch_folder
from stack.engines.native.java import class_path, java_argv
from stack.engines.native.lock import POMS
from stack.engines.process import bare_environment, run, tail
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext, StackError

_NAME: Final = "kafka"
_HEAP_MB: Final = 256
_FORMAT_TIMEOUT_S: Final = 60.0
_SETTINGS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "CLIENT",
    # A misspelt topic is an error, not a new topic with one partition.
    "auto.create.topics.enable": "false",
    # One broker: its own topics have one replica, and no more partitions than the platform's own.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "6",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "6",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "default.replication.factor": "1",
    # After a SIGKILL the controller waits this long for the broker that it remembers before it takes the new one.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # The services of a group start together; nobody else is waited for.
    "group.initial.rebalance.delay.ms": "0",
}


def prepare(context: StackContext) -> None:
    """Fetch Kafka where it is missing, write its settings, and format its storage once."""
    provide([_NAME])
    scratch_folder(context, _NAME)
    _settings_file(context).write_text(_settings_text(context), encoding="utf-8")
    # Written last of all that formatting writes: an interrupted one is done again.
    if not (_storage(context) / "meta.properties").exists():
        _format(context)


def _settings_text(context: StackContext) -> str:
    client, controller = _endpoint(context), f"{HOST}:{_free_port()}"
    settings = _SETTINGS | {
        "listeners": f"CLIENT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENT://{client}",
        # Only the broker itself talks to it, in this same process: another port at each start is no harm.
        "controller.quorum.voters": f"1@{controller}",
        "log.dirs": str(_storage(context)),
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(context: StackContext) -> None:
    cluster_id = urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    # In one word with its option: it may begin with a dash.
    arguments = ("kafka.tools.StorageTool", "format", "--ignore-formatted", f"--cluster-id={cluster_id}")
    log = context.log(_NAME)
    command = _java(context, *arguments, "-c", str(_settings_file(context)))
    try:
        done = run(command, log, timeout_s=_FORMAT_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise StackError(f"kafka: formatting its storage took longer than {_FORMAT_TIMEOUT_S:.0f} s") from error
    if done.returncode != 0:
        raise StackError(f"kafka: its storage can't be formatted ({done.returncode}). Its log ends:\n{tail(log)}")


def _command(context: StackContext) -> CommandLine:
    return _java(context, "kafka.Kafka", str(_settings_file(context)))


def _java(context: StackContext, *arguments: str) -> CommandLine:
    folder = data_folder(context, _NAME)
    classes = ("-cp", class_path(engine_folder(_NAME)))
    return CommandLine(
        argv=(
            *java_argv(_HEAP_MB, classes, archives=made_folder(_NAME), scratch=folder / "tmp"),
            f"-Dlog4j2.configurationFile={POMS / 'log4j2.properties'}",
            *arguments,
        ),
        env=bare_environment(),
        cwd=folder,
        stop_timeout_s=20.0,  # a controlled shutdown: it closes its segments, which saves reading them at the start
    )


def _settings_file(context: StackContext) -> Path:
    return data_folder(context, _NAME) / "server.properties"


def _storage(context: StackContext) -> Path:
    return data_folder(context, _NAME) / "data"


def _endpoint(context: StackContext) -> str:
    return f"{HOST}:{context.ports.kafka}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


ENGINE = EngineSpec(
    name=_NAME,
    ports=("kafka",),
    prepare=prepare,
    command=_command,
    is_ready=lambda context: probes.kafka_answers(HOST, context.ports.kafka),
    environment=lambda context: own_broker(_endpoint(context)),
    endpoint=_endpoint,
    ready_timeout_s=60.0,
)
