"""A consumer group that is set back to the beginning, when the marks of what was applied are long gone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import redis
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from polystream.v1.contents_pb2 import CacheContentRequest, DeleteContentRequest
from polystream.v1.payments_pb2 import CreatePaymentRequest, Payment
from polystream.v1.users_pb2 import CreateUserRequest
from polystream.v1.views_pb2 import RecordViewRequest
from pymongo.database import Database

from mesh import topics
from mesh.settings import KafkaSettings, MongoSettings
from mesh.topic_reader import TopicReader
from processor.incarnation import TopicIncarnation
from processor.stores.mongodb import connect, database_of
from processor.stores.mongodb_parking import MongoPositions
from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

USER: Final = 4242
_PARTITIONS: Final = range(6)
_TIMEOUT_S: Final = 60.0


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the engines, provisioned and migrated."""
    started = lease("postgresql", "mongodb", "redis", "kafka", "schema_registry")
    run_module(started, "stack.provision")
    run_module(started, "processor", "migrate")
    return started


@pytest.fixture
def wire(running: EngineSet) -> Iterator[Wire]:
    """Return the test's own end of the topics."""
    opened = Wire(running)
    yield opened
    opened.close()


def payment(cents: int) -> CreatePaymentRequest:
    """Return a payment of the user's."""
    amount = Money(currency_code="BRL", units=cents // 100, nanos=cents % 100 * 10_000_000)
    return CreatePaymentRequest(user_id=USER, amount=amount, method=Payment.Method.PIX)


def view(content_id: int) -> RecordViewRequest:
    """Return a view of the user's."""
    return RecordViewRequest(user_id=USER, content_id=content_id, title="x", kind="MOVIE")


class Effects:
    """What the stores have, and their marks."""

    def __init__(self, engines: EngineSet, mongodb: Database[dict[str, Any]]) -> None:
        self._dsn = engines.endpoints["postgresql"]
        self._mongodb = mongodb
        self._redis = redis.Redis.from_url(engines.endpoints["redis"])

    def of(self, store: str) -> Any:
        """Return what a store has of what was sent."""
        if store == "postgresql":
            with psycopg.connect(self._dsn) as db:
                return db.execute("SELECT valor FROM pagamentos WHERE user_id = %s ORDER BY id", (USER,)).fetchall()
        if store == "mongodb":
            return sorted(one["conteudo_id"] for one in self._mongodb["historico_visualizacao"].find({"user_id": USER}))
        return sorted(self._redis.scan_iter("conteudo:*"))

    def wait_noted(self, kafka: KafkaSettings) -> None:
        """Wait until MongoDB's position is at the topic's end: it is noted once a second, far sooner than marks go."""
        topic_id = TopicIncarnation(kafka.client_config("test"))()
        with TopicReader(kafka) as reader:
            ends = {partition: end for partition, end in reader.ends(topics.COMMANDS).items() if end}
        positions = MongoPositions(self._mongodb)
        eventually(lambda: positions.read(topic_id, ends) == ends, _TIMEOUT_S)

    def forget_marks(self, store: str) -> None:
        """Remove them, as time does."""
        if store == "postgresql":
            with psycopg.connect(self._dsn) as db:
                db.execute("TRUNCATE inbox")
        elif store == "mongodb":
            self._mongodb["comandos_aplicados"].delete_many({})
        else:
            for key in self._redis.scan_iter("comando:*"):
                self._redis.delete(key)


COMMANDS: Final[dict[str, tuple[list[Message], Message]]] = {
    "postgresql": ([CreateUserRequest(user_id=USER, **person()), *map(payment, range(100, 110))], payment(110)),
    "mongodb": ([view(number) for number in range(10)], view(10)),
    "redis": (
        [CacheContentRequest(content_id=n, title="x", kind="MOVIE") for n in range(10)]
        + [DeleteContentRequest(content_id=n) for n in range(5)],
        CacheContentRequest(content_id=99, title="x", kind="MOVIE"),
    ),
}


@pytest.mark.timeout(180)
def test_nothing_is_applied_twice_whatever_the_age(running: EngineSet, wire: Wire, tmp_path: Path) -> None:
    """Each store knows how far it has come; what it has not passed is applied."""
    with connect(MongoSettings(url=running.endpoints["mongodb"])) as client:
        effects = Effects(running, database_of(client))
        for store, (old, new) in COMMANDS.items():
            with LaneProcess(running, store, tmp_path) as lane:
                lane.start()
                sent = [wire.send(command) for command in old]
                wire.flush()
                wire.wait_all(sent, _TIMEOUT_S)
                before = effects.of(store)
                assert before
                if store == "mongodb":
                    effects.wait_noted(KafkaSettings(bootstrap_servers=running.endpoints["kafka"]))
                lane.stop()
                effects.forget_marks(store)
                _set_back(running, f"processor-{store}")
                lane.start()
                last = wire.send(new)
                wire.flush()
                wire.wait_receipt(last, _TIMEOUT_S)
                after = effects.of(store)
                assert len(after) == len(before) + 1, store
                assert [one for one in after if one in before] == before, store
                assert [len(wire.receipts(id_)) for id_ in sent] == [1] * len(sent), store


def _set_back(running: EngineSet, group: str) -> None:
    """Have a group without members read everything again."""
    admin = AdminClient({"bootstrap.servers": running.endpoints["kafka"]})
    beginning = [TopicPartition(topics.COMMANDS, partition, 0) for partition in _PARTITIONS]
    request = [ConsumerGroupTopicPartitions(group, beginning)]

    def is_done() -> bool:
        (future,) = admin.alter_consumer_group_offsets(request).values()
        return all(told.error is None for told in future.result(10).topic_partitions)

    eventually(is_done, _TIMEOUT_S)
