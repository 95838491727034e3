"""With which replicas and settings of a topic an acknowledged record may be lost with one broker, and what is said."""

import pytest

from mesh.settings import KafkaSettings
from mesh.topic_replicas import MIN_IN_SYNC, UNCLEAN_ELECTION, TopicReplicas, total_risk
from mesh.topics import COMMANDS, PARTITIONS

_SAFE = {MIN_IN_SYNC: "2", UNCLEAN_ELECTION: "false"}


@pytest.mark.parametrize(
    ("replicas", "brokers", "settings", "weak"),
    [
        (1, 1, {}, {}),  # one broker
        (3, 3, _SAFE, {}),
        (2, 2, _SAFE, {}),
        (3, 3, {**_SAFE, MIN_IN_SYNC: "3"}, {}),
        (3, 3, {**_SAFE, MIN_IN_SYNC: "1"}, {MIN_IN_SYNC: "2"}),
        (2, 5, {**_SAFE, MIN_IN_SYNC: "1"}, {MIN_IN_SYNC: "2"}),
        (3, 3, {**_SAFE, UNCLEAN_ELECTION: "true"}, {UNCLEAN_ELECTION: "false"}),
        (3, 3, {MIN_IN_SYNC: "1", UNCLEAN_ELECTION: "true"}, _SAFE),
        (3, 3, {MIN_IN_SYNC: "1"}, {MIN_IN_SYNC: "2"}),  # a broker that knows nothing of elections
        (3, 3, {}, {}),  # one that tells nothing
        (3, 3, {MIN_IN_SYNC: "?"}, {}),
    ],
)
def test_what_is_weak_is_told_with_what_to_set(
    replicas: int, brokers: int, settings: dict[str, str], weak: dict[str, str]
) -> None:
    """The sentence names the topic, what it has, and each value that it needs."""
    topic = TopicReplicas(COMMANDS, replicas, brokers, settings)
    assert topic.weak_settings == weak
    assert bool(topic.risk) == bool(weak)
    for name, value in weak.items():
        assert f"{name}={settings[name]}" in topic.risk
        assert f"{name}={value}" in topic.risk.partition("set ")[2]


def test_one_replica_among_several_brokers_is_a_risk() -> None:
    """A setting cannot help: the topic has to be given replicas."""
    topic = TopicReplicas(COMMANDS, 1, 3, {})
    assert topic.weak_settings == {}
    assert "one replica on 3 brokers" in topic.risk
    assert total_risk([topic, TopicReplicas("other", 3, 3, _SAFE)]).count(" topic ") == 1
    assert total_risk([]) == ""


def test_the_settings_know_how_many_partitions_a_topic_is_made_with() -> None:
    """They import no client of Kafka's, so that the number stands there once more."""
    assert KafkaSettings.model_fields["command_partitions"].default == PARTITIONS
