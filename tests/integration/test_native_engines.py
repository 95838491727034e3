"""The engines that the native set starts itself: ready when they say so, kept data, clean stop."""

from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mesh.settings import RegistrySettings
from stack.engines import process as processes
from stack.engines.native import NATIVE
from tests.support.engine_pool import Lease
from tests.support.platform import EngineSet, engines

_JAVA = ("kafka", "schema_registry", "opensearch")


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three engines on Java for this module."""
    return lease(*_JAVA, among=NATIVE)


def test_kafka_keeps_topics_and_records_over_a_kill(running: EngineSet) -> None:
    """What was acknowledged before a SIGKILL is there after the next start, in the same topic and under its offset."""
    config: dict[str, str | int | float | bool] = {"bootstrap.servers": running.endpoints["kafka"]}
    admin = AdminClient(config)
    admin.create_topics([NewTopic("kept", num_partitions=1)])["kept"].result(20)
    producer = Producer(config | {"acks": "all", "enable.idempotence": True})
    for number in range(1000):
        producer.produce("kept", str(number))
    assert producer.flush(20) == 0

    running.kill("kafka")
    running.start("kafka")

    consumer = Consumer(config | {"group.id": "none", "enable.auto.commit": False})
    consumer.assign([TopicPartition("kept", 0, 0)])
    seen: list[bytes] = []
    while len(seen) < 1000:
        batch = consumer.consume(1000, 20)
        assert batch, f"only {len(seen)} records came"
        seen += [message.value() or b"" for message in batch if message.error() is None]
    consumer.close()
    assert seen == [str(number).encode() for number in range(1000)]


def test_kafka_makes_no_topic_of_a_misspelt_name(running: EngineSet) -> None:
    """A record for a topic that nobody has created is refused."""
    refused: list[KafkaError | None] = []
    config = {"bootstrap.servers": running.endpoints["kafka"], "topic.metadata.propagation.max.ms": 0}
    producer = Producer(config)
    try:
        producer.produce("user_evnets", b"x", on_delivery=lambda error, _: refused.append(error))
        producer.flush(20)
    except KafkaException as error:
        refused.append(error.args[0])
    assert [error.code() for error in refused if error] == [KafkaError.UNKNOWN_TOPIC_OR_PART]


def test_the_registrys_address_is_the_one_that_clients_take(running: EngineSet) -> None:
    """The setting leads to the Confluent API, path included."""
    url = RegistrySettings(url=running.settings["SCHEMA_REGISTRY_URL"]).url
    with httpx.Client(base_url=url) as api:
        assert isinstance(api.get("/subjects").raise_for_status().json(), list)
        assert "AVRO" in api.get("/schemas/types").json()


def test_opensearch_keeps_documents_over_a_kill(running: EngineSet) -> None:
    """What was acknowledged before a SIGKILL is there after the next start; the node is ready with its shards."""
    with httpx.Client(base_url=running.settings["ELASTICSEARCH_HOST"], timeout=30) as api:
        for number in range(50):
            assert api.put(f"/kept/_doc/{number}", json={"n": number}).status_code == 201
        running.kill("opensearch")
        running.start("opensearch")
        api.post("/kept/_refresh").raise_for_status()
        assert api.get("/kept/_count").json()["count"] == 50


def test_opensearch_has_what_the_platform_asks_of_it(running: EngineSet) -> None:
    """Templates, deletion by query, scripts and ingest are there, and no analyzer is needed for identifiers."""
    with httpx.Client(base_url=running.settings["ELASTICSEARCH_HOST"], timeout=30) as api:
        node = next(iter(api.get("/_nodes").json()["nodes"].values()))
        assert set(node["roles"]) == {"cluster_manager", "data", "ingest"}
        api.put("/asked/_doc/1?refresh=true", json={"n": 1}).raise_for_status()
        query = {"query": {"match_all": {}}, "script": {"source": "ctx._source.n += 1"}}
        assert api.post("/asked/_update_by_query?refresh=true", json=query).json()["updated"] == 1
        assert api.post("/asked/_delete_by_query", json={"query": {"term": {"n": 2}}}).json()["deleted"] == 1


def test_they_stop_cleanly_when_asked(running: EngineSet) -> None:
    """Asked to stop, each ends by itself within its bound, as Java does on SIGTERM, and starts again on its data."""
    for name in _JAVA:
        process, command = running._running[name]
        processes.send(process, command.stop_signal)
        assert process.wait(command.stop_timeout_s) == 128 + command.stop_signal, running.log(name)
        running.start(name)


def test_the_other_stores_serve_as_the_wheels_do(tmp_path: Path) -> None:
    """PostgreSQL and Redis, Debian's or the wheel's, keep their data apart from the embedded engines'."""
    with engines({"postgresql", "redis"}, tmp_path, NATIVE) as stores:
        with psycopg.connect(stores.endpoints["postgresql"]) as connection:
            row = connection.execute(
                "SELECT current_user, current_database(), lower('É'), 'Z' < 'a', current_setting('fsync')"
            ).fetchone()
        assert row == ("user", "streaming_db", "é", True, "on")
        client = redis.Redis.from_url(stores.endpoints["redis"])
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        client.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "native"]
