"""The benchmark's peer does what the gateway does, so that the comparison is one."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from cli.bench.payload import REST_PATH, SENDERS, json_bodies
from cli.bench.records import RecordCounter
from mesh.settings import KafkaSettings
from mesh.topics import COMMANDS, PARTITIONS, create_topics
from tests.support.engine_pool import Lease
from tests.support.ports import free_port_run
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def kafka(lease: Lease) -> dict[str, str | int | bool]:
    """A broker with the platform's topics, as a client's configuration."""
    config = KafkaSettings(bootstrap_servers=lease("kafka").endpoints["kafka"]).client_config("test")
    create_topics(config)
    return config


@pytest.fixture(scope="module")
def peer(kafka: dict[str, str | int | bool]) -> Iterator[str]:
    """The peer's URL."""
    port = free_port_run(1)
    settings = {
        "KAFKA_BOOTSTRAP_SERVERS": str(kafka["bootstrap.servers"]),
        "PEER_TOPIC": COMMANDS,
        "PEER_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "cli.bench.peer"], env=os.environ | settings)
    url = f"http://127.0.0.1:{port}"
    eventually(lambda: httpx.get(f"{url}/healthz").is_success, 20)
    yield url
    process.terminate()
    process.wait(10)


def test_a_view_is_in_kafka_when_it_is_acknowledged(kafka: dict[str, str | int | bool], peer: str) -> None:
    """The answer names the command's ID; the record has it, two more headers, the user as its key, and JSON."""
    answer = httpx.post(f"{peer}{REST_PATH}", content=json_bodies()[0], headers={"content-type": "application/json"})
    assert answer.status_code == 200
    assert answer.json()["state"] == "ACCEPTED"

    consumer = Consumer({**kafka, "group.id": "test"})
    consumer.assign([TopicPartition(COMMANDS, number, 0) for number in range(PARTITIONS)])
    record: Message = eventually(lambda: consumer.poll(1.0), 30)
    consumer.close()
    headers = dict(record.headers() or [])
    assert set(headers) == {"correlation_id", "command", "traceparent"}
    assert headers["correlation_id"] == answer.json()["correlation_id"].encode()
    value = json.loads(record.value() or b"")
    assert str(value["user_id"]).encode() == record.key()
    assert value["title"]


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": 0},
        {"title": ""},
        {"kind": "KIND_UNSPECIFIED"},
        {"watched_seconds": 86_401},
        {"position_percent": 100.5},
        {"unknown": 1},
    ],
)
def test_a_view_that_breaks_a_rule_is_refused(peer: str, change: dict[str, object]) -> None:
    """The peer checks what the contract says, as the gateway does."""
    body = json.loads(json_bodies()[0]) | change
    assert httpx.post(f"{peer}{REST_PATH}", json=body).status_code == 422


def test_the_counter_finds_every_record_once(kafka: dict[str, str | int | bool], peer: str) -> None:
    """Each call counts what was added since the one before, over all partitions."""
    counter = RecordCounter(kafka, COMMANDS)
    counter.count_new(0, 10)  # what other tests have sent
    for _ in range(2):
        with httpx.Client(headers={"content-type": "application/json"}) as client:
            for body in json_bodies():
                assert client.post(f"{peer}{REST_PATH}", content=body).is_success
        assert counter.count_new(SENDERS, 10) == SENDERS
    assert counter.count_new(0, 10) == 0
    counter.close()
