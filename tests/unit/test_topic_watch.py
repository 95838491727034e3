"""A gateway takes no command for a topic that is gone or wrong, says what to do, and goes on with a new one."""

from typing import Final

import pytest

from gateway.topic_watch import FoundTopic, TopicWatch
from mesh.settings import KafkaSettings
from mesh.threads import CriticalThreads
from mesh.topic_replicas import MIN_IN_SYNC, TopicReplicas
from mesh.topics import COMMANDS, DEAD_LETTERS, PARTITIONS, RECEIPTS

_ALL: Final[dict[str, FoundTopic | None]] = {
    name: FoundTopic(f"id of {name}", PARTITIONS) for name in (COMMANDS, RECEIPTS, DEAD_LETTERS)
}


class _Producer:
    """Takes note of what it is told."""

    def __init__(self) -> None:
        self.refusal = ""
        self.renewals = 0

    def refuse(self, why: str) -> None:
        """Take no command."""
        self.refusal = why

    def renew(self) -> None:
        """Begin anew."""
        self.renewals += 1


@pytest.fixture
def producer() -> _Producer:
    """Return who sends commands."""
    return _Producer()


@pytest.fixture
def watch(producer: _Producer) -> TopicWatch:
    """Return one that has found all topics once."""
    made = TopicWatch(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "test", CriticalThreads(), producer)
    made.take(_ALL)
    assert (producer.refusal, producer.renewals, made.trouble) == ("", 0, "")
    return made


@pytest.mark.parametrize("missing", [COMMANDS, RECEIPTS])
def test_no_command_is_taken_where_it_or_its_answer_would_be_nowhere(
    watch: TopicWatch, producer: _Producer, missing: str
) -> None:
    """What to do is said; commands are taken again once the topic is there."""
    watch.take({**_ALL, missing: None})
    assert missing in producer.refusal
    assert "python -m stack.provision" in producer.refusal
    assert watch.trouble == producer.refusal
    watch.take(_ALL)
    assert (producer.refusal, watch.trouble) == ("", "")


def test_commands_are_taken_without_a_place_for_dead_letters(watch: TopicWatch, producer: _Producer) -> None:
    """Yet it is told: a lane that has something to set apart waits for it."""
    watch.take({**_ALL, DEAD_LETTERS: None})
    assert producer.refusal == ""
    assert DEAD_LETTERS in watch.trouble


def test_the_number_of_partitions_is_the_settings(producer: _Producer) -> None:
    """A topic that has grown is right where the settings say so; where it has not yet, what to do is said."""
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1", command_partitions=12)
    watch = TopicWatch(settings, "test", CriticalThreads(), producer)
    watch.take({**_ALL, COMMANDS: FoundTopic("id", 12)})
    assert producer.refusal == ""
    watch.take(_ALL)
    assert f"{PARTITIONS} partitions instead of 12" in producer.refusal
    assert "python -m stack.provision" in producer.refusal


def test_a_risk_is_told_and_commands_are_taken(watch: TopicWatch, producer: _Producer) -> None:
    """How much a cluster keeps is for whoever runs it to say."""
    weak = TopicReplicas(COMMANDS, 3, 3, {MIN_IN_SYNC: "1"})
    watch.take_replicas([weak])
    assert weak.risk in watch.risk
    assert (producer.refusal, watch.trouble) == ("", "")
    watch.take_replicas([TopicReplicas(COMMANDS, 3, 3, {MIN_IN_SYNC: "2"})])
    assert watch.risk == ""


@pytest.mark.parametrize("partitions", [1, PARTITIONS - 2, PARTITIONS + 1])
def test_another_number_of_partitions_is_refused(watch: TopicWatch, producer: _Producer, partitions: int) -> None:
    """Commands of one key would not stay in order. The other topics need none."""
    watch.take({**_ALL, COMMANDS: FoundTopic("id", partitions)})
    assert f"{partitions} partitions instead of {PARTITIONS}" in producer.refusal
    watch.take({**_ALL, RECEIPTS: FoundTopic("id", partitions), DEAD_LETTERS: FoundTopic("id", partitions)})
    assert producer.refusal == ""


def test_a_topic_that_was_made_anew_gets_a_new_producer(watch: TopicWatch, producer: _Producer) -> None:
    """Also where nobody looked while it was away; an answer that tells the same topic is no news."""
    watch.take(_ALL)
    assert producer.renewals == 0
    watch.take({**_ALL, COMMANDS: None})
    watch.take({**_ALL, COMMANDS: FoundTopic("another", PARTITIONS)})
    assert producer.renewals == 1
    watch.take({**_ALL, COMMANDS: FoundTopic("yet another", PARTITIONS)})
    watch.take({**_ALL, RECEIPTS: FoundTopic("another", PARTITIONS), COMMANDS: FoundTopic("yet another", PARTITIONS)})
    assert producer.renewals == 2
