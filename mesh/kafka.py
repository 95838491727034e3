"""What the platform's Kafka clients have in common: their configuration, and the split of what they read."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, Message

from mesh.envelope import KafkaRecord, read_message

# An offset is committed when what came before it is done, and never before.
CONSUMER_CONFIG: Final[Mapping[str, str | int | bool]] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
}
# What is acknowledged is kept, and is there once however often librdkafka had to send it.
PRODUCER_CONFIG: Final[Mapping[str, str | int | bool]] = {"acks": "all", "enable.idempotence": True}
# For clients whose owners log what matters: librdkafka would log every attempt to connect.
QUIET_CONFIG: Final[Mapping[str, str | int | bool]] = {"log_level": 2}


class Batch(NamedTuple):
    """What one read from Kafka brought."""

    records: list[KafkaRecord]
    errors: list[KafkaError]  # without those that say that a partition has no more for the moment


def read_batch(messages: Iterable[Message | None], receive_time_ns: int) -> Batch:
    """Split what `poll` or `consume` returned into records and errors; `receive_time_ns` is since the epoch."""
    records: list[KafkaRecord] = []
    errors: list[KafkaError] = []
    for message in messages:
        if message is None:
            continue
        error = message.error()
        if error is None:
            records.append(read_message(message, receive_time_ns))
        elif error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 # librdkafka's own name
            errors.append(error)
    return Batch(records, errors)
