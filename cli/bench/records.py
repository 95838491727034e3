"""How many records a topic has been given: the proof that what was acknowledged is there."""

import time
from collections.abc import Mapping

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

_BATCH_RECORDS = 10_000
_POLL_S = 0.05
_METADATA_TIMEOUT_S = 10.0


class RecordCounter:
    """Counts the records of one topic by reading them.

    Reading, since a broker may tell offsets that do not agree with the number of records.
    """

    def __init__(self, client_config: Mapping[str, str | int | bool], topic: str) -> None:
        self._consumer = Consumer(
            {
                **client_config,
                "group.id": "polystream-bench",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "check.crcs": False,
                "fetch.wait.max.ms": 50,
            }
        )
        partitions = self._consumer.list_topics(topic, timeout=_METADATA_TIMEOUT_S).topics[topic].partitions
        self._partitions = [TopicPartition(topic, number) for number in partitions]
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        self._consumer.pause(self._partitions)

    def count_new(self, expected: int, timeout_s: float) -> int:
        """Return how many records were added since the last call.

        Reads until there are `expected` and nothing more follows, or until the timeout.
        Raises KafkaException when the broker does not answer.
        """
        count = 0
        ended: set[int | None] = set()
        deadline = time.monotonic() + timeout_s
        self._consumer.resume(self._partitions)
        while time.monotonic() < deadline:
            for record in self._consumer.consume(_BATCH_RECORDS, _POLL_S):
                error = record.error()
                if error is None:
                    count += 1
                    ended.discard(record.partition())
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - it has no public name
                    ended.add(record.partition())
                else:
                    raise KafkaException(error)
            if count >= expected and len(ended) == len(self._partitions):
                break
        # Between two calls the broker's time belongs to what is measured.
        self._consumer.pause(self._partitions)
        return count

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
