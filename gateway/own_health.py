"""What a gateway tells of its own health: whether Kafka takes its commands, and receipts come and are kept."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from confluent_kafka import KafkaException

from gateway.operations.tracker import OperationTracker
from gateway.producer import CommandProducer
from gateway.topic_watch import TopicWatch
from mesh.errors import Reason
from mesh.health.part import PartHealth
from mesh.threads import CriticalThreads

_INTERVAL_S: Final = 1.0
_UNACKNOWLEDGED: Final = "commands are not acknowledged yet"


class GatewayHealth:
    """Looks at the gateway's parts once a second, from the event loop."""

    def __init__(
        self,
        health: PartHealth,
        producer: CommandProducer,
        topic_watch: TopicWatch,
        tracker: OperationTracker,
        ask_kafka: Callable[[], Awaitable[object]],
    ) -> None:
        """`ask_kafka` raises KafkaException where no broker answers."""
        self._health = health
        self._producer = producer
        self._topic_watch = topic_watch
        self._tracker = tracker
        self._ask_kafka = ask_kafka
        self._task: asyncio.Task[None] | None = None
        self._bursts = 0  # of the producer, at the last look
        self._told: set[str] = set()

    def start(self, threads: CriticalThreads) -> None:
        """Begin to look. A look that fails ends the process, as a thread that dies does."""
        self._task = threads.watch("own-health", asyncio.create_task(self._run(), name="own health"))

    def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(_INTERVAL_S)

    async def look(self) -> None:
        """Look once."""
        self._health.beat()
        following = self._tracker.following
        self._tell(
            "kafka",
            Reason.KAFKA_UNAVAILABLE,
            self._topic_watch.trouble or await self._kafka_trouble() or following.kafka_trouble,
        )
        self._tell("redis", Reason.STORE_UNAVAILABLE, following.redis_trouble)
        self._tell("schema_registry", Reason.REGISTRY_UNAVAILABLE, following.registry_trouble)
        self._health.gauge("passed_over", following.passed_over)
        self._health.lag(following.behind, following.behind_ms)

    async def _kafka_trouble(self) -> str:
        """Return why commands are not taken; empty where they are, or where Kafka is back and none has come since."""
        bursts, self._bursts = self._bursts, self._producer.settled_bursts
        trouble = self._producer.trouble
        if not trouble and self._producer.in_flight and bursts == self._bursts:
            trouble = _UNACKNOWLEDGED
        # Whom Kafka refuses it may well answer: that it does says nothing then.
        if not trouble or self._producer.in_flight or self._producer.is_refused:
            return trouble
        try:
            await self._ask_kafka()
        except KafkaException:
            return trouble
        return ""

    def _tell(self, dependency: str, reason: Reason, trouble: str) -> None:
        if trouble:
            self._told.add(dependency)
            self._health.waiting(dependency, reason.name, trouble)
        elif dependency in self._told:  # what others have told is theirs to take back
            self._told.remove(dependency)
            self._health.going_on(dependency)
