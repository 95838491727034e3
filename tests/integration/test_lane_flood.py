"""Commands of users of whom nothing can be told, far more of them than wait at ease: known users go on all the same."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pymongo
import pytest
import redis
from google.protobuf.message import Message
from polystream.v1.contents_pb2 import Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.views_pb2 import RecordViewRequest

from processor.stores.mongodb import MongoUserMemory
from processor.stores.redis import RedisUserMemory
from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.platform import EngineSet
from tests.support.stores import ending
from tests.support.waiting import eventually

_USER_IDS = itertools.count(1)
_FLOOD: Final = 4000
_KNOWN_MAX_S: Final = 5.0  # far less on a quiet machine; of all that wait, not one is answered before a minute


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the engines, provisioned. PostgreSQL's lane never runs: nobody can tell who is about to be created."""
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


def know(running: EngineSet, user_id: int) -> None:
    """Let MongoDB's and Redis's lanes know a user, as they do from the first command on."""
    with pymongo.MongoClient[dict[str, Any]](running.endpoints["mongodb"]) as client:
        MongoUserMemory(client.get_default_database()).remember([user_id])
    with redis.Redis.from_url(running.endpoints["redis"]) as client:
        RedisUserMemory(client).remember([user_id])


def command(store: str, user_id: int) -> Message:
    """Return a command of a store about a user."""
    if store == "redis":
        return CreateSessionRequest(user_id=user_id, device=Session.Device.TV)
    return RecordViewRequest(user_id=user_id, content_id=1, title="x", kind=Content.Kind.MOVIE)


def slowest_s(wire: Wire, store: str, known: int, count: int) -> float:
    """Send commands of a known user, one after the other, and return how long the slowest took."""
    slowest = 0.0
    for _ in range(count):
        began_s = time.monotonic()
        id_ = wire.send(command(store, known))
        wire.flush()
        assert ending(wire.wait_receipt(id_)) == "ok"
        slowest = max(slowest, time.monotonic() - began_s)
    return slowest


def test_beyond_the_bound_those_that_waited_longest_are_answered_early(
    running: EngineSet, wire: Wire, tmp_path: Path
) -> None:
    """With room for a few hundred, the first of thousands are refused at once, in their partition's order."""
    known = next(_USER_IDS)
    know(running, known)
    lane = LaneProcess(running, "redis", tmp_path, settings={"LANE_MAX_DEFERRED_BYTES": "300000"}).start()
    try:
        flood = [wire.send(command("redis", 20_000_000 + number)) for number in range(3000)]
        wire.flush()

        def refused() -> list[CommandReceipt]:
            wire.drain()
            return [wire.receipts(id_)[0] for id_ in flood if wire.receipts(id_)]

        eventually(lambda: 2000 < len(refused()) < 2800, 40)
        assert slowest_s(wire, "redis", known, 5) < _KNOWN_MAX_S
        assert {ending(receipt) for receipt in refused()} == {"USER_UNVERIFIED"}
        assert len(refused()) < 2800
        offsets: dict[int, list[int]] = {}
        for receipt in refused():
            offsets.setdefault(receipt.command_partition, []).append(receipt.command_offset)
        for of_one in map(sorted, offsets.values()):
            assert of_one == list(range(of_one[0], of_one[0] + len(of_one)))
    finally:
        lane.stop()


@pytest.mark.parametrize(("store", "kind"), [("mongodb", "many-users"), ("redis", "many-users"), ("redis", "one-user")])
def test_known_users_go_on(running: EngineSet, wire: Wire, tmp_path: Path, store: str, kind: str) -> None:
    """Thousands of others' commands wait, each its minute; none of them is answered, and none in the way."""
    known, unknown = next(_USER_IDS), next(_USER_IDS)
    know(running, known)
    lane = LaneProcess(running, store, tmp_path).start()
    try:
        assert slowest_s(wire, store, known, 1) < 15
        flood = [wire.send(command(store, 10_000_000 + n if kind == "many-users" else unknown)) for n in range(_FLOOD)]
        wire.flush()
        assert ending(wire.wait_receipt(wire.send(command(store, known)), 30)) == "ok"  # what came before it is read
        assert slowest_s(wire, store, known, 10) < _KNOWN_MAX_S
        assert not any(wire.receipts(id_) for id_ in flood)
    finally:
        lane.stop()
