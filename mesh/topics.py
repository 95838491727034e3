"""Kafka's topics and record headers, and their creation."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaError, NewTopic

COMMANDS: Final = "user_events"
RECEIPTS: Final = "response_events"
DEAD_LETTERS: Final = "user_events.dlq"
ALL_TOPICS: Final = (COMMANDS, RECEIPTS, DEAD_LETTERS)
PARTITIONS: Final = 6  # what a topic is made with; the commands' may be given more, see KAFKA_COMMAND_PARTITIONS
_RETENTION_MS: Final = {COMMANDS: 7 * 86_400_000, RECEIPTS: 7 * 86_400_000, DEAD_LETTERS: 30 * 86_400_000}

# Record headers. The first four are on both topics and part of the public contract.
CORRELATION_ID: Final = "correlation_id"  # identifies the command: a UUID of version 7
COMMAND: Final = "command"  # the command's name, such as `CreateUser`
TRACEPARENT: Final = "traceparent"  # the W3C trace context
TRACESTATE: Final = "tracestate"  # its vendors' part, where there is one
ACCEPT_TIME: Final = "accept_time"  # milliseconds since the epoch, in decimal
SERVICE: Final = "service"  # the gateway that accepted the command
STORES: Final = "stores"  # on commands: the stores that are to apply it, in capitals, with commas between them
# On commands whose client gave a `request_id`: what tells the request from another one, in hexadecimal digits.
REQUEST_FINGERPRINT: Final = "request_fingerprint"
STORE: Final = "store"  # on receipts: the store that answers
REDRIVES: Final = "redrives"  # on commands: how often it was sent again from the dead-letter topic, in decimal
FIRST_OFFSET: Final = "first_offset"  # on commands that were sent again: where it was at first, in the same partition
REDRIVE_ACTION: Final = "redrive_action"  # on commands that were sent again: one of mesh.envelope.RedriveAction
REDRIVE_STORES: Final = "redrive_stores"  # likewise: the stores that are to act, with commas between; all, if absent
PRINCIPAL: Final = "principal"  # on commands that were sent again: who did it, as they call themselves
JUSTIFICATION: Final = "justification"  # likewise: why
DLQ_REASON: Final = "dlq.reason"  # the reason, as in ErrorInfo
DLQ_ERROR: Final = "dlq.error"  # what happened, without a value of the record
DLQ_TOPIC: Final = "dlq.topic"  # the topic that it came from
DLQ_PARTITION: Final = "dlq.partition"  # its partition there
DLQ_OFFSET: Final = "dlq.offset"  # its offset there
DLQ_LANE: Final = "dlq.lane"  # the lane that gave it up
DLQ_STORE: Final = "dlq.store"  # that lane's store
DLQ_TIME: Final = "dlq.time"  # milliseconds since the epoch, in decimal
DLQ_OMITTED: Final = "dlq.omitted_bytes"  # the size of a record too large for the topic: only its place is told

Headers = Sequence[tuple[str, bytes | str | None]]


class WrongPartitionsError(Exception):
    """The topic of the commands is there, with another number of partitions than the settings say.

    Its message says what to do.
    """

    def __init__(self, partitions: int, wanted: int) -> None:
        """`partitions` is how many the topic has, `wanted` how many the settings say."""
        super().__init__(wrong_partitions(partitions, wanted))
        self.partitions = partitions


def lane_group(store_name: str) -> str:
    """Return the consumer group of a store's lanes."""
    return f"processor-{store_name.lower()}"


def partition_of(key: bytes, partitions: int) -> int:
    """Return the partition that a key has among so many, as librdkafka gives it (its `consistent` partitioners)."""
    return zlib.crc32(key) % partitions


def create_topics(
    client_config: Mapping[str, str | int | bool], command_partitions: int = PARTITIONS, *, timeout_s: float = 30.0
) -> None:
    """Create what topics are missing.

    Raises KafkaException when the broker does not answer in time, and WrongPartitionsError where the commands' topic
    is there with another number of partitions than `command_partitions`.
    """
    admin = AdminClient(dict(client_config))
    wanted = [
        NewTopic(
            name,
            num_partitions=command_partitions if name == COMMANDS else PARTITIONS,
            replication_factor=-1,
            config={"retention.ms": str(retention)},
        )
        for name, retention in _RETENTION_MS.items()
    ]
    existing = admin.list_topics(timeout=timeout_s).topics
    commands = existing.get(COMMANDS)
    if commands is not None and len(commands.partitions) != command_partitions:
        raise WrongPartitionsError(len(commands.partitions), command_partitions)
    missing = [topic for topic in wanted if topic.topic not in existing]
    if not missing:
        return
    for future in admin.create_topics(missing, request_timeout=timeout_s).values():
        try:
            future.result(timeout_s)
        except KafkaException as error:
            # Another process of the platform may create the same topics at the same moment.
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def wrong_partitions(partitions: int, wanted: int) -> str:
    """Return what is wrong with a commands' topic of so many partitions, and what to do about it."""
    said = (
        f"the topic {COMMANDS} has {partitions} partitions instead of {wanted}, and commands of one key would not stay "
        "in one of them: "
    )
    if partitions < wanted:
        return (
            f"{said}stop the gateways, stop the lanes when they have applied what there is, and run `python -m "
            f"stack.provision`, which adds the partitions; or set KAFKA_COMMAND_PARTITIONS={partitions}"
        )
    return (
        f"{said}stop the gateways, wait until the lanes have applied what there is, set KAFKA_COMMAND_PARTITIONS="
        f"{partitions}, and start again"
    )


def topic_incarnation(client_config: Mapping[str, str | int | bool], topic: str, *, timeout_s: float = 10.0) -> str:
    """Return the topic's ID, which changes when a topic is made anew and its offsets start over."""
    admin = AdminClient(dict(client_config))
    description = admin.describe_topics(TopicCollection([topic]), request_timeout=timeout_s)[topic].result(timeout_s)
    return str(description.topic_id)
