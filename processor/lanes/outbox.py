"""A lane's writing end of Kafka: what is sent is sent whole, or the lane does not go on."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from mesh.telemetry.logs import KAFKA_LOG
from processor.lanes.records import Outgoing

_LOG = structlog.get_logger(__name__)

_CONFIG: Mapping[str, str | int | bool] = {
    "enable.idempotence": True,
    "acks": "all",
    "linger.ms": 0,  # a batch is produced at once and then flushed: there is nothing to wait for
    # Some brokers forget their producers when they start anew, and take nothing from these ones any more.
    "message.timeout.ms": 5000,
    "delivery.report.only.error": True,
}
_FLUSH_SLICE_S = 0.5
_MAX_ATTEMPTS = 60  # of 5 s each at the most: then the process ends, and its supervisor starts another
_FIRST_DELAY_S = 0.1
_MAX_DELAY_S = 2.0


class SendError(Exception):
    """Kafka did not take a batch's answers. What was read since the last commit will be delivered again."""


class Outbox(Protocol):
    """Where a lane's answers go."""

    def send(self, batch: Sequence[Outgoing], idle: Callable[[float], None]) -> None:
        """Send, and return once all of it is acknowledged. `idle` is called while that takes long.

        Raises SendError; whatever `idle` raises ends the wait too.
        """
        ...

    def close(self) -> None:
        """Let go of what is not sent."""
        ...


class KafkaOutbox:
    """The outbox on Kafka."""

    def __init__(self, client_config: Mapping[str, str | int | bool]) -> None:
        self._client_config = client_config
        self._failures: list[str] = []
        self._producer = self._new_producer()

    def send(self, batch: Sequence[Outgoing], idle: Callable[[float], None]) -> None:
        """Send a batch. One that fails in part is sent again whole: receivers know what they have seen."""
        for attempt in range(_MAX_ATTEMPTS):
            if self._sent(batch, idle):
                return
            _LOG.warning("receipts not acknowledged", errors=sorted(set(self._failures)), attempt=attempt + 1)
            self.close()
            # After an error that is fatal to it, an idempotent producer sends no more.
            self._producer = self._new_producer()
            idle(min(_MAX_DELAY_S, _FIRST_DELAY_S * 2 ** min(attempt, 10)))
        raise SendError(f"Kafka did not acknowledge {len(batch)} records in {_MAX_ATTEMPTS} attempts")

    def close(self) -> None:
        """Let go of what is not sent."""
        self._producer.purge()
        self._producer.flush(_FLUSH_SLICE_S)

    def _sent(self, batch: Sequence[Outgoing], idle: Callable[[float], None]) -> bool:
        self._failures = []
        try:
            for outgoing in batch:
                self._produce(outgoing, idle)
        except KafkaException as error:
            self._failures.append(error.args[0].name())
            return False
        while self._producer.flush(_FLUSH_SLICE_S) > 0:
            idle(0)
        return not self._failures

    def _produce(self, outgoing: Outgoing, idle: Callable[[float], None]) -> None:
        while True:
            try:
                self._producer.produce(
                    outgoing.topic,
                    outgoing.value,
                    outgoing.key,
                    headers=list(outgoing.headers),
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(_FLUSH_SLICE_S)
                idle(0)
            else:
                return

    def _new_producer(self) -> Producer:
        return Producer({**self._client_config, **_CONFIG}, logger=KAFKA_LOG)

    def _on_delivery(self, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            self._failures.append(error.name())
