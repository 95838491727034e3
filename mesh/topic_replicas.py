"""How many brokers have a record before it is acknowledged.

A record that `acks=all` has acknowledged is on every replica that is in sync, and on no more than that. If a topic asks
for one replica in sync, its leader alone may acknowledge, and what it acknowledged so is lost with it. So a topic with
replicas asks for two. With two replicas, records are then refused while one of their brokers is away; with three they
are not.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource, ConfigSource
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.admin._resource import ResourceType

from mesh.topics import ALL_TOPICS

MIN_IN_SYNC: Final = "min.insync.replicas"
UNCLEAN_ELECTION: Final = "unclean.leader.election.enable"
# What a topic with more than one replica is given.
_WANTED: Final[Mapping[str, str]] = {MIN_IN_SYNC: "2", UNCLEAN_ELECTION: "false"}
_PROPAGATION_MAX_S: Final = 10.0  # until every broker knows of what was just made or set
_LOOK_INTERVAL_S: Final = 0.2

_LOG = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TopicReplicas:
    """How a topic is replicated, as its brokers tell it."""

    topic: str
    replicas: int  # of the partition that has the fewest
    brokers: int  # in the cluster
    settings: Mapping[str, str]  # the values that count, of those that matter here; empty where they are not told
    chosen: Collection[str] = ()  # the names of those that were set for this topic, not for the whole cluster

    @property
    def weak_settings(self) -> Mapping[str, str]:
        """The settings with which an acknowledged record may be lost with one broker, with the values to set."""
        if self.replicas < 2:
            return {}
        return {name: _WANTED[name] for name, value in self.settings.items() if not _is_safe(name, value)}

    @property
    def risk(self) -> str:
        """How an acknowledged record may be lost with one broker, and what to do; empty where it may not.

        One broker alone is no risk to tell of: it was chosen, and nothing can be set about it.
        """
        if self.replicas == 1 and self.brokers > 1:
            return (
                f"the topic {self.topic} has one replica on {self.brokers} brokers: give it three "
                "(kafka-reassign-partitions), then run `python -m stack.provision`"
            )
        weak = self.weak_settings
        if not weak:
            return ""
        has = " and ".join(f"{name}={self.settings[name]}" for name in weak)
        needs = " and ".join(f"{name}={value}" for name, value in weak.items())
        return f"the topic {self.topic} has {has} with {self.replicas} replicas: set {needs} for it"


def _is_safe(name: str, value: str) -> bool:
    if name == UNCLEAN_ELECTION:
        return value != "true"
    return not value.isdecimal() or int(value) >= int(_WANTED[name])


def describe_replicas(admin: AdminClient, *, timeout_s: float) -> list[TopicReplicas]:
    """Return how those of the platform's topics that are there are replicated.

    A broker is asked for settings only where there are replicas; one that does not tell them, as one of another make
    or one that refuses the privilege, leaves them out. Raises KafkaException when no broker answers.
    """
    told = admin.list_topics(timeout=timeout_s)
    counts = _replica_counts(told)
    settings = _ask_settings(admin, [topic for topic, count in counts.items() if count > 1], timeout_s)
    return [
        TopicReplicas(topic, count, len(told.brokers), *_values(settings.get(topic, {})))
        for topic, count in counts.items()
    ]


def total_risk(topics: Iterable[TopicReplicas]) -> str:
    """Return the risks of all topics in one sentence; empty where there are none."""
    risks = [topic.risk for topic in topics if topic.risk]
    return f"what is acknowledged may be lost with one broker: {'; '.join(risks)}" if risks else ""


def make_replicas_safe(admin: AdminClient, *, timeout_s: float = 30.0) -> str:
    """Set what the platform's topics need so that no acknowledged record is lost with one broker.

    What somebody has set for a topic is left as it is. Return the risk that is left, in a sentence; empty where there
    is none. Raises KafkaException when no broker answers.
    """
    is_any_set = False
    for topic in _describe_all(admin, timeout_s):
        to_set = {name: value for name, value in topic.weak_settings.items() if name not in topic.chosen}
        if not to_set:
            continue
        try:
            _set(admin, topic.topic, to_set, timeout_s)
        except KafkaException as error:
            _LOG.warning("a topic's settings cannot be changed", topic=topic.topic, error=str(error), **to_set)
        else:
            is_any_set = True
            _LOG.info("topic made safe", topic=topic.topic, replicas=topic.replicas, **to_set)
    give_up_s = time.monotonic() + (_PROPAGATION_MAX_S if is_any_set else 0.0)
    while True:
        risk = total_risk(describe_replicas(admin, timeout_s=timeout_s))
        if not risk or time.monotonic() >= give_up_s:
            return risk
        time.sleep(_LOOK_INTERVAL_S)


def _describe_all(admin: AdminClient, timeout_s: float) -> list[TopicReplicas]:
    """Describe the topics once all of them are known: a broker may hear of a new one a moment later."""
    give_up_s = time.monotonic() + min(timeout_s, _PROPAGATION_MAX_S)
    while True:
        topics = describe_replicas(admin, timeout_s=timeout_s)
        if len(topics) == len(ALL_TOPICS) or time.monotonic() > give_up_s:
            return topics
        time.sleep(_LOOK_INTERVAL_S)


def _replica_counts(told: ClusterMetadata) -> dict[str, int]:
    counts = {}
    for name in ALL_TOPICS:
        topic = told.topics.get(name)
        if topic is not None and topic.error is None and topic.partitions:
            counts[name] = min(len(partition.replicas) for partition in topic.partitions.values())
    return counts


def _ask_settings(admin: AdminClient, topics: Collection[str], timeout_s: float) -> dict[str, dict[str, ConfigEntry]]:
    if not topics:
        return {}
    asked = admin.describe_configs([_resource(topic) for topic in topics], request_timeout=timeout_s)
    found = {}
    for resource, future in asked.items():
        try:
            found[resource.name] = future.result(timeout_s)
        except KafkaException as error:
            _LOG.warning("a topic's settings are not told", topic=resource.name, error=str(error))
        except TimeoutError:
            _LOG.warning("a topic's settings are not told", topic=resource.name, error="no answer in time")
    return found


def _values(entries: Mapping[str, ConfigEntry]) -> tuple[dict[str, str], frozenset[str]]:
    """Return the values that matter, and which of them were set for the topic itself."""
    known = {name: entries[name] for name in _WANTED if name in entries}
    values = {name: entry.value for name, entry in known.items() if entry.value is not None}
    own = ConfigSource.DYNAMIC_TOPIC_CONFIG.value
    return values, frozenset(name for name, entry in known.items() if _source(entry) == own)


def _source(entry: ConfigEntry) -> int:
    # The client gives the bare number of the protocol, though its types say otherwise.
    return entry.source.value if isinstance(entry.source, ConfigSource) else int(entry.source)


def _set(admin: AdminClient, topic: str, settings: Mapping[str, str], timeout_s: float) -> None:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource], request_timeout=timeout_s).values():
        future.result(timeout_s)


def _resource(topic: str) -> ConfigResource:
    return ConfigResource(ResourceType.TOPIC, topic)
