"""Kafka-protocol brokers for tests: what runs one, and short forms of what clients do.

CONFORMANCE_KAFKA_BOOTSTRAP_SERVERS names a broker of somebody else's, which is held to the same suite, but for the
tests that kill it. Their topics stay there.
"""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any, Final
from uuid import uuid4

from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mesh.settings import KafkaSettings
from stack import probes
from stack.engines import kafka as pocket
from stack.engines.native import NATIVE, kafka
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, EngineSpec, StackContext
from tests.support.engine_pool import Lease
from tests.support.tools import go_tool

PARTITIONS: Final = 6
_TIMEOUT_S: Final = 20.0


def _kfake(brokers: int) -> EngineSpec:
    def command(context: StackContext) -> CommandLine:
        folder = context.folder(f"kfake-{brokers}")
        argv = (str(go_tool("kfake")), str(context.ports.kafka), str(folder), str(brokers))
        return CommandLine(argv=argv, env=bare_environment(), cwd=folder)

    return EngineSpec(
        name="kafka",
        ports=("kafka",),
        command=command,
        is_ready=lambda context: probes.kafka_answers(HOST, context.ports.kafka),
        environment=lambda context: {"KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{context.ports.kafka}"},
        endpoint=lambda context: f"{HOST}:{context.ports.kafka}",
    )


_KFAKE: Final = _kfake(1)
# Three brokers in one process: a topic has three replicas there, as its answers tell.
CLUSTER: Final = _kfake(3)
_EXTERNAL: Final = "external"
_VARIABLE: Final = "CONFORMANCE_KAFKA_BOOTSTRAP_SERVERS"
BROKERS: Final[dict[str, EngineSpec]] = {"pocket": pocket.ENGINE, "kafka": kafka.ENGINE, "kfake": _KFAKE}


def all_brokers() -> list[str]:
    """Return the names of the brokers that the platform knows, and of the one that the environment names."""
    return [*BROKERS, *([_EXTERNAL] if os.environ.get(_VARIABLE) else [])]


class Broker:
    """A broker on a free port, over one data folder that outlives its process; or somebody else's."""

    def __init__(self, name: str, lease: Lease) -> None:
        """Start it, empty, where it is one of the platform's. The native one is the one that other tests use too."""
        among = NATIVE if name == "kafka" else [BROKERS[name]] if name in BROKERS else []
        self._engines = lease(*(["kafka"] if among else []), among=among)
        self.config: dict[str, Any] = {
            "bootstrap.servers": self._engines.endpoints.get("kafka") or os.environ[_VARIABLE],
            "reconnect.backoff.max.ms": 500,
            "log_level": 2,  # attempts to connect to a broker that was killed are no news
        }
        # What the platform asks of this one: some let a group wait for half a session, or a reader for a whole fetch.
        asked = {name.removeprefix("KAFKA_").lower(): value for name, value in self._engines.settings.items()}
        self._kafka = KafkaSettings.model_validate(asked)

    @property
    def settings(self) -> KafkaSettings:
        """What leads the platform's own clients to it."""
        return self._kafka.model_copy(update={"bootstrap_servers": self.config["bootstrap.servers"]})

    def start(self) -> None:
        """Start the process where it does not run, and wait until it answers."""
        self._engines.start_all()

    def kill(self) -> None:
        """Send it SIGKILL, and wait until it is dead."""
        self._engines.kill("kafka")

    def stop(self) -> None:
        """Stop it as the supervisor would, and wait until it has ended."""
        self._engines.stop("kafka")

    def admin(self) -> AdminClient:
        """Return a client that creates and describes topics."""
        return AdminClient(self.config)

    def topic(self, partitions: int = PARTITIONS) -> str:
        """Create a topic that nobody else uses, and return its name."""
        name = f"topic-{uuid4().hex}"
        admin = self.admin()  # has to outlive its answers
        admin.create_topics([NewTopic(name, num_partitions=partitions)])[name].result(_TIMEOUT_S)
        return name

    def producer(self, **config: Any) -> Producer:
        """Return a producer as the gateway's: idempotent, acks=all."""
        return Producer(self.config | {"acks": "all", "enable.idempotence": True, "linger.ms": 1} | config)

    @contextmanager
    def consumer(self, group: str, topics: Collection[str], **config: Any) -> Iterator[Consumer]:
        """Run a consumer as a lane's: offsets committed by hand, from the beginning where there are none.

        Without topics it joins no group.
        """
        made = Consumer(
            self.config
            | self._kafka.group_config(group)
            | {
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": "cooperative-sticky",
            }
            | config
        )
        # With a callback, as a lane has one, partitions are taken away in a poll: not between a record and its commit.
        if topics:
            made.subscribe(list(topics), on_revoke=lambda *_: None)
        try:
            yield made
        finally:
            _close(made)


def _close(consumer: Consumer) -> None:
    """Close it, within a bound: librdkafka has waited for ever where a group's join was under way."""
    closing = Thread(target=consumer.close, daemon=True)
    closing.start()
    closing.join(_TIMEOUT_S)
    assert not closing.is_alive(), f"the consumer was not closed within {_TIMEOUT_S} s"


def read(consumer: Consumer, count: int, timeout_s: float = _TIMEOUT_S) -> list[Message]:
    """Return the next `count` records; fewer come with an AssertionError."""
    seen: list[Message] = []
    for _ in range(int(timeout_s / 0.1)):
        seen += [message for message in consumer.consume(count, 0.1) if message.error() is None]
        if len(seen) >= count:
            return seen
    raise AssertionError(f"{len(seen)} of {count} records came within {timeout_s} s")
