"""SIGKILL of the MongoDB server and of Valkey in the middle of batches: every effect once, every command answered."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis
from polystream.v1.contents_pb2 import CacheContentRequest, Content, DeleteContentRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.users_pb2 import DeleteUserRequest
from polystream.v1.views_pb2 import DeleteViewRequest, RecordViewRequest

from mesh.errors import PolystreamError, Reason
from processor.model import Delivery, Store
from processor.stores.mongodb import MongoUserMemory
from processor.stores.redis import RedisUserMemory
from processor.users import user_of
from tests.support.engine_pool import Lease
from tests.support.lanes import delivery as deliver
from tests.support.platform import EngineSet
from tests.support.stores import apply, ending, fresh_database, mongo_store, redis_store, substance
from tests.support.waiting import eventually

USERS = range(1, 41)
BATCHES = 30
BATCH_SIZE = 100
KILLS = 3


@pytest.fixture
def running(lease: Lease) -> EngineSet:
    """Run both servers, empty for each test."""
    return lease("mongodb", "redis")


class Lane:
    """Applies batches one after the other in a thread, each until it is done, as a lane does."""

    def __init__(self, store: Store, batches: Sequence[Sequence[Delivery]]) -> None:
        self.receipts: list[CommandReceipt] = []
        self.interruptions = 0
        self._store = store
        self._batches = batches
        self._pause = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def run_while(self, disturb: Callable[["Lane"], None]) -> None:
        """Apply everything while the main thread disturbs it."""
        self._thread.start()
        try:
            disturb(self)
        finally:
            self._thread.join(timeout=100)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        for batch in self._batches:
            while True:
                try:
                    self.receipts += apply(self._store, *batch)
                    break
                except PolystreamError as error:
                    assert error.reason is Reason.STORE_UNAVAILABLE  # noqa: PT017 - the loop goes on after it
                    self.interruptions += 1
                    self._pause.wait(0.05)


def kill_again_and_again(running: EngineSet, name: str) -> Callable[[Lane], None]:
    """Return what kills a server a few times, each time after some more batches have been applied."""

    def disturb(lane: Lane) -> None:
        for number in range(1, KILLS + 1):
            wanted = number * BATCHES * BATCH_SIZE // (KILLS + 2)
            eventually(lambda: len(lane.receipts) >= wanted, 60, interval_s=0.001)  # noqa: B023 - called at once
            running.kill(name)
            running.start(name)

    return disturb


def record(number: int) -> Delivery:
    """Return a RecordView of one of the users."""
    request = RecordViewRequest(
        user_id=USERS[number % len(USERS)], content_id=number + 1, title="x", kind=Content.Kind.MOVIE
    )
    return deliver(request)


def test_views_survive_kills_of_the_server(running: EngineSet) -> None:
    """Three thousand views, three kills: each view is there once, and every answer is a success."""
    with fresh_database(running) as db:
        MongoUserMemory(db).remember(list(USERS))
        store = mongo_store(running, db.name)
        batches = [[record(BATCH_SIZE * n + i) for i in range(BATCH_SIZE)] for n in range(BATCHES)]
        lane = Lane(store, batches)
        lane.run_while(kill_again_and_again(running, "mongodb"))
        store.close()
        # The client repeats a write itself when the server is back soon enough, so no interruption is to be counted.
        assert {ending(receipt) for receipt in lane.receipts} == {"ok"}
        views = list(db["historico_visualizacao"].find())
        assert sorted(v["conteudo_id"] for v in views) == list(range(1, BATCHES * BATCH_SIZE + 1))
        assert {v["_id"] for v in views} == {d.correlation_id for batch in batches for d in batch}
        assert db["comandos_aplicados"].count_documents({}) == BATCHES * BATCH_SIZE


def test_a_kill_right_after_the_effects(running: EngineSet) -> None:
    """The server dies when a command's effects are written and its receipt is not, for each command in turn."""
    with fresh_database(running) as db:
        MongoUserMemory(db).remember(list(USERS))
        store = mongo_store(running, db.name)
        views = [record(number) for number in range(len(USERS) * 2)]
        commands: list[list[Delivery]] = [
            views,
            [deliver(DeleteViewRequest(user_id=user_of(v), view_id=v.correlation_id)) for v in views[:2]],
            [deliver(GenerateRecommendationsRequest(user_id=USERS[-1]))],
            [deliver(DeleteUserRequest(user_id=USERS[0]))],
        ]
        handlers = dict(store._handlers)
        for batch in commands:
            seen: list[Any] = []
            name = batch[0].command.name

            def deadly(group: Any, client: Any, name: str = name, seen: list[Any] = seen) -> Any:
                outcomes = handlers[name](group, client)
                if not seen:
                    running.kill("mongodb")
                seen.append(outcomes)
                return outcomes

            deadly.__module__ = handlers[name].__module__
            store._handlers = {**handlers, name: deadly}
            with pytest.raises(PolystreamError) as raised:
                apply(store, *batch)
            assert raised.value.reason is Reason.STORE_UNAVAILABLE
            running.start("mongodb")
            receipts = apply(store, *batch)
            assert {ending(receipt) for receipt in receipts} == {"ok"}
            assert not any(receipt.duplicate for receipt in receipts)
            assert len(seen) == 2
            assert [outcome.result for outcome in seen[0]] == [outcome.result for outcome in seen[1]]
            assert [substance(r) for r in apply(store, *batch)] == [substance(r) for r in receipts]
        store.close()
        user_ids = [v["user_id"] for v in db["historico_visualizacao"].find({"user_id": {"$exists": True}})]
        # Two views of each user, but for those of the erased user, one of which had been deleted before.
        assert sorted(user_ids) == sorted([*[USERS[1]], *(user for user in USERS[2:] for _ in range(2))])
        assert db["recomendacoes"].count_documents({}) == 1


def test_sessions_and_contents_survive_kills_of_the_server(running: EngineSet) -> None:
    """Each session is there once, each content that was deleted is gone, and every answer is the first one's."""
    with redis.Redis.from_url(running.endpoints["redis"], decode_responses=True) as client:
        RedisUserMemory(client).remember(list(USERS))
        store = redis_store(running)
        batches = [redis_batch(number) for number in range(BATCHES)]
        lane = Lane(store, batches)
        lane.run_while(kill_again_and_again(running, "redis"))
        store.close()
        assert lane.interruptions >= 1
        # A DeleteContent that was applied twice would have been refused the second time.
        assert {ending(receipt) for receipt in lane.receipts} == {"ok"}
        sessions = [d.correlation_id for batch in batches for d in batch if d.command.name == "CreateSession"]
        assert sorted(client.scan_iter("sessao:*", count=1000)) == sorted(f"sessao:{id_}" for id_ in sessions)
        assert sorted(id_ for user in USERS for id_ in client.zrange(f"sessoes:{user}", 0, -1)) == sorted(sessions)
        assert list(client.scan_iter("conteudo:*", count=1000)) == []
        assert len(list(client.scan_iter("comando:*", count=1000))) == BATCHES * BATCH_SIZE


def redis_batch(number: int) -> list[Delivery]:
    """Return sessions, and contents that are cached and deleted again."""
    batch: list[Delivery] = []
    for place in range(0, BATCH_SIZE, 4):
        content_id = BATCH_SIZE * number + place + 1
        batch += [
            deliver(CreateSessionRequest(user_id=USERS[place % len(USERS)], device=Session.Device.TV)),
            deliver(CacheContentRequest(content_id=content_id, title="x", kind=Content.Kind.MOVIE)),
            deliver(CreateSessionRequest(user_id=USERS[place % len(USERS)], device=Session.Device.WEB)),
            deliver(DeleteContentRequest(content_id=content_id)),
        ]
    return batch
