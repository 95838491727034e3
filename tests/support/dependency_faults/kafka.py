"""Kafka's states."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from mesh.topics import COMMANDS, RECEIPTS
from tests.support.dependency_faults.cell import Cause
from tests.support.dependency_faults.world import World

_TIMEOUT_S: Final = 30.0


def topics_have(name: str, value: str, *topics: str) -> Cause:
    """Set a topic's configuration, and in the end take it back."""

    @contextmanager
    def cause(world: World) -> Iterator[None]:
        _alter(world, AlterConfigOpType.SET, name, value, topics)
        try:
            yield
        finally:
            _alter(world, AlterConfigOpType.DELETE, name, value, topics)

    return cause


# One replica is there, and two are asked for: NOT_ENOUGH_REPLICAS for each write, and reads go on.
takes_no_writes = topics_have("min.insync.replicas", "2", COMMANDS, RECEIPTS)
takes_no_receipts = topics_have("min.insync.replicas", "2", RECEIPTS)


def _alter(world: World, operation: AlterConfigOpType, name: str, value: str, topics: tuple[str, ...]) -> None:
    admin = AdminClient({"bootstrap.servers": world.kafka})
    resources = [
        ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[ConfigEntry(name, value, incremental_operation=operation)],
        )
        for topic in topics
    ]
    for altered in admin.incremental_alter_configs(resources).values():
        altered.result(_TIMEOUT_S)
