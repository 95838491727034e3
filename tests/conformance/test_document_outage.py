"""Any document store killed, stopped and back, under the lane's adapter: every command once, every error its kind."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

import pytest
from polystream.v1.contents_pb2 import Content
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest
from polystream.v1.users_pb2 import DeleteUserRequest
from polystream.v1.views_pb2 import DeleteViewRequest, RecordViewRequest
from pymongo import UpdateOne
from pymongo.database import Database

from gateway.queries.stores import Stores
from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from mesh.store_names.mongodb import INBOX, VIEWS
from processor.handlers import find_handlers
from processor.model import Delivery
from processor.stores.mongodb import MongoStore, MongoUserMemory, connect, database_of, ensure_indexes, store_errors
from processor.stores.mongodb_documents import insert_absent
from stack.engines import mongodb
from stack.engines.native import NATIVE
from tests.support.closing import close_stores
from tests.support.lanes import CATALOG, delivery
from tests.support.store_engines import StoreServer
from tests.support.store_load import apply_side_by_side, is_unavailable
from tests.support.stores import TOPIC_ID, apply, ending, substance
from tests.support.waiting import eventually

Db = Database[dict[str, Any]]
_TIMEOUT_S: Final = 30.0
_USERS: Final = range(1, 21)
_NO_POSTGRES: Final = PostgresSettings(port=1)  # known users need none


@pytest.fixture
def settings(own_document: StoreServer) -> MongoSettings:
    """Settings that lead to a database of the test's own."""
    url = f"{own_document.url.rpartition('/')[0]}/test_{uuid4().hex}"
    return own_document.mongo.model_copy(update={"url": url})


@pytest.fixture
def db(settings: MongoSettings) -> Iterator[Db]:
    """That database, with the platform's indexes, in which some users are known."""
    with connect(settings) as client:
        database = database_of(client)
        ensure_indexes(database, 3600)
        MongoUserMemory(database).remember(list(_USERS))
        yield database


@pytest.fixture
def store(settings: MongoSettings, db: Db) -> Iterator[MongoStore]:
    """The lane's store."""
    del db
    opened = _open(settings)
    yield opened
    opened.close()


def _open(settings: MongoSettings) -> MongoStore:
    return MongoStore(settings, _NO_POSTGRES, find_handlers(CATALOG, "MONGODB"), lambda: TOPIC_ID)


def _record(user_id: int, content_id: int) -> Delivery:
    return delivery(RecordViewRequest(user_id=user_id, content_id=content_id, title="Ação", kind=Content.Kind.MOVIE))


def test_every_set_starts_the_same_server(own_document: StoreServer) -> None:
    """What this suite finds of one set is true of the other: the command differs in where the data is."""
    context = own_document.engines.context
    embedded, native = (
        engine.command(context).argv for engine in (mongodb.ENGINE, next(e for e in NATIVE if e.name == "mongodb"))
    )
    assert [argument for argument in embedded if argument not in native] == [str(context.data_dir / "mongodb" / "data")]
    assert "--sync-on-commit" in native


def test_every_command_delivered_again_gets_its_first_answer(own_document: StoreServer, store: MongoStore) -> None:
    """After a kill of the server too: the receipts are the same but for their mark, and no document is new."""
    views = [_record(user_id, content_id) for user_id in (1, 2) for content_id in (10, 20 + user_id)]
    batch = [
        *views,
        delivery(DeleteViewRequest(user_id=1, view_id=views[0].correlation_id)),
        delivery(DeleteViewRequest(user_id=1, view_id=views[0].correlation_id)),
        delivery(GenerateRecommendationsRequest(user_id=1)),
        delivery(DeleteUserRequest(user_id=2)),
    ]
    first = apply(store, *batch)
    assert [ending(receipt) for receipt in first] == [*["ok"] * 5, "VIEW_NOT_FOUND", "ok", "ok"]
    before = {name: list(store._db[name].find(sort=[("_id", 1)])) for name in store._db.list_collection_names()}
    own_document.kill()
    own_document.start()
    again = apply(store, *batch)
    assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
    assert all(receipt.duplicate for receipt in again)
    assert {name: list(store._db[name].find(sort=[("_id", 1)])) for name in store._db.list_collection_names()} == before


def test_kills_lose_no_acknowledged_write(own_document: StoreServer, settings: MongoSettings, db: Db) -> None:
    """Insertions, changes and upserts of three writers, killed twice: what was answered is there, in order too.

    What a writer wrote before something that is there is there as well, whether or not it was answered.
    """
    acknowledged: list[Counter[str]] = [Counter() for _ in range(3)]
    stop = threading.Event()

    def write(writer: int) -> None:
        steps: list[tuple[str, Callable[[Db, int], object]]] = [
            ("insert", lambda own, n: insert_absent(own["a"], [{"_id": f"{writer}-{n}-{i}"} for i in range(10)])),
            (
                "upsert",
                lambda own, n: own["b"].bulk_write([UpdateOne({"_id": writer}, {"$set": {"n": n}}, upsert=True)]),
            ),
        ]
        with connect(settings) as client:
            own, number = database_of(client), 0
            while not stop.is_set():
                number += 1
                for name, step in steps:
                    _until_done(lambda: step(own, number), stop)  # noqa: B023 - called at once
                    acknowledged[writer][name] = number
                    if stop.is_set():
                        return

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, writer) for writer in range(3)]
        try:
            for wanted in (100, 200):
                eventually(lambda: sum(c["upsert"] for c in acknowledged) > wanted, _TIMEOUT_S, interval_s=0.001)  # noqa: B023
                own_document.kill()
                own_document.start()
        finally:
            stop.set()
        for done in writing:
            done.result(_TIMEOUT_S)
    ids = {document["_id"] for document in db["a"].find()}
    numbers = {document["_id"]: document["n"] for document in db["b"].find()}
    for writer, counts in enumerate(acknowledged):
        assert counts["upsert"] <= numbers[writer] <= counts["insert"]
        assert all(f"{writer}-{n}-{i}" in ids for n in range(1, counts["insert"] + 1) for i in range(10))


def _until_done(write: Callable[[], object], stop: threading.Event) -> None:
    while True:
        try:
            with store_errors():
                write()
        except PolystreamError as error:
            assert error.reason is Reason.STORE_UNAVAILABLE  # noqa: PT017 - the loop goes on after it
            stop.wait(0.02)
        else:
            return


def test_two_lanes_with_the_same_batch(settings: MongoSettings, db: Db) -> None:
    """As when a partition moves: both answer alike, and there is one view and one receipt a command."""
    stores = [_open(settings) for _ in range(2)]
    for number in range(3):
        batch = [_record(user_id, number) for user_id in _USERS]
        batch += [delivery(GenerateRecommendationsRequest(user_id=user_id)) for user_id in _USERS[:2]]
        one, two = apply_side_by_side(stores, [batch, batch])
        assert [substance(receipt) for receipt in one] == [substance(receipt) for receipt in two]
        ids = [d.correlation_id for d in batch]
        assert db[VIEWS].count_documents({"_id": {"$in": ids}}) == len(_USERS)
        assert db[INBOX].count_documents({"_id": {"$in": ids}}) == len(batch)
    for store in stores:
        store.close()


def test_every_absence_is_told_as_one(own_document: StoreServer, store: MongoStore) -> None:
    """Stopped under load, killed, down, starting: all of it is waited for, and the next attempt succeeds."""
    stop, answered = threading.Event(), Counter[str]()

    def lane() -> None:
        own = _open(MongoSettings(url=f"{own_document.url}_stopped"))
        MongoUserMemory(own._db).remember([1])
        number = 0
        while not stop.is_set():
            number += 1
            record = _record(1, number)
            _until_done(lambda: apply(own, record), stop)  # noqa: B023 - called at once
            answered["n"] = number
        assert own._db[VIEWS].count_documents({}) == number
        own.close()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lane)
        try:
            for end in (own_document.stop, own_document.kill):
                before = answered["n"]
                eventually(lambda: answered["n"] > before + 10, _TIMEOUT_S, interval_s=0.001)  # noqa: B023
                end()
                is_unavailable(store.ping)
                own_document.start()
                assert ending(apply(store, _record(1, 1))[0]) == "ok"
        finally:
            stop.set()
        writing.result(_TIMEOUT_S)


async def test_queries_get_over_a_kill(own_document: StoreServer, settings: MongoSettings) -> None:
    """The first one after the server is back is answered, though the client holds connections from before."""
    stores = Stores(PostgresSettings(), settings, RedisSettings())
    assert await stores.documents(lambda database: database[VIEWS].find_one({})) is None
    own_document.kill()
    with pytest.raises(PolystreamError) as raised:
        await stores.documents(lambda database: database[VIEWS].find_one({}))
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    own_document.start()
    assert await stores.documents(lambda database: database[VIEWS].find_one({})) is None
    await close_stores(stores)
