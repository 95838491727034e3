"""What a module leases of the pool is running and empty, whatever the one before did to it."""

import psycopg
import pymongo
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from mesh.settings import KafkaSettings
from mesh.topics import COMMANDS, create_topics, topic_incarnation
from tests.support.engine_pool import Lease
from tests.support.waiting import eventually

_TIMEOUT_S = 30.0


def test_stores_are_leased_empty(lease: Lease) -> None:
    """Tables, documents and keys of the module before are gone, and its sessions ended."""
    left = lease("postgresql", "mongodb", "redis")
    holder = psycopg.connect(left.endpoints["postgresql"])
    holder.execute("CREATE TABLE left_behind (n int)")  # and the lock on it is kept
    with pymongo.MongoClient[dict[str, int]](left.endpoints["mongodb"]) as client:
        client.get_default_database()["left_behind"].insert_one({"n": 1})
    with redis.Redis.from_url(left.endpoints["redis"]) as keys:
        keys.set("left_behind", 1)

    found = lease("postgresql", "mongodb", "redis")
    assert found.endpoints == left.endpoints
    with psycopg.connect(found.endpoints["postgresql"]) as connection:
        connection.execute("CREATE TABLE left_behind (n int)")
    with pymongo.MongoClient[dict[str, int]](found.endpoints["mongodb"]) as client:
        assert client.get_default_database().list_collection_names() == []
    with redis.Redis.from_url(found.endpoints["redis"]) as keys:
        assert keys.dbsize() == 0
    holder.close()


def test_topics_are_leased_as_new_ones(lease: Lease) -> None:
    """Topics and groups are gone: those that are created again have other identities, and begin at offset 0."""
    config = KafkaSettings(bootstrap_servers=lease("kafka").endpoints["kafka"]).client_config("test")
    create_topics(config)
    before = eventually(lambda: topic_incarnation(config, COMMANDS), _TIMEOUT_S)
    producer = Producer(config)
    producer.produce(COMMANDS, b"left behind", partition=0)
    assert producer.flush(_TIMEOUT_S) == 0
    consumer = Consumer({**config, "group.id": "left-behind", "auto.offset.reset": "earliest"})
    consumer.subscribe([COMMANDS])
    eventually(lambda: consumer.poll(0.2), _TIMEOUT_S, interval_s=0)
    consumer.commit(asynchronous=False)
    consumer.close()

    lease("kafka")
    admin = AdminClient(dict(config))
    assert COMMANDS not in admin.list_topics(timeout=_TIMEOUT_S).topics
    listed = admin.list_consumer_groups(request_timeout=_TIMEOUT_S).result(_TIMEOUT_S)
    assert [group.group_id for group in listed.valid or ()] == []
    create_topics(config)
    assert eventually(lambda: topic_incarnation(config, COMMANDS), _TIMEOUT_S) != before


def test_what_was_killed_is_started_again(lease: Lease) -> None:
    """By whomever: the process is another one, and answers."""
    engines = lease("redis")
    before = engines.pid("redis")
    engines._running["redis"][0].kill()
    engines._running["redis"][0].wait()
    again = lease("redis")
    assert again.pid("redis") != before
    with redis.Redis.from_url(again.endpoints["redis"]) as keys:
        assert keys.ping()
