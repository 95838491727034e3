"""A lane's reading end, on a real broker."""

import pytest
from confluent_kafka import Producer

from mesh.settings import KafkaSettings
from mesh.topics import COMMANDS, PARTITIONS, create_topics
from processor.lanes.source import KafkaSource
from tests.support.engine_pool import Lease
from tests.support.waiting import eventually

_GROUP = "processor-test"
_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def settings(lease: Lease) -> KafkaSettings:
    """Run a broker with the platform's topics."""
    found = KafkaSettings(bootstrap_servers=lease("kafka").endpoints["kafka"])
    create_topics(found.client_config("test"))
    return found


def test_partitions_lost_while_it_waits_are_read_when_they_come_back(settings: KafkaSettings) -> None:
    """A lane that waits for its store reads nothing; what it loses then and is given again later, it reads again."""
    first = KafkaSource(settings, "first", _GROUP)
    second: KafkaSource | None = None
    try:
        eventually(lambda: first.read(10, 0.05) or len(first.partitions() or ()) == PARTITIONS, _TIMEOUT_S)
        second = KafkaSource(settings, "second", _GROUP)

        def shared() -> bool:
            first.idle(0.05)
            assert second is not None
            second.read(10, 0.05)
            return len(first.partitions() or ()) == len(second.partitions() or ()) == PARTITIONS / 2

        eventually(shared, _TIMEOUT_S, interval_s=0)
        first.read(10, 0.05)  # its store is back
        second.close()
        second = None
        eventually(lambda: first.read(10, 0.05) or len(first.partitions() or ()) == PARTITIONS, _TIMEOUT_S)

        _fill(settings)
        read: set[int] = set()

        def all_read() -> bool:
            read.update(record.partition for record in first.read(100, 0.05))
            return len(read) == PARTITIONS

        eventually(all_read, _TIMEOUT_S, interval_s=0)
    finally:
        first.close()
        if second is not None:
            second.close()


def _fill(settings: KafkaSettings) -> None:
    """Put one record into every partition."""
    producer = Producer(settings.client_config("test"))
    for partition in range(PARTITIONS):
        producer.produce(COMMANDS, b"a command", partition=partition)
    assert producer.flush(_TIMEOUT_S) == 0
