"""A failed command gives one error, whole, whoever is asked, and whether or not Redis still has it."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import grpc
import httpx
import pytest
import redis
from confluent_kafka import Consumer, Producer, TopicPartition
from google.longrunning import operations_proto_pb2 as longrunning
from google.rpc.status_pb2 import Status
from polystream.v1 import operations_pb2 as pb
from polystream.v1.contents_pb2 import CacheContentRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream_sdk import Polystream, PolystreamError

from mesh import errors, topics
from mesh.codec import Encoder
from mesh.errors import FieldFault, Reason
from mesh.ids import new_correlation_id
from mesh.proto_json import from_dict, to_dict
from mesh.schemas import RegistryClient, load_schema
from mesh.settings import KafkaSettings, RegistrySettings
from mesh.store_errors import fail
from tests.acceptance.conftest import Finished, Json
from tests.support.doors import call_grpc
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

TIMEOUT_S: Final = 60.0
OPERATIONS: Final = "polystream.v1.OperationService"
STANDARD: Final = "google.longrunning.Operations"
CONTENT_ID: Final = 20_000_001
UNSAMPLED: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"  # no span is missing in its story
# What no handler says in one error: several fields, one without a rule, more about it, a delay of its own.
MANIFOLD: Final = errors.PolystreamError(
    Reason.USER_UNVERIFIED,
    "whether não [could] be told",
    faults=[FieldFault("content_id", "is not known", "content.known"), FieldFault("title", "neither is that")],
    metadata={"another": "1", "more": "2"},
    retry_delay_s=2.5,
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("engine_set", ["embedded"], scope="session")
def test_every_door_gives_the_same_error_before_and_after_redis_forgot_it(
    platform: Platform, rest: httpx.Client, finished: Finished
) -> None:
    """Of a refusal for a user, one for a field, and one with everything that an error can have."""
    someone = person()
    finished(rest.post("/v1/users", json=someone).raise_for_status().json()["correlation_id"])
    taken = rest.post("/v1/users", json={**person(), "email": someone["email"]}).raise_for_status().json()
    nobody = rest.post("/usuarios/999999997/assinatura").raise_for_status().json()
    manifold = new_correlation_id()
    _refuse_by_hand(platform, manifold, finished)
    expected = {
        taken["correlation_id"]: errors.PolystreamError(
            Reason.EMAIL_ALREADY_EXISTS,
            faults=[FieldFault("email", Reason.EMAIL_ALREADY_EXISTS.value.message)],
            metadata={"store": "POSTGRESQL"},
        ),
        nobody["correlation_id"]: errors.PolystreamError(
            Reason.USER_NOT_FOUND,
            faults=[FieldFault("user_id", Reason.USER_NOT_FOUND.value.message)],
            metadata={"store": "POSTGRESQL"},
        ),
        manifold: errors.PolystreamError(
            MANIFOLD.reason,
            MANIFOLD.message,
            faults=MANIFOLD.faults,
            metadata={**MANIFOLD.metadata, "store": "REDIS"},
            retry_delay_s=MANIFOLD.retry_delay_s,
        ),
    }
    for correlation_id in expected:
        assert finished(correlation_id)["state"] == "FAILED"
        eventually(partial(_is_told, rest, correlation_id), TIMEOUT_S)
    before = {correlation_id: _by_doors(platform, rest, correlation_id) for correlation_id in expected}
    for correlation_id, error in expected.items():
        assert before[correlation_id] == dict.fromkeys(before[correlation_id], to_dict(error.to_status()))
        _assert_printed(platform, correlation_id, error)
        _assert_raised(platform, correlation_id, error)
    _forget(platform, rest, list(expected))
    for correlation_id, error in expected.items():
        assert _by_doors(platform, rest, correlation_id) == before[correlation_id]
        _assert_printed(platform, correlation_id, error)
        _assert_raised(platform, correlation_id, error)
    with _redis(platform) as client:
        assert not any(client.exists(f"operation:{correlation_id}") for correlation_id in expected)


def _by_doors(platform: Platform, rest: httpx.Client, correlation_id: str) -> dict[str, Json]:
    """Return the operation's error as each door gives it, in JSON's form."""
    found: dict[str, Json] = {}
    with grpc.insecure_channel(platform.endpoints["grpc"]) as channel:

        def asked(method: str, request: Any, answer: Any) -> Json:
            answered = call_grpc(channel, method, request, answer)
            assert answered.error is None, answered.error
            return answered.body

        get = pb.GetOperationRequest(correlation_id=correlation_id)
        operation = asked(f"{OPERATIONS}/GetOperation", get, pb.Operation)
        found["GetOperation"] = operation["error"]
        found["the store's receipt"] = operation["receipts"][0]["error"]
        wait = pb.WaitOperationRequest(correlation_id=correlation_id)
        found["WaitOperation"] = asked(f"{OPERATIONS}/WaitOperation", wait, pb.Operation)["error"]
        watch = channel.unary_stream(
            f"/{OPERATIONS}/WatchOperation",
            request_serializer=pb.WatchOperationRequest.SerializeToString,
            response_deserializer=pb.Operation.FromString,
        )
        (watched,) = watch(pb.WatchOperationRequest(correlation_id=correlation_id), timeout=TIMEOUT_S)
        found["WatchOperation"] = to_dict(watched.error)
        listed = pb.ListOperationsRequest(state=pb.Operation.FAILED, command=operation["command"], page_size=1000)
        page = asked(f"{OPERATIONS}/ListOperations", listed, pb.ListOperationsResponse)
        found["ListOperations"] = _one(page["operations"], correlation_id)["error"]
        name = longrunning.GetOperationRequest(name=f"operations/{correlation_id}")
        standard = asked(f"{STANDARD}/GetOperation", name, longrunning.Operation)
        found["the standard's GetOperation"] = standard["error"]
        every = longrunning.ListOperationsRequest(name="operations", page_size=1000)
        standards = asked(f"{STANDARD}/ListOperations", every, longrunning.ListOperationsResponse)["operations"]
        found["the standard's ListOperations"] = next(o for o in standards if o["name"] == operation["name"])["error"]
    found["REST"] = _read(rest, f"/v1/operations/{correlation_id}")["error"]
    found["REST, as the old paths have it"] = _read(rest, f"/status/{correlation_id}")["error"]
    page = _read(rest, f"/v1/operations?state=FAILED&command={operation['command']}&page_size=1000")
    found["REST, listed"] = _one(page["operations"], correlation_id)["error"]
    found |= _of_story("REST, explained", _read(rest, f"/v1/operations/{correlation_id}:explain"))
    explained = platform.command("explain", correlation_id, "--json")
    assert explained.returncode == 0, explained.stderr
    found |= _of_story("explain --json", json.loads(explained.stdout))
    with httpx.Client(base_url=platform.endpoints["dashboard"], timeout=TIMEOUT_S) as dashboard:
        found |= _of_story("the dashboard", _read(dashboard, f"/api/operations/{correlation_id}"))
        found["the dashboard's list"] = _one(_read(dashboard, "/api/operations")["operations"], correlation_id)["error"]
    # JSON may have fields that are empty, or leave them out.
    return {door: to_dict(from_dict(error, Status())) for door, error in found.items()}


def _of_story(door: str, story: Json) -> dict[str, Json]:
    """Return the error in each place where a story has it."""
    failed = [hop for hop in story["hops"] if hop["event_type"] == "command.failed"]
    return {
        door: story["operation"]["error"],
        f"{door}: receipt": story["operation"]["receipts"][0]["error"],
        f"{door}: event": failed[0]["error_status"],
    }


def _assert_printed(platform: Platform, correlation_id: str, error: errors.PolystreamError) -> None:
    """Check that `explain` prints all of the error, and finds nothing missing."""
    explained = platform.command("explain", correlation_id)
    assert explained.returncode == 0, explained.stdout
    lines = [f"{error.reason.name}: {error.message}"]
    lines += [f"{fault.field}: {fault.description}" + f" ({fault.rule})" * bool(fault.rule) for fault in error.faults]
    if error.retry_delay_s is not None:
        lines.append(f"try again after {error.retry_delay_s:g} s")
    printed = explained.stdout.splitlines()
    assert [line.rstrip() for line in printed[1 : len(lines) + 1]] == lines


def _assert_raised(platform: Platform, correlation_id: str, error: errors.PolystreamError) -> None:
    """Check that the SDK raises all of the error."""

    async def fail_again() -> PolystreamError:
        async with Polystream(platform.endpoints["grpc"]) as api:
            with pytest.raises(PolystreamError) as raised:
                await api.operation(correlation_id).result(timeout_s=TIMEOUT_S)
        return raised.value

    raised = asyncio.run(fail_again())
    assert (raised.code, raised.reason, raised.message) == (error.reason.value.code, error.reason.name, error.message)
    assert (raised.metadata, raised.retry_delay_s) == (error.metadata, error.retry_delay_s)
    assert [FieldFault(v.field, v.description, v.rule) for v in raised.field_violations] == [*error.faults]


def _refuse_by_hand(platform: Platform, correlation_id: str, finished: Finished) -> None:
    """Send a receipt with the manifold error, and then the command, which the lane applies: the first answer counts."""
    registry = RegistryClient(RegistrySettings(url=platform.endpoints["schema_registry"]))
    producer = Producer(KafkaSettings(bootstrap_servers=platform.endpoints["kafka"]).client_config("test"))
    now_ms = time.time_ns() // 1_000_000
    receipt = CommandReceipt(correlation_id=correlation_id, command="CacheContent", store="REDIS")
    for stamp in (receipt.accept_time, receipt.receive_time, receipt.complete_time):
        stamp.FromMilliseconds(now_ms)
    fail(receipt, MANIFOLD)
    headers: list[tuple[str, str | bytes | None]] = [
        (topics.CORRELATION_ID, correlation_id),
        (topics.COMMAND, receipt.command),
        (topics.ACCEPT_TIME, str(now_ms)),
        (topics.TRACEPARENT, UNSAMPLED),
    ]
    for topic, message in ((topics.RECEIPTS, receipt), (topics.COMMANDS, CacheContentRequest(content_id=CONTENT_ID))):
        record = str(message.DESCRIPTOR.full_name)
        schema = load_schema(record)
        encoder = Encoder(message.DESCRIPTOR, schema, registry.register(topic, record, schema))  # type: ignore[arg-type]
        producer.produce(topic, encoder.encode(message), str(CONTENT_ID), headers=headers)
        assert producer.flush(TIMEOUT_S) == 0
        assert finished(correlation_id)["state"] == "FAILED"
    registry.close()


def _is_told(rest: httpx.Client, correlation_id: str) -> bool:
    """Whether the event log has the whole story."""
    story = _read(rest, f"/v1/operations/{correlation_id}:explain")
    return not story.get("missing")


def _forget(platform: Platform, rest: httpx.Client, correlation_ids: list[str]) -> None:
    """Have Redis and the gateway's memory forget operations: the gateway must not read their receipts again."""
    hops = [
        hop
        for correlation_id in correlation_ids
        for hop in _read(rest, f"/v1/operations/{correlation_id}:explain")["hops"]
        if hop["topic"] == topics.RECEIPTS
    ]
    group = f"gateway-operations-{platform.environment('gateway-0')['GATEWAY_NAME']}"
    config = KafkaSettings(bootstrap_servers=platform.endpoints["kafka"]).client_config("test")
    consumer = Consumer({**config, "group.id": group})

    def all_read() -> bool:
        # Zero is left out of JSON.
        places = [TopicPartition(topics.RECEIPTS, hop.get("partition", 0)) for hop in hops]
        committed = consumer.committed(places, timeout=5)
        return all(place.offset > int(hop.get("offset", 0)) for place, hop in zip(committed, hops, strict=True))

    eventually(all_read, TIMEOUT_S)
    consumer.close()
    before = platform.pid("gateway-0")
    platform.kill("gateway-0")
    with _redis(platform) as client:
        for correlation_id in correlation_ids:
            assert client.delete(f"operation:{correlation_id}") == 1
    eventually(lambda: platform.is_back("gateway-0", before), TIMEOUT_S)
    eventually(lambda: rest.get(f"/v1/operations/{correlation_ids[0]}").is_success, TIMEOUT_S)


@contextmanager
def _redis(platform: Platform) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(platform.endpoints["redis"]) as client:
        yield client


def _read(client: httpx.Client, path: str) -> Json:
    answer: Json = client.get(path).raise_for_status().json()
    return answer


def _one(operations: list[Json], correlation_id: str) -> Json:
    return next(operation for operation in operations if operation["correlation_id"] == correlation_id)
