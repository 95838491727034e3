"""A lane's reading end, on a real broker."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

from mesh.settings import KafkaSettings
from mesh.topics import COMMANDS, PARTITIONS, create_topics
from processor.lanes.source import KafkaSource
from tests.support.engine_pool import Lease
from tests.support.freezing import frozen
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


def test_a_consumer_that_stays_outside_its_group_is_made_anew(lease: Lease) -> None:
    """Also while the broker hangs; one that is in its group stays. What comes is read once the broker goes on."""
    engines = lease("kafka")
    settings = KafkaSettings(bootstrap_servers=engines.endpoints["kafka"])
    create_topics(settings.client_config("test"))
    source = KafkaSource(settings, "outside", _GROUP, rejoin_max_s=1.0)
    read: set[int] = set()

    def is_new(logs: Sequence[Mapping[str, Any]]) -> bool:
        read.update(record.partition for record in source.read(100, 0.05))
        return any(line["event"] == "consumer is made anew" for line in logs)

    try:
        with capture_logs() as logs:
            eventually(lambda: is_new(logs) or source.is_member(), _TIMEOUT_S, interval_s=0)
            logs.clear()
            in_group_until_s = time.monotonic() + 2.0
            eventually(lambda: is_new(logs) or time.monotonic() > in_group_until_s, _TIMEOUT_S, interval_s=0)
            assert not is_new(logs)
            assert len(source.partitions() or ()) == PARTITIONS
            with frozen(engines.pid("kafka")):
                eventually(lambda: is_new(logs), _TIMEOUT_S, interval_s=0)
                assert not source.is_member()
        # Made anew every second, it may be put out again while the group waits for its former selves.
        eventually(lambda: is_new(()) or len(source.partitions() or ()) == PARTITIONS, 60, interval_s=0)
        _fill(settings)
        eventually(lambda: is_new(()) or len(read) == PARTITIONS, _TIMEOUT_S, interval_s=0)
    finally:
        source.close()


def _fill(settings: KafkaSettings) -> None:
    """Put one record into every partition."""
    producer = Producer(settings.client_config("test"))
    for partition in range(PARTITIONS):
        producer.produce(COMMANDS, b"a command", partition=partition)
    assert producer.flush(_TIMEOUT_S) == 0
