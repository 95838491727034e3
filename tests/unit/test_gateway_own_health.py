"""What a gateway tells of its own health, of Kafka above all."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from gateway.operations.tracker import OperationTracker
from gateway.own_health import GatewayHealth
from gateway.producer import CommandProducer
from gateway.topic_watch import TopicWatch
from mesh.health.part import PartHealth


@dataclass
class FakeGateway:
    """A gateway's parts, and Kafka, as the test has them."""

    producer: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(trouble="", in_flight=0, is_refused=False, settled_bursts=0)
    )
    kafka_answers: bool = True

    def __post_init__(self) -> None:
        self.part = PartHealth("gateway-0", "gateway")
        following = SimpleNamespace(
            **dict.fromkeys(("kafka_trouble", "redis_trouble", "registry_trouble"), ""),
            **dict.fromkeys(("passed_over", "behind", "behind_ms"), 0),
        )
        self.health = GatewayHealth(
            self.part,
            cast(CommandProducer, self.producer),
            cast(TopicWatch, SimpleNamespace(trouble="")),
            cast(OperationTracker, SimpleNamespace(following=following)),
            self._ask,
        )

    async def _ask(self) -> None:
        if not self.kafka_answers:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))  # librdkafka's own name

    def waits(self) -> list[tuple[str, str]]:
        """Return what the gateway says it waits for, and why."""
        return [(wait.dependency, wait.detail) for wait in self.part.report().waits]


@pytest.mark.parametrize(
    ("is_refused", "kafka_answers", "waits"),
    [
        (False, True, []),  # it is back, and no command has come since
        (False, False, [("kafka", "not acknowledged")]),
        (True, True, [("kafka", "not acknowledged")]),  # it answers, and takes no command
    ],
)
async def test_trouble_with_kafka_lasts_until_kafka_answers_and_refuses_nothing(
    is_refused: bool, kafka_answers: bool, waits: list[tuple[str, str]]
) -> None:
    """A broker that takes no writes is asked in vain how it is: it says that it is well."""
    gateway = FakeGateway(kafka_answers=kafka_answers)
    gateway.producer.trouble, gateway.producer.is_refused = "not acknowledged", is_refused
    await gateway.health.look()
    assert gateway.waits() == waits
    gateway.producer.trouble, gateway.producer.is_refused = "", False
    await gateway.health.look()
    assert gateway.waits() == []
