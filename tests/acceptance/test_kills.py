"""Killing any part once under load loses no acknowledged command, and applies none twice."""

import json
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
import psycopg
import pymongo
import pytest
import redis
from polystream.v1 import contents_pb2, contents_pb2_grpc, users_pb2, users_pb2_grpc, views_pb2, views_pb2_grpc
from polystream.v1.contents_pb2 import Content

from tests.support.engine_sets import chosen_sets
from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_engine_set

COMMANDS_A_SECOND = 200
COMMANDS_A_SECOND_AFTER = 25  # a machine that is saturated with commands takes long to start a part again
COMMANDS_MAX = 9000
ACKNOWLEDGED_BEFORE = 120  # commands, when the kill comes
ACKNOWLEDGED_AFTER = 30  # commands, after the part is back
LOAD_TIMEOUT_S = 40.0
# Else a client waits longer and longer before it looks for a gateway that is being started again.
RECONNECT_MAX_MS = 500
SETTLE_TIMEOUT_S = 60.0
# By engine set. The native ones are other programs for PostgreSQL, Redis, the broker and the event store: a lane has
# another broker to come back to there, and the monitor another store. See tests/acceptance/test_native.py for the rest.
PARTS = {
    "embedded": [
        "gateway-0",
        "lane-postgresql-0",
        "lane-mongodb-0",
        "lane-redis-0",
        "monitor",
        "postgresql",
        "redis",
        "mongodb",
        "kafka",
    ],
    "native": ["lane-postgresql-0", "monitor", "postgresql", "redis"],
}
KILLS = [(engine_set, run, part) for engine_set in chosen_sets() for run, part in enumerate(PARTS[engine_set], start=1)]
CONTENT_BASE = 10_000_000


class Load:
    """Sends commands of three stores, at an even pace until it is slowed down, and keeps what was acknowledged."""

    def __init__(self, address: str, run: int) -> None:
        self._address = address
        self._run = run
        self.users: list[str] = []  # e-mail addresses
        self.views: list[str] = []  # correlation IDs
        self.contents: list[int] = []  # content IDs
        self.refused = 0
        self.slower = threading.Event()
        self.enough = threading.Event()

    @property
    def acknowledged(self) -> int:
        """How many commands were acknowledged so far."""
        return len(self.users) + len(self.views) + len(self.contents)

    def send(self, commands: int = COMMANDS_MAX) -> None:
        """Send so many, or until there are enough. What is not acknowledged is counted, not repeated."""
        options = [(f"grpc.{bound}_reconnect_backoff_ms", RECONNECT_MAX_MS) for bound in ("initial", "min", "max")]
        with grpc.insecure_channel(self._address, options) as channel:
            users = users_pb2_grpc.UserServiceStub(channel)
            views = views_pb2_grpc.ViewServiceStub(channel)
            contents = contents_pb2_grpc.ContentServiceStub(channel)
            next_s = time.monotonic()
            for number in range(commands):
                if self.enough.wait(max(0.0, next_s - time.monotonic())):
                    return
                next_s += 1 / (COMMANDS_A_SECOND_AFTER if self.slower.is_set() else COMMANDS_A_SECOND)
                try:
                    self._one(number, users, views, contents)
                except grpc.RpcError:
                    self.refused += 1

    def _one(
        self,
        number: int,
        users: users_pb2_grpc.UserServiceStub,
        views: views_pb2_grpc.ViewServiceStub,
        contents: contents_pb2_grpc.ContentServiceStub,
    ) -> None:
        kind = number % 3
        if kind == 0:
            someone = person()
            users.CreateUser(users_pb2.CreateUserRequest(**someone), timeout=5)
            self.users.append(someone["email"])
        elif kind == 1:
            view = views_pb2.RecordViewRequest(
                user_id=1234, content_id=self._run * 10_000 + number, title="t", kind=Content.MOVIE
            )
            self.views.append(views.RecordView(view, timeout=5).correlation_id)
        else:
            content_id = CONTENT_BASE + self._run * 10_000 + number
            contents.CacheContent(
                contents_pb2.CacheContentRequest(content_id=content_id, title="t", kind=Content.MOVIE), timeout=5
            )
            self.contents.append(content_id)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("engine_set", "run", "part"), KILLS, scope="session")
def test_a_kill_loses_nothing_and_repeats_nothing(platform: Platform, run: int, part: str) -> None:
    """Every acknowledged command has its one effect in its store, and nothing has two."""
    kill_under_load(platform, run, part)


def kill_under_load(platform: Platform, run: int, part: str) -> None:
    """Kill a part while commands come in, and count what they did. `run` is a number that no other has."""
    load = Load(platform.endpoints["grpc"], run)
    sender = threading.Thread(target=load.send)
    sender.start()
    try:
        eventually(lambda: load.acknowledged >= ACKNOWLEDGED_BEFORE, LOAD_TIMEOUT_S)
        before = platform.pid(part)
        platform.kill(part)
        load.slower.set()
        eventually(lambda: platform.is_back(part, before), SETTLE_TIMEOUT_S)
        enough = load.acknowledged + ACKNOWLEDGED_AFTER
        eventually(lambda: load.acknowledged >= enough, LOAD_TIMEOUT_S)
    finally:
        load.enough.set()
        sender.join()
    eventually(lambda: not _missing(platform, load), SETTLE_TIMEOUT_S)
    assert _twice(platform, load) == []


def _missing(platform: Platform, load: Load) -> Sequence[object]:
    """Return what was acknowledged and has no effect yet. Raises the client's error while a store is away."""
    return [
        *(set(load.users) - set(_stored_users(platform, load))),
        *(set(load.views) - set(_stored_views(platform, load))),
        *_absent_contents(platform, load),
    ]


def _twice(platform: Platform, load: Load) -> Sequence[object]:
    """Return what has more than one effect. A view's content ID is its own, so a second effect would show."""
    users = Counter(_stored_users(platform, load))
    with pymongo.MongoClient[dict[str, Any]](platform.endpoints["mongodb"]) as client:
        contents = Counter(
            document["conteudo_id"]
            for document in client.get_default_database()["historico_visualizacao"].find(
                {"conteudo_id": {"$gte": load._run * 10_000, "$lt": (load._run + 1) * 10_000}}, {"conteudo_id": 1}
            )
        )
    return [item for counter in (users, contents) for item, count in counter.items() if count != 1]


def _stored_users(platform: Platform, load: Load) -> list[str]:
    with psycopg.connect(platform.endpoints["postgresql"], connect_timeout=3) as db:
        rows = db.execute("SELECT email FROM usuarios WHERE email = ANY(%s)", (load.users,)).fetchall()
    return [row[0] for row in rows]


def _stored_views(platform: Platform, load: Load) -> list[str]:
    with pymongo.MongoClient[dict[str, Any]](platform.endpoints["mongodb"], serverSelectionTimeoutMS=3000) as client:
        history = client.get_default_database()["historico_visualizacao"]
        return [document["_id"] for document in history.find({"_id": {"$in": load.views}}, {"_id": 1})]


def _absent_contents(platform: Platform, load: Load) -> list[int]:
    with redis.Redis.from_url(platform.endpoints["redis"], socket_timeout=3) as client:
        pipeline = client.pipeline(transaction=False)
        for content_id in load.contents:
            pipeline.exists(f"conteudo:{content_id}")
        return [content_id for content_id, there in zip(load.contents, pipeline.execute(), strict=True) if not there]


def test_the_stores_agree_after_all_of_it(platform: Platform, engine_set: str) -> None:
    """No store has lost a command that its lane has passed, and none has what is nobody's."""

    def checked_by_all() -> subprocess.CompletedProcess[str]:
        done = platform.command("integrity", "check", "--json")
        assert done.returncode in {0, 1}, done.stderr  # else a store, or the broker, did not answer in time
        return done

    checked = eventually(checked_by_all, SETTLE_TIMEOUT_S)
    report = json.loads(checked.stdout)
    assert (checked.returncode, report["lost"], report["orphans"]) == (0, [], []), checked.stderr
    assert report["compared"] >= len(PARTS[engine_set]) * (ACKNOWLEDGED_BEFORE + ACKNOWLEDGED_AFTER)
