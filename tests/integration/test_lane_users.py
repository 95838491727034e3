"""The three lanes as processes: a person's commands across stores that know nothing of each other."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
import redis
from google.protobuf.message import Message
from polystream.v1.contents_pb2 import Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.users_pb2 import CreateUserRequest, DeleteUserRequest
from polystream.v1.views_pb2 import RecordViewRequest

from tests.support.engine_pool import Lease
from tests.support.lanes import LaneProcess, Wire, run_module
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.stores import ending

USER_IDS = itertools.count(1)
STORES = ("postgresql", "mongodb", "redis")
Lanes = dict[str, LaneProcess]


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run all engines, provisioned."""
    started = lease(*STORES, "kafka", "schema_registry")
    run_module(started, "stack.provision")
    run_module(started, "processor", "migrate")
    return started


@pytest.fixture(scope="module")
def lanes(running: EngineSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    """Run the three lanes."""
    folder = tmp_path_factory.mktemp("lanes")
    started = {store: LaneProcess(running, store, folder_of(folder, store)).start(wait=False) for store in STORES}
    try:
        for lane in started.values():
            lane.wait_ready()
        yield started
    finally:
        for lane in started.values():
            lane.stop()


@pytest.fixture
def wire(running: EngineSet) -> Iterator[Wire]:
    """Return the test's own end of the topics."""
    opened = Wire(running)
    yield opened
    opened.close()


def folder_of(parent: Path, name: str) -> Path:
    """Return a new folder."""
    folder = parent / name
    folder.mkdir()
    return folder


def create(user_id: int) -> CreateUserRequest:
    """Return the creation of a person."""
    return CreateUserRequest(user_id=user_id, **person())


def record(user_id: int, content_id: int = 1) -> RecordViewRequest:
    """Return a view by a user."""
    return RecordViewRequest(user_id=user_id, content_id=content_id, title="x", kind=Content.Kind.MOVIE)


def sign_in(user_id: int) -> CreateSessionRequest:
    """Return a session of a user."""
    return CreateSessionRequest(user_id=user_id, device=Session.Device.TV)


def send(wire: Wire, *requests: Message) -> list[CommandReceipt]:
    """Send commands at once, and return the first receipt of each."""
    ids = [wire.send(request) for request in requests]
    wire.flush()
    wire.wait_all(ids)
    return [wire.receipts(id_)[0] for id_ in ids]


@pytest.mark.usefixtures("lanes")
def test_a_user_created_a_moment_ago_is_not_mistaken(wire: Wire) -> None:
    """Hundreds of people are created, and watch and sign in at once: every command succeeds."""
    users = [next(USER_IDS) for _ in range(200)]
    requests = [
        request
        for user_id in users
        for request in (
            create(user_id),
            record(user_id),
            sign_in(user_id),
            GenerateRecommendationsRequest(user_id=user_id),
        )
    ]
    assert {ending(receipt) for receipt in send(wire, *requests)} == {"ok"}


@pytest.mark.usefixtures("lanes")
def test_a_user_who_does_not_exist_is_refused_soon(wire: Wire) -> None:
    """Though PostgreSQL's lane has nothing to do in the partition, it tells how far it is."""
    user_id = next(USER_IDS)
    ids = [wire.send(request) for request in (record(user_id), sign_in(user_id))]
    wire.flush()
    assert [ending(wire.wait_receipt(id_, timeout_s=5)) for id_ in ids] == ["USER_NOT_FOUND"] * 2


@pytest.mark.usefixtures("lanes")
def test_a_life_in_order(running: EngineSet, wire: Wire) -> None:
    """Created, watching, erased from all stores, unknown, created anew and watching: sent in one breath."""
    user_id = next(USER_IDS)
    story = [create(user_id), record(user_id, 1), sign_in(user_id), DeleteUserRequest(user_id=user_id)]
    after = [record(user_id, 2), sign_in(user_id)]
    again = [create(user_id), record(user_id, 3), sign_in(user_id)]
    ids = [wire.send(request) for request in (*story, *after, *again)]
    wire.flush()
    wire.wait_all(ids)
    wire.wait_receipts(ids[3], 3)
    assert {ending(receipt) for receipt in wire.receipts(ids[3])} == {"ok"}
    endings = [ending(wire.receipts(id_)[0]) for id_ in ids]
    assert endings[:4] == ["ok"] * 4
    assert endings[6:] == ["ok"] * 3
    # The PostgreSQL lane may have been at the second creation already when these two were judged.
    assert set(endings[4:6]) <= {"ok", "USER_NOT_FOUND"}
    with (
        pymongo.MongoClient[dict[str, Any]](running.endpoints["mongodb"]) as documents,
        redis.Redis.from_url(running.endpoints["redis"], decode_responses=True) as keys,
    ):
        views = documents.get_default_database()["historico_visualizacao"].find({"user_id": user_id})
        assert 1 not in {view["conteudo_id"] for view in views}
        sessions = keys.zrange(f"sessoes:{user_id}", 0, -1)
    assert ids[2] not in sessions
    assert ids[8] in sessions


def test_known_users_do_not_need_postgresql(running: EngineSet, lanes: Lanes, wire: Wire) -> None:
    """While PostgreSQL is dead, who is known goes on watching; who was created meanwhile waits, and is not lost."""
    known, new = next(USER_IDS), next(USER_IDS)
    assert {ending(receipt) for receipt in send(wire, create(known), record(known), sign_in(known))} == {"ok"}
    running.kill("postgresql")
    try:
        waiting = [wire.send(request) for request in (create(new), record(new), sign_in(new))]
        receipts = send(wire, *(record(known, content_id) for content_id in range(50)), sign_in(known))
        assert {ending(receipt) for receipt in receipts} == {"ok"}
        assert [wire.receipts(id_) for id_ in waiting] == [[], [], []]
        assert lanes["mongodb"].ready_file.exists()
    finally:
        running.start("postgresql")
    wire.wait_all(waiting)
    assert {ending(wire.receipts(id_)[0]) for id_ in waiting} == {"ok"}


def test_killed_lanes_apply_everything_once(running: EngineSet, lanes: Lanes, wire: Wire) -> None:
    """SIGKILL of both lanes in the middle of a load: every command is answered, and every effect is there once."""
    user_id = next(USER_IDS)
    assert [ending(receipt) for receipt in send(wire, create(user_id))] == ["ok"]
    views = [wire.send(record(user_id, content_id)) for content_id in range(1500)]
    sessions = [wire.send(sign_in(user_id)) for _ in range(1500)]
    wire.flush()
    wire.wait_receipt(views[0])
    wire.wait_receipt(sessions[0])
    for store in ("mongodb", "redis"):
        lanes[store].kill()
    for store in ("mongodb", "redis"):
        lanes[store].start()
    wire.wait_all([*views, *sessions])
    assert {ending(receipt) for id_ in (*views, *sessions) for receipt in wire.receipts(id_)} == {"ok"}
    with (
        pymongo.MongoClient[dict[str, Any]](running.endpoints["mongodb"]) as documents,
        redis.Redis.from_url(running.endpoints["redis"], decode_responses=True) as keys,
    ):
        found = documents.get_default_database()["historico_visualizacao"].find({"user_id": user_id})
        assert sorted(view["_id"] for view in found) == sorted(views)
        assert sorted(keys.zrange(f"sessoes:{user_id}", 0, -1)) == sorted(sessions)
