"""The platform on the native engines: a real broker, registry and event store."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import pytest
from confluent_kafka import DeserializingConsumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from polystream.v1 import operations_pb2, operations_pb2_grpc, users_pb2, users_pb2_grpc
from polystream.v1.operations_pb2 import Operation

from tests.acceptance.test_kills import kill_under_load
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("engine_set", ["native"], scope="session")

_COMMANDS_BEFORE = 100  # when the kill comes
_COMMANDS_A_SECOND = 100
_COMMANDS_A_SECOND_AFTER = 15  # after a kill: a busy machine takes long to start the part again
_COMMANDS_MAX = 3000  # three events each have to fit into one answer of OpenSearch's, which has 10,000 at the most
_STORIES_AFTER = 10
_BETWEEN_STORIES_S = 0.1
_EVENTS_A_COMMAND = 3  # accepted, received, succeeded
_TIMEOUT_S = 60.0
_RECOVERY_TIMEOUT_S = 240.0  # of an event store that was killed as it wrote, on a busy machine


class _Sender:
    """Creates users at an even pace until there are enough, and keeps the correlation IDs."""

    def __init__(self, address: str) -> None:
        self.sent: list[str] = []
        self.slower = threading.Event()
        self.enough = threading.Event()
        self._address = address

    def send(self, commands: int = _COMMANDS_MAX) -> None:
        """Send so many, or until there are enough. Raises RpcError where one is not acknowledged."""
        with grpc.insecure_channel(self._address) as channel:
            users = users_pb2_grpc.UserServiceStub(channel)
            for _ in range(commands):
                created = users.CreateUser(users_pb2.CreateUserRequest(**person()), timeout=30)
                self.sent.append(created.correlation_id)
                if self.enough.wait(1 / (_COMMANDS_A_SECOND_AFTER if self.slower.is_set() else _COMMANDS_A_SECOND)):
                    return


def test_every_part_is_ready_and_told(platform: Platform) -> None:
    """The status names each engine, and gives an address for each that a client can use."""
    status = json.loads(platform.command("status", "--json").stdout)
    ready = {process["name"] for process in status["processes"] if process["status"] == "ready"}
    assert {"postgresql", "mongodb", "redis", "kafka", "schema_registry", "opensearch", "jaeger", "monitor"} <= ready
    assert httpx.get(f"{status['endpoints']['opensearch']}/_cluster/health").json()["status"] == "green"
    level = httpx.get(f"{status['endpoints']['schema_registry']}/config").json()
    assert level == {"compatibilityLevel": "FULL_TRANSITIVE"}


def test_a_foreign_client_reads_both_topics(platform: Platform) -> None:
    """Confluent's own consumer and Avro deserializer, with nothing of the platform, read commands and receipts."""
    sender = _Sender(platform.endpoints["grpc"])
    sender.send(1)
    with SchemaRegistryClient({"url": platform.endpoints["schema_registry"]}) as registry:
        consumer = DeserializingConsumer(
            {
                "bootstrap.servers": platform.endpoints["kafka"],
                "group.id": "a-foreign-one",
                "auto.offset.reset": "earliest",
                "value.deserializer": AvroDeserializer(registry),
            }
        )
        consumer.subscribe(["user_events", "response_events"])
        read: dict[str | None, Any] = {}

        def both() -> bool:
            message = consumer.poll(0.2)
            if message and dict(message.headers() or [])["correlation_id"] == sender.sent[0].encode():
                read[message.topic()] = message.value()
            return len(read) == 2

        eventually(both, _TIMEOUT_S, interval_s=0)
        consumer.close()
    assert str(read["user_events"]["name"]).startswith("Pessoa")
    assert (read["response_events"]["command"], read["response_events"]["state"]) == ("CreateUser", "SUCCEEDED")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("run", "part"), [(101, "kafka"), (102, "schema_registry")])
def test_the_broker_and_the_registry_keep_what_they_took(platform: Platform, run: int, part: str) -> None:
    """Killed under load, each comes back with all that it had acknowledged; what the registry gave is known."""
    kill_under_load(platform, run, part)


@pytest.mark.timeout(400)
def test_the_event_store_is_killed_under_load_and_misses_nothing(platform: Platform) -> None:
    """SIGKILL, and the supervisor's start: `explain` works all the while, then every event is in the index, once."""
    sender = _Sender(platform.endpoints["grpc"])
    with ThreadPoolExecutor(1) as pool, grpc.insecure_channel(platform.endpoints["grpc"]) as channel:
        sending = pool.submit(sender.send)
        try:
            _kill_while_stories_are_told(platform, sender, operations_pb2_grpc.OperationServiceStub(channel))
        finally:
            sender.enough.set()
        sending.result(_TIMEOUT_S)
    expected = _EVENTS_A_COMMAND * len(sender.sent)
    with httpx.Client(base_url=platform.endpoints["opensearch"], timeout=30) as search:

        def found() -> list[str]:
            search.post("/api_events-*/_refresh").raise_for_status()
            query = {"query": {"terms": {"correlation_id": sender.sent}}, "size": 10_000, "_source": ["event_id"]}
            hits = search.post("/api_events-*/_search", json=query).raise_for_status().json()["hits"]["hits"]
            return [hit["_source"]["event_id"] for hit in hits]

        eventually(lambda: len(found()) >= expected, _TIMEOUT_S)
        assert len(found()) == len(set(found())) == expected


def _kill_while_stories_are_told(
    platform: Platform, sender: _Sender, operations: operations_pb2_grpc.OperationServiceStub
) -> None:
    """Kill the event store, and ask for an earlier story and for the newest one until it is back."""

    def explained(correlation_id: str) -> bool:
        request = operations_pb2.ExplainOperationRequest(correlation_id=correlation_id)
        story = operations.ExplainOperation(request, timeout=30)
        return len(story.hops) == _EVENTS_A_COMMAND and story.operation.state == Operation.SUCCEEDED

    eventually(lambda: len(sender.sent) >= _COMMANDS_BEFORE and explained(sender.sent[0]), _TIMEOUT_S)
    before = platform.pid("opensearch")
    platform.kill("opensearch")
    sender.slower.set()
    told = 0
    deadline_s = time.monotonic() + _RECOVERY_TIMEOUT_S
    while told < _STORIES_AFTER or not platform.is_back("opensearch", before):
        assert time.monotonic() < deadline_s, platform.output
        assert explained(sender.sent[0])
        newest = sender.sent[-1]
        eventually(lambda newest=newest: explained(newest), _TIMEOUT_S)  # type: ignore[misc]
        told += 1
        sender.enough.wait(_BETWEEN_STORIES_S)
    eventually(lambda: all(map(explained, sender.sent[::50])), _TIMEOUT_S)
