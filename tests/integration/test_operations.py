"""Operations followed over a real broker, a real registry and a real Redis, some of which fail."""

import asyncio
import time

import pytest
import redis
from polystream.v1.operations_pb2 import (
    Operation,
)
from polystream.v1.users_pb2 import User

from gateway.operations.redis_store import Claim
from mesh import topics
from mesh.ids import new_correlation_id, request_correlation_id
from mesh.settings import (
    KafkaSettings,
)
from mesh.telemetry.context import trace_context
from tests.support.freezing import frozen
from tests.support.operations import STORES, Lane, accepted, done, gateway, provision, saved
from tests.support.platform import EngineSet
from tests.support.ports import free_ports
from tests.support.waiting import eventually_async


@pytest.fixture(autouse=True)
def provisioned(command_path: EngineSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the settings to the engines, and see that topics and schemas are there."""
    for name, value in command_path.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    provision()


async def test_an_operation_succeeds_with_its_last_store(command_path: EngineSet) -> None:
    """The gateway that accepted a command sees each receipt; the last one completes it."""
    correlation_id = new_correlation_id()
    async with gateway("g-success") as here:
        lane = Lane()
        here.tracker.accepted(accepted(correlation_id))
        lane.answer(correlation_id, "POSTGRESQL", "REDIS")

        async def two_receipts() -> bool:
            operation = await here.tracker.find(correlation_id)
            return operation is not None and len(operation.receipts) == 2

        await eventually_async(two_receipts, 30)
        found = await here.tracker.find(correlation_id.upper())
        assert found is not None
        assert found.state == Operation.ACCEPTED
        lane.answer(correlation_id, "MONGODB")
        operation = await here.tracker.wait(correlation_id, 10)
        assert operation is not None
        assert operation.state == Operation.SUCCEEDED
        assert [receipt.store for receipt in operation.receipts] == [1, 2, 3]
        result = User()
        assert operation.result.Unpack(result)
        assert result.user_id == 7
    with redis.Redis.from_url(command_path.endpoints["redis"]) as client:
        assert set(client.hkeys(f"operation:{correlation_id}")) == {b"POSTGRESQL", b"MONGODB", b"REDIS"}
        assert 0 < client.ttl(f"operation:{correlation_id}") <= 24 * 3600


async def test_receipts_may_be_quicker_than_the_acknowledgement() -> None:
    """A receipt that comes first is kept for the operation that it belongs to."""
    correlation_id = new_correlation_id()
    async with gateway("g-early") as here:
        Lane().answer(correlation_id, "POSTGRESQL", command="CreateUser")
        await done(here.tracker.find, correlation_id)
        here.tracker.accepted(accepted(correlation_id, "CreateUser"))
        operation = await here.tracker.find(correlation_id)
        assert operation is not None
        assert operation.state == Operation.SUCCEEDED


async def test_another_gateway_tells_the_same_operation() -> None:
    """What one gateway has put into Redis, another that began later reads there, and a waiter there is woken too."""
    first, second = new_correlation_id(), new_correlation_id()
    async with gateway("g-one") as one:
        lane = Lane()
        one.tracker.accepted(accepted(first))
        lane.answer(first, *STORES)
        known = await done(one.tracker.find, first)
        async with gateway("g-two", operation_memory_max=1) as two:
            assert await done(two.tracker.find, first) == known
            lane.answer(second, "POSTGRESQL")
            await eventually_async(lambda: two.tracker.find(second), 30)
            waiting = asyncio.create_task(two.tracker.wait(second, 10))
            lane.answer(second, "MONGODB", "REDIS")
            operation = await waiting
            assert operation is not None
            assert operation.state == Operation.SUCCEEDED


async def test_a_gateway_goes_on_where_its_former_self_stopped() -> None:
    """What was answered while it was away is read at its return, and read without a group's delays."""
    before, during = new_correlation_id(), new_correlation_id()
    async with gateway("g-return") as here:
        Lane().answer(before, *STORES)
        await done(here.tracker.find, before)
    Lane().answer(during, *STORES)
    async with gateway("g-return") as here:
        began_s = time.monotonic()
        await done(here.tracker.find, during)
        assert time.monotonic() - began_s < 3
        assert here.tracker._memory.get(before) is None, "what was done with is not read again"


async def test_redis_away_does_not_keep_waiters_waiting(command_path: EngineSet) -> None:
    """Receipts reach those who wait at the gateway; Redis gets them when it is back, also those of meanwhile."""
    lost = [new_correlation_id() for _ in range(3)]
    async with gateway("g-no-redis") as here:
        lane = Lane()
        warm = new_correlation_id()
        lane.answer(warm, *STORES)
        await done(here.tracker.find, warm)
        command_path.kill("redis")
        try:
            for correlation_id in lost:
                here.tracker.accepted(accepted(correlation_id))
                lane.answer(correlation_id, *STORES)
                operation = await here.tracker.wait(correlation_id, 5)
                assert operation is not None
                assert operation.state == Operation.SUCCEEDED
            assert await here.tracker.claim_request(new_correlation_id(), b"a") is Claim.UNKNOWN
        finally:
            command_path.start("redis")
        await saved(command_path, lost)


Settings = dict[str, str]
# By what Redis answers: what makes it do so, and what ends it. PING is answered all the while.
REFUSALS: dict[str, tuple[Settings, Settings]] = {
    "OOM": ({"maxmemory": "1"}, {"maxmemory": "0"}),
    "NOREPLICAS": ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"}),
    "READONLY": ({"replicaof": "127.0.0.1 1"}, {"replicaof": "NO ONE"}),
    "NOPERM": ({"acl": "-@write"}, {"acl": "+@all"}),
}


def change(client: "redis.Redis", settings: Settings) -> None:
    """Change what Redis takes."""
    for name, value in settings.items():
        if name == "replicaof":
            client.replicaof(*value.split())
        elif name == "acl":
            client.execute_command("ACL", "SETUSER", "default", value)  # type: ignore[no-untyped-call] # the client's
        else:
            client.config_set(name, value)


@pytest.mark.parametrize("refusal", REFUSALS)
async def test_redis_that_takes_no_writes_keeps_nobody_waiting(command_path: EngineSet, refusal: str) -> None:
    """More is answered meanwhile than one batch holds: all of it is told at once, and is in Redis afterwards.

    A request ID that Redis knows is known all the same; one from meanwhile is told from another at this gateway.
    """
    claimed, meanwhile = (request_correlation_id("test", new_correlation_id()) for _ in range(2))
    answered = [new_correlation_id() for _ in range(700)]
    refuse, allow = REFUSALS[refusal]
    async with gateway(f"g-{refusal}") as here:
        lane = Lane()
        lane.answer(answered[0], *STORES)
        await done(here.tracker.find, answered[0])
        assert await here.tracker.claim_request(claimed, b"a") is Claim.NEW
        with redis.Redis.from_url(command_path.endpoints["redis"]) as client:
            change(client, refuse)
            try:
                for correlation_id in answered[1:]:
                    here.tracker.accepted(accepted(correlation_id, "CreateUser"))
                    lane.answer(correlation_id, "POSTGRESQL", command="CreateUser", flush=False)
                lane.flush()
                for correlation_id in (answered[1], answered[350], answered[-1]):
                    operation = await here.tracker.wait(correlation_id, 20)
                    assert operation is not None
                    assert operation.state == Operation.SUCCEEDED
                assert [await here.tracker.claim_request(claimed, f) for f in (b"a", b"b")] == [Claim.SAME, Claim.OTHER]
                claims = [await here.tracker.claim_request(meanwhile, f) for f in (b"a", b"a", b"b")]
                assert claims == [Claim.UNKNOWN, Claim.SAME, Claim.OTHER]
            finally:
                change(client, allow)
        with redis.Redis.from_url(command_path.endpoints["redis"]) as client:
            keys = [f"operation:{correlation_id}" for correlation_id in answered]
            await eventually_async(lambda: asyncio.to_thread(lambda: client.exists(*keys) == len(keys)), 30)
        assert await here.tracker.claim_request(new_correlation_id(), b"a") is Claim.NEW


async def test_somebody_elses_value_in_redis_holds_nobody_up(command_path: EngineSet) -> None:
    """An operation whose key holds a text is told from memory, and those beside it are in Redis."""
    odd, others = new_correlation_id(), [new_correlation_id() for _ in range(3)]
    with redis.Redis.from_url(command_path.endpoints["redis"]) as client:
        client.set(f"operation:{odd}", "text")
        async with gateway("g-odd-key") as here:
            lane = Lane()
            for correlation_id in (others[0], odd, *others[1:]):
                lane.answer(correlation_id, *STORES)
            assert (await done(here.tracker.find, odd)).state == Operation.SUCCEEDED
            await saved(command_path, others)
        assert client.get(f"operation:{odd}") == b"text"
        client.delete(f"operation:{odd}")


async def test_redis_hanging_delays_nobody_for_long(command_path: EngineSet) -> None:
    """A Redis that accepts and never answers costs a second at a time, and gets all receipts when it goes on."""
    correlation_ids = [new_correlation_id() for _ in range(2)]
    async with gateway("g-hanging-redis") as here:
        lane = Lane()
        warm = new_correlation_id()
        lane.answer(warm, *STORES)
        await done(here.tracker.find, warm)
        with frozen(command_path.pid("redis")):
            for correlation_id in correlation_ids:
                here.tracker.accepted(accepted(correlation_id))
                lane.answer(correlation_id, *STORES)
                began_s = time.monotonic()
                operation = await here.tracker.wait(correlation_id, 10)
                assert operation is not None
                assert operation.state == Operation.SUCCEEDED
                assert time.monotonic() - began_s < 5
            began_s = time.monotonic()
            assert await here.tracker.claim_request(new_correlation_id(), b"a") is Claim.UNKNOWN
            assert time.monotonic() - began_s < 2
        await saved(command_path, correlation_ids)


async def test_a_broker_that_forgot_its_topics_is_followed_again(command_path: EngineSet) -> None:
    """A broker without its data comes back empty: positions in the old topic do not hide what is in the new one."""
    old, new = new_correlation_id(), new_correlation_id()
    async with gateway("g-new-topic") as here:
        lane = Lane()
        for _ in range(20):
            lane.answer(new_correlation_id(), "POSTGRESQL")
        lane.answer(old, *STORES)
        await done(here.tracker.find, old)
        command_path.kill("kafka")
        command_path.forget("kafka")
        command_path.start("kafka")
        topics.create_topics(KafkaSettings().client_config("test"))
        Lane().answer(new, *STORES)
        assert (await done(here.tracker.find, new)).state == Operation.SUCCEEDED


async def test_a_record_that_is_no_receipt_is_passed_over() -> None:
    """Garbage on the topic stops nobody."""
    correlation_id = new_correlation_id()
    async with gateway("g-garbage") as here:
        lane = Lane()
        lane.send(b"")
        lane.send(b"\x00\x00\x00\x00\x01garbage")
        lane.send(b"\x00\x7f\xff\xff\xffgarbage")
        lane.answer(correlation_id, *STORES)
        assert (await done(here.tracker.find, correlation_id)).state == Operation.SUCCEEDED


async def test_one_request_id_is_claimed_once_by_all_gateways() -> None:
    """Of many claims at once by two gateways one is NEW; the same request is told from another."""
    correlation_id = request_correlation_id("test", new_correlation_id())
    async with gateway("g-claim-1") as one, gateway("g-claim-2") as two:
        claims = await asyncio.gather(
            *(g.tracker.claim_request(correlation_id, b"same") for g in (one, two) for _ in range(20))
        )
        assert sorted(claim.name for claim in claims) == ["NEW"] + ["SAME"] * 39
        assert await two.tracker.claim_request(correlation_id, b"other") is Claim.OTHER


async def test_the_last_hop_is_in_the_trace_of_a_traced_command_alone() -> None:
    """One CONSUMER span a receipt, below the span that sent it, at the gateway that accepted the command."""
    traced, untraced, foreign = (new_correlation_id() for _ in range(3))
    parent = trace_context("1" * 32, "2" * 16, sampled=True)
    async with gateway("g-trace") as here:
        lane = Lane()
        here.tracker.accepted(accepted(traced))
        here.tracker.accepted(accepted(untraced))
        lane.answer(foreign, *STORES, trace=parent)
        lane.answer(untraced, *STORES, trace=trace_context("3" * 32, "4" * 16, sampled=False))
        lane.answer(traced, *STORES, trace=parent)
        lane.answer(traced, *STORES, trace=parent, duplicate=True)
        for correlation_id in (foreign, untraced, traced):
            await done(here.tracker.find, correlation_id)
        last = new_correlation_id()
        lane.answer(last, *STORES)
        await done(here.tracker.find, last)
        spans = here.finished()
    assert [span.name for span in spans] == ["process response_events"] * 3
    for span in spans:
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (parent.trace_id, parent.span_id)
        assert span.attributes is not None
        assert span.attributes["messaging.message.conversation_id"] == traced
    assert {span.attributes["polystream.store"] for span in spans if span.attributes} == set(STORES)


async def test_a_gateway_starts_and_stops_without_any_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for at the start, and stopping is bounded."""
    ports = free_ports()
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{ports.kafka}")
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{ports.redis}/0")
    correlation_id = new_correlation_id()
    began_s = time.monotonic()
    async with gateway("g-nothing") as here:
        assert time.monotonic() - began_s < 1
        here.tracker.accepted(accepted(correlation_id))
        operation = await here.tracker.wait(correlation_id, 0.2)
        assert operation is not None
        assert operation.state == Operation.ACCEPTED
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 6
