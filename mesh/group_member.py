"""A member of a consumer group that comes back to it, also where librdkafka does not."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import Final

import structlog
from confluent_kafka import Consumer, TopicPartition

from mesh.kafka import PassOver
from mesh.telemetry.logs import KAFKA_LOG

REJOIN_MAX_S: Final = 30.0  # a session that is over is noticed in 6 s, and a rebalance ends within another 6

_LOG = structlog.stdlib.get_logger(__name__)

PartitionsHandler = Callable[[Consumer, list[TopicPartition]], None]


class GroupMember:
    """Subscribes a consumer, and puts another in its place once it has been outside its group for too long.

    librdkafka 2.16 was seen to stay outside for good after its broker had hung and gone on: its join state remains
    `wait-metadata`, while every other call to the broker succeeds. Inside its group, it was seen to fetch nothing of a
    topic that was made anew. For one thread.
    """

    def __init__(
        self,
        config: Mapping[str, str | int | bool | Callable[..., None]],
        topics: Collection[str],
        *,
        on_assign: PartitionsHandler,
        on_revoke: PartitionsHandler,
        on_lost: PartitionsHandler,
        on_passed_over: Callable[[], None],
        rejoin_max_s: float = REJOIN_MAX_S,
    ) -> None:
        """`config` is librdkafka's. `on_passed_over` is called for each record of a batch that cannot be unpacked."""
        self._config = dict(config)
        self._topics = list(topics)
        self._handle_assign, self._handle_revoke, self._handle_lost = on_assign, on_revoke, on_lost
        self._on_passed_over = on_passed_over
        self._rejoin_max_s = rejoin_max_s
        # Without it, each rebalance takes all partitions away first.
        self._is_cooperative = config.get("partition.assignment.strategy") == "cooperative-sticky"
        self._subscribe()

    def ask_anew(self) -> None:
        """Have the consumer made anew at the next look: what is there does not come to it. Any thread may."""
        self._is_asked = True

    def look(self) -> bool:
        """Make the consumer anew if it is time to, and tell whether it was. To be called before each read."""
        since_s = self._outside_since_s
        if not self._is_asked and (since_s is None or time.monotonic() < since_s + self._rejoin_max_s):
            return False
        _LOG.warning("consumer is made anew", is_outside=since_s is not None)
        self.consumer.close()
        self._subscribe()
        return True

    def _subscribe(self) -> None:
        self._is_asked = False
        self._outside_since_s: float | None = time.monotonic()
        self.consumer = Consumer(self._config, logger=KAFKA_LOG)
        self.pass_over = PassOver(self.consumer, self._on_passed_over)
        self.consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._outside_since_s = None
        self._handle_assign(consumer, partitions)

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        if not self._is_cooperative:
            self._outside_since_s = time.monotonic()
        self._handle_revoke(consumer, partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._outside_since_s = time.monotonic()
        self._handle_lost(consumer, partitions)
