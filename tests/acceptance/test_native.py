"""The platform on the native engines: a real broker, registry and event store."""

import json
import threading

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

_COMMANDS = 400
_COMMANDS_A_SECOND = 100
_COMMANDS_A_SECOND_AFTER = 25  # after a kill: most of them come while the part is away
_BETWEEN_STORIES_S = 0.1
_EVENTS_A_COMMAND = 3  # accepted, received, succeeded
_TIMEOUT_S = 60.0
_RECOVERY_TIMEOUT_S = 120.0  # of an event store that was killed as it wrote, on a busy machine


class _Sender(threading.Thread):
    """Creates users, and keeps the correlation IDs."""

    def __init__(self, address: str, count: int) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.pause_s = 1 / _COMMANDS_A_SECOND
        self._address, self._count = address, count

    def run(self) -> None:
        pace = threading.Event()
        with grpc.insecure_channel(self._address) as channel:
            users = users_pb2_grpc.UserServiceStub(channel)
            for _ in range(self._count):
                created = users.CreateUser(users_pb2.CreateUserRequest(**person()), timeout=10)
                self.sent.append(created.correlation_id)
                pace.wait(self.pause_s)


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
    sender = _Sender(platform.endpoints["grpc"], 1)
    sender.run()
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
        read: dict[str, dict[str, object]] = {}

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
    sender = _Sender(platform.endpoints["grpc"], _COMMANDS)
    sender.start()
    sent = sender.sent
    with grpc.insecure_channel(platform.endpoints["grpc"]) as channel:
        operations = operations_pb2_grpc.OperationServiceStub(channel)

        def explained(correlation_id: str) -> bool:
            request = operations_pb2.ExplainOperationRequest(correlation_id=correlation_id)
            story = operations.ExplainOperation(request, timeout=10)
            return len(story.hops) == _EVENTS_A_COMMAND and story.operation.state == Operation.SUCCEEDED

        eventually(lambda: len(sent) > _COMMANDS // 4, _TIMEOUT_S)
        earlier = sent[0]
        eventually(lambda: explained(earlier), _TIMEOUT_S)
        before = platform.pid("opensearch")
        platform.kill("opensearch")
        sender.pause_s = 1 / _COMMANDS_A_SECOND_AFTER
        told = 0
        while sender.is_alive():
            assert explained(earlier)
            newest = sent[-1]
            eventually(lambda newest=newest: explained(newest), _TIMEOUT_S)  # type: ignore[misc]
            told += 1
            sender.join(_BETWEEN_STORIES_S)
        assert told > 10
        eventually(lambda: platform.is_back("opensearch", before), _RECOVERY_TIMEOUT_S)
        eventually(lambda: all(explained(correlation_id) for correlation_id in sent[::50]), _TIMEOUT_S)
    sender.join()
    with httpx.Client(base_url=platform.endpoints["opensearch"], timeout=30) as search:

        def found() -> list[str]:
            search.post("/api_events-*/_refresh").raise_for_status()
            query = {"query": {"terms": {"correlation_id": sent}}, "size": 10_000, "_source": ["event_id"]}
            hits = search.post("/api_events-*/_search", json=query).raise_for_status().json()["hits"]["hits"]
            return [hit["_source"]["event_id"] for hit in hits]

        eventually(lambda: len(found()) >= _EVENTS_A_COMMAND * _COMMANDS, _TIMEOUT_S)
        assert len(found()) == len(set(found())) == _EVENTS_A_COMMAND * _COMMANDS
