"""A topic with replicas keeps what is acknowledged when a broker is lost: made so, told where it is not."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mesh.kafka import QUIET_CONFIG
from mesh.settings import KafkaSettings
from mesh.topic_replicas import MIN_IN_SYNC, describe_replicas, make_replicas_safe, total_risk
from mesh.topics import ALL_TOPICS, COMMANDS, DEAD_LETTERS, PARTITIONS, RECEIPTS
from stack.engines import kafka as pocket
from stack.engines.native import kafka as native
from stack.engines.spec import EngineSpec
from stack.provision import prepare_topics
from tests.support.brokers import CLUSTER
from tests.support.engine_pool import Lease
from tests.support.waiting import eventually

_TIMEOUT_S = 20.0


@pytest.fixture
def cluster(lease: Lease) -> KafkaSettings:
    """Return what leads to three brokers without a topic."""
    return _settings(lease, CLUSTER)


def _settings(lease: Lease, engine: EngineSpec) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=lease("kafka", among=[engine]).endpoints["kafka"])


@contextmanager
def _admin(kafka: KafkaSettings) -> Iterator[AdminClient]:
    yield AdminClient({**kafka.client_config("test"), **QUIET_CONFIG})


def _create(admin: AdminClient, topic: str, **config: str) -> None:
    """Create a topic as somebody else would."""
    new = NewTopic(topic, num_partitions=PARTITIONS, config=config)
    admin.create_topics([new])[topic].result(_TIMEOUT_S)


def _min_in_sync(admin: AdminClient) -> dict[str, str]:
    return {topic.topic: topic.settings[MIN_IN_SYNC] for topic in describe_replicas(admin, timeout_s=_TIMEOUT_S)}


def test_topics_are_made_so_that_two_brokers_have_what_is_acknowledged(cluster: KafkaSettings) -> None:
    """How many replicas there are is the cluster's own choice; that two have a record follows from it."""
    prepare_topics(cluster)
    with _admin(cluster) as admin:
        assert {topic.replicas for topic in describe_replicas(admin, timeout_s=_TIMEOUT_S)} == {3}
        assert _min_in_sync(admin) == dict.fromkeys(ALL_TOPICS, "2")
    prepare_topics(cluster)  # safe to repeat


def test_topics_of_an_earlier_release_are_made_safe_too(cluster: KafkaSettings) -> None:
    """They have the cluster's own setting: nobody has chosen it for them."""
    with _admin(cluster) as admin:
        for topic in ALL_TOPICS:
            _create(admin, topic)
        eventually(lambda: _min_in_sync(admin) == dict.fromkeys(ALL_TOPICS, "1"), _TIMEOUT_S)
        prepare_topics(cluster)
        assert _min_in_sync(admin) == dict.fromkeys(ALL_TOPICS, "2")


def test_what_somebody_chose_for_a_topic_stays_and_is_told(cluster: KafkaSettings) -> None:
    """Whoever gives up safety on purpose is not overruled, but reads what it means, and what to set."""
    with _admin(cluster) as admin:
        _create(admin, COMMANDS, **{MIN_IN_SYNC: "1"})
        _create(admin, RECEIPTS, **{MIN_IN_SYNC: "3"})
        with structlog.testing.capture_logs() as logs:
            prepare_topics(cluster)
        assert _min_in_sync(admin) == {COMMANDS: "1", RECEIPTS: "3", DEAD_LETTERS: "2"}
    (warning,) = [
        entry["event"] for entry in logs if entry["log_level"] == logging.getLevelName(logging.WARNING).lower()
    ]
    assert "what is acknowledged may be lost with one broker" in warning
    assert f"{COMMANDS} has {MIN_IN_SYNC}=1 with 3 replicas: set {MIN_IN_SYNC}=2" in warning
    assert RECEIPTS not in warning


@pytest.mark.parametrize("engine", [pocket.ENGINE, native.ENGINE], ids=["pocket", "kafka"])
def test_one_broker_works_and_is_no_news(lease: Lease, engine: EngineSpec) -> None:
    """There is one replica, nothing is set, and nothing is told of it."""
    kafka = _settings(lease, engine)
    with structlog.testing.capture_logs() as logs:
        prepare_topics(kafka)
    assert logs == []
    with _admin(kafka) as admin:
        topics = describe_replicas(admin, timeout_s=_TIMEOUT_S)
        assert [(topic.topic, topic.replicas, topic.settings) for topic in topics] == [
            (name, 1, {}) for name in ALL_TOPICS
        ]
        assert total_risk(topics) == ""
        assert make_replicas_safe(admin) == ""
