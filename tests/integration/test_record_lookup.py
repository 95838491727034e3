"""Single records are found by their position, without a consumer group, and shown to pages within bounds."""

import asyncio
import time
from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from polystream.v1.users_pb2 import CreateUserRequest

from mesh import topics
from mesh.catalog import load_catalog
from mesh.codec import Encoder
from mesh.ids import new_correlation_id
from mesh.personal_data import MASK
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.topic_reader import RecordFinder, TopicError, TopicPosition
from monitor.pages.record_lookup import POSITIONS_MAX, FoundRecords, RecordLookup
from monitor.pages.shown_record import RecordRenderer, RecordState
from tests.support.engine_pool import Lease
from tests.support.platform import EngineSet

_TIMEOUT_S = 30.0
_RECORDS = 10
_NOBODY = "127.0.0.1:1"
_RECORD = "polystream.v1.CreateUserRequest"


@pytest.fixture(scope="module")
def engines(lease: Lease) -> EngineSet:
    """Run what is asked for records and schemas."""
    return lease("kafka", "schema_registry")


@pytest.fixture
def topic(engines: EngineSet) -> str:
    """Return a topic of two partitions with some records in the first one."""
    name = f"t{uuid4().hex}"
    config = KafkaSettings(bootstrap_servers=engines.endpoints["kafka"]).client_config("test")
    admin = AdminClient(dict(config))
    (made,) = admin.create_topics([NewTopic(name, 2, 1)]).values()
    made.result(_TIMEOUT_S)
    producer = Producer(dict(config))
    for number in range(_RECORDS):
        producer.produce(name, f"v{number}".encode(), b"k", partition=0, headers=[("n", str(number).encode())])
    assert producer.flush(_TIMEOUT_S) == 0
    return name


@pytest.fixture
def registry(engines: EngineSet) -> Iterator[RegistryClient]:
    """Return a client of the registry."""
    client = RegistryClient(RegistrySettings(url=engines.endpoints["schema_registry"]))
    yield client
    client.close()


def _kafka(engines: EngineSet) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=engines.endpoints["kafka"], fetch_wait_max_ms=50)


def test_each_record_is_found_by_its_place(engines: EngineSet, topic: str) -> None:
    """Several of a partition too; not one behind the end, nor one of a partition or topic that is not there."""
    there = [TopicPosition(topic, 0, offset) for offset in (0, 3, 4, 9)]
    absent = [
        TopicPosition(topic, 0, 500),
        TopicPosition(topic, 1, 0),
        TopicPosition(topic, 7, 0),
        TopicPosition("no", 0, 0),
    ]
    with RecordFinder(_kafka(engines)) as finder:
        found = finder.find([*reversed(there), *absent], _TIMEOUT_S)
        assert set(found) == set(there)
        assert [found[position].value for position in there] == [b"v0", b"v3", b"v4", b"v9"]
        assert found[there[1]].headers == [("n", b"3")]
        assert finder.find([], 0.0) == {}


def test_a_kafka_that_does_not_answer_is_told_in_time() -> None:
    """With its address, and what to do."""
    begin_s = time.monotonic()
    with (
        RecordFinder(KafkaSettings(bootstrap_servers=_NOBODY)) as finder,
        pytest.raises(TopicError, match=f"Kafka at {_NOBODY} does not answer"),
    ):
        finder.find([TopicPosition("t", 0, 0)], 0.5)
    assert time.monotonic() - begin_s < _TIMEOUT_S / 3


async def test_a_page_is_given_its_records(engines: EngineSet, registry: RegistryClient) -> None:
    """Read once, decoded by the registry's schema, without personal data, and no position twice."""
    topic, correlation_id = topics.COMMANDS, new_correlation_id()
    config = KafkaSettings(bootstrap_servers=engines.endpoints["kafka"]).client_config("test")
    topics.create_topics(config)
    schema = load_schema(_RECORD)
    encoder = Encoder(CreateUserRequest.DESCRIPTOR, schema, registry.register(topic, _RECORD, schema))  # type: ignore[arg-type]
    written: list[int] = []
    producer = Producer(dict(config))
    producer.produce(
        topic,
        encoder.encode(CreateUserRequest(user_id=7, name="Ana", email="ana@example.com", cpf="52998224725")),
        b"7",
        partition=0,
        headers=[("correlation_id", correlation_id), ("command", "CreateUser")],
        on_delivery=lambda _, message: written.append(message.offset() or 0),
    )
    assert producer.flush(_TIMEOUT_S) == 0
    position = TopicPosition(topic, 0, written[0])
    lookup = RecordLookup(_kafka(engines), RecordRenderer(load_catalog(), registry))
    found = await _complete(lookup, correlation_id, [position, position, TopicPosition(topic, 0, 10**9)])
    there, gone = found.views
    assert (there.state, gone.state, found.fault) == (RecordState.READ, RecordState.GONE, "")
    assert there.value == {"user_id": "7", "name": MASK, "email": MASK, "cpf": MASK}
    assert there.schema is not None
    assert (there.schema.subject, there.schema.version) == (f"{topic}-{_RECORD}", 1)
    again = await lookup.of(correlation_id, [position])
    assert again.views[0] is there
    many = await lookup.of(
        correlation_id, [TopicPosition(topic, 0, 10**6 + number) for number in range(POSITIONS_MAX + 5)]
    )
    assert many.left_out == 5


async def test_a_page_is_told_why_there_are_no_records(engines: EngineSet, registry: RegistryClient) -> None:
    """Kafka is not asked again at once, and is again after a while."""
    now_s = 0.0
    kafka = KafkaSettings(bootstrap_servers=_NOBODY)
    lookup = RecordLookup(kafka, RecordRenderer(load_catalog(), registry), clock_s=lambda: now_s)
    position = TopicPosition(topics.COMMANDS, 0, 0)
    found = await _complete(lookup, "x", [position])
    assert (found.views, f"Kafka at {_NOBODY} does not answer" in found.fault) == ([], True)
    assert not (await lookup.of("y", [position])).is_asking
    now_s = 60.0
    assert (await lookup.of("x", [position])).is_asking
    lookup = RecordLookup(_kafka(engines), RecordRenderer(load_catalog(), registry))
    assert (await _complete(lookup, "x", [position])).fault == ""


async def _complete(lookup: RecordLookup, correlation_id: str, positions: list[TopicPosition]) -> FoundRecords:
    async with asyncio.timeout(_TIMEOUT_S):
        found = await lookup.of(correlation_id, positions)
        while found.is_asking:  # the lookup waits a moment for an answer itself
            found = await lookup.of(correlation_id, positions)
    return found
