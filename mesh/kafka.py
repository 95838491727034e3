"""What the platform's Kafka clients have in common: their configuration, and the split of what they read."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from mesh.envelope import KafkaRecord, read_message
from mesh.telemetry.repeats import RepeatCounter

_LOG = structlog.stdlib.get_logger(__name__)
# No batch of the platform's own is compressed, so that none of them is ever passed over. Other errors of a batch, such
# as a broken checksum, may be the network's or a disk's: those are tried again.
CANNOT_UNPACK: Final = KafkaError._BAD_COMPRESSION  # noqa: SLF001 # librdkafka's own name

# An offset is committed when what came before it is done, and never before.
CONSUMER_CONFIG: Final[Mapping[str, str | int | bool]] = {
    "enable.auto.commit": False,
    "auto.offset.reset": "earliest",
}
# What is acknowledged is kept, and is there once however often librdkafka had to send it.
PRODUCER_CONFIG: Final[Mapping[str, str | int | bool]] = {
    "acks": "all",
    "enable.idempotence": True,
    "compression.type": "none",  # see above: whoever reads may pass over what is compressed and can't be unpacked
}
# For clients whose owners log what matters: librdkafka would log every attempt to connect.
QUIET_CONFIG: Final[Mapping[str, str | int | bool]] = {"log_level": 2}


class Batch(NamedTuple):
    """What one read from Kafka brought."""

    records: list[KafkaRecord]
    errors: list[KafkaError]  # without those that say that a partition has no more for the moment


class PassOver:
    """Takes a consumer past batches that librdkafka cannot unpack. One thread at a time.

    It unpacks 100 MB at the most, which zstd makes of three kilobytes, and would ask for the same batch for ever.
    """

    def __init__(self, consumer: Consumer, on_record: Callable[[], None] = lambda: None) -> None:
        """`on_record` is called for each record that is passed over."""
        self._consumer = consumer
        self._on_record = on_record
        self._told = RepeatCounter()
        self._last: dict[tuple[str, int], tuple[int, int]] = {}  # of each partition: a batch's offset, where to go on
        self._sought: set[tuple[str, int]] = set()  # partitions whose seek what is at hand came before

    def begin(self) -> None:
        """Begin with what another read has brought: it came after the seeks of the one before."""
        self._sought.clear()

    def passes(self, message: Message, error: KafkaError) -> bool:
        """Tell whether an error is of such a batch, and go on behind its next record then.

        Where it ends nobody tells: it is gone through a record at a time.
        """
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error.code() != CANNOT_UNPACK or topic is None or partition is None or offset is None or offset < 0:
            return False
        if (topic, partition) in self._sought:
            return True  # told twice before the seek: a second step would pass over a record that can be read
        batch, next_offset = self._last.get((topic, partition), (-1, -1))
        next_offset = next_offset + 1 if batch == offset else offset + 1
        try:
            self._consumer.seek(TopicPartition(topic, partition, next_offset))
        except KafkaException:
            return True  # the partition was taken away meanwhile, or the error comes again
        self._last[topic, partition] = (offset, next_offset)
        self._sought.add((topic, partition))
        self._on_record()
        times = self._told.count()
        if times:
            _LOG.error(
                "records cannot be unpacked: they are passed over",
                times=times,
                topic=topic,
                partition=partition,
                offset=offset,
                error=error.name(),
            )
        return True


def read_batch(messages: Iterable[Message | None], receive_time_ns: int, pass_over: PassOver) -> Batch:
    """Split what `poll` or `consume` returned into records and errors; `receive_time_ns` is since the epoch.

    `pass_over` is the consumer's own.
    """
    records: list[KafkaRecord] = []
    errors: list[KafkaError] = []
    pass_over.begin()
    for message in messages:
        if message is None:
            continue
        error = message.error()
        if error is None:
            records.append(read_message(message, receive_time_ns))
        elif error.code() != KafkaError._PARTITION_EOF and not pass_over.passes(message, error):  # noqa: SLF001
            errors.append(error)
    return Batch(records, errors)
