"""What the platform asks of any document store that speaks MongoDB's protocol, through pymongo.

A mongod comes from no package registry, so the platform's own sets run SecantusDB, and this suite runs on it. What it
states is the behaviour of MongoDB 7: CONFORMANCE_MONGODB_URL=mongodb://host:port/empty_database runs it there too.
"""

import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

import pytest
from bson.binary import Binary
from bson.int64 import Int64
from pymongo import ASCENDING, DESCENDING, AsyncMongoClient, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ExecutionTimeout, OperationFailure

from mesh.store_names.mongodb import INBOX, KNOWN_USERS, VIEWS
from processor.stores.mongodb import connect, database_of, ensure_indexes
from processor.stores.mongodb_documents import find_by_id, insert_absent
from tests.support.store_engines import EXTERNAL, StoreServer
from tests.support.waiting import eventually

Db = Database[dict[str, Any]]
_TTL_S: Final = 3600
_SWEEP_TIMEOUT_S: Final = 70.0  # MongoDB looks for what has expired once a minute
_NOW: Final = datetime(2026, 5, 1, 12, 0, 0, 123_000, tzinfo=UTC)


@pytest.fixture
def db(document: StoreServer) -> Iterator[Db]:
    """A new database with the platform's indexes, through the lane's client."""
    with connect(document.mongo) as client:
        name = f"test_{uuid.uuid4().hex}"
        database = client.get_database(name, write_concern=database_of(client).write_concern)
        ensure_indexes(database, _TTL_S)
        yield database
        if document.name == EXTERNAL:  # the others' data is gone with its folder
            client.drop_database(name)


def _views(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Return views of one user, three in each millisecond."""
    return [
        {"_id": str(uuid.uuid4()), "user_id": Int64(1), "data": _NOW + timedelta(milliseconds=number // 3), **fields}
        for number in range(count)
    ]


def _newest_first(view: dict[str, Any]) -> tuple[datetime, str]:
    return (view["data"], view["_id"])


class TestValues:
    """What is stored is what is read."""

    def test_values_come_back_with_their_types(self, db: Db) -> None:
        """Numbers of 64 bits, doubles, any bytes, any text, nothing, lists and documents in them."""
        document = {
            "_id": "01920000-0000-7000-8000-000000000000",
            "inteiros": [Int64(-(2**63)), Int64(2**53 + 1), Int64(2**63 - 1), Int64(1), 1],
            "real": 0.1 + 0.2,
            "bytes": bytes(range(256)),
            "textos": ["", "São João e\u0301 🎬\u200d🎞", "nul\0 dentro", "$a.b"],
            "nada": None,
            "itens": [{"conteudo_id": Int64(5), "itens": []}, {}],
            "verdade": True,
        }
        db["valores"].insert_one({**document, "bytes": Binary(document["bytes"])})  # type: ignore[arg-type]
        found = db["valores"].find_one({})
        assert found == document
        assert found is not None
        assert [type(number) for number in found["inteiros"]] == [Int64, Int64, Int64, Int64, int]
        assert list(found) == list(document)

    def test_times_are_milliseconds_in_utc(self, db: Db) -> None:
        """What is finer is cut off, before 1970 too, and years up to 9999 are there."""
        moments = [
            datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC),
            datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
            datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        ]
        db["tempos"].insert_one({"_id": 1, "moments": moments})
        found = db["tempos"].find_one({})
        assert found is not None
        assert found["moments"] == [moments[0].replace(microsecond=678_000), *moments[1:]]

    def test_a_number_is_found_whatever_its_width(self, db: Db) -> None:
        """Queries send the shortest form, the lane stores 64 bits, others may have stored doubles: all by an index."""
        kinds = [Int64(5678), 5678, 5678.0]
        db[VIEWS].insert_many([{"_id": str(number), "user_id": kind} for number, kind in enumerate(kinds)])
        for kind in kinds:
            assert db[VIEWS].count_documents({"user_id": kind}) == 3
            assert db[VIEWS].count_documents({"user_id": {"$in": [kind]}}) == 3
        assert db[VIEWS].count_documents({"user_id": Int64(2**53 + 1)}) == 0
        db[VIEWS].insert_one({"_id": "exact", "user_id": Int64(2**53 + 1)})
        assert db[VIEWS].count_documents({"user_id": Int64(2**53)}) == 0

    def test_large_documents_and_batches_fit(self, db: Db) -> None:
        """Five hundred commands of the largest request that the gateway takes, in one insertion."""
        text = "ã" * 32_000
        documents = [{"_id": number, "titulo": text} for number in range(500)]
        insert_absent(db["grandes"], documents)
        assert list(db["grandes"].find(sort=[("_id", ASCENDING)])) == documents


class TestInsertions:
    """Insert-only writes: what makes a command's effect its own."""

    def test_documents_that_are_there_are_left_and_the_others_inserted(self, db: Db) -> None:
        """Also what the same batch holds twice; each refusal tells its place and that it is a duplicate."""
        db["c"].insert_many([{"_id": "a", "n": 1}, {"_id": "b", "n": 1}])
        batch = [{"_id": id_, "n": 2} for id_ in ("x", "a", "y", "b", "x", "z")]
        with pytest.raises(BulkWriteError) as raised:
            db["c"].insert_many(batch, ordered=False)
        failures = raised.value.details["writeErrors"]
        assert [(failure["index"], failure["code"]) for failure in failures] == [(1, 11000), (3, 11000), (4, 11000)]
        assert raised.value.details["writeConcernErrors"] == []
        assert raised.value.details["nInserted"] == 3
        assert {found["_id"]: found["n"] for found in db["c"].find()} == {"a": 1, "b": 1, "x": 2, "y": 2, "z": 2}

    def test_an_insertion_may_be_repeated(self, db: Db) -> None:
        """As the lane does it, whole or in part: nothing is raised, and nothing is written over."""
        insert_absent(db["c"], [{"_id": number, "n": 1} for number in range(0, 300, 2)])
        insert_absent(db["c"], [{"_id": number, "n": 2} for number in range(300)])
        assert [found["n"] for found in db["c"].find(sort=[("_id", ASCENDING)])] == [1, 2] * 150

    def test_an_error_of_another_kind_is_told_apart(self, db: Db) -> None:
        """A document that no server takes is not mistaken for one that is there."""
        db.create_collection("c", validator={"n": {"$gt": 0}})
        db["c"].insert_one({"_id": 1, "n": 1})
        with pytest.raises(BulkWriteError) as raised:
            insert_absent(db["c"], [{"_id": 1, "n": 1}, {"_id": 2, "n": 0}, {"_id": 3, "n": 1}])
        assert [failure["code"] for failure in raised.value.details["writeErrors"]] == [11000, 121]
        assert db["c"].count_documents({}) == 2

    def test_writers_at_the_same_time_insert_each_document_once(self, db: Db) -> None:
        """Eight of them, the same documents in different orders: each is there, and nobody fails otherwise."""
        together = threading.Barrier(8)

        def write(writer: int) -> None:
            documents = [{"_id": number, "writer": writer} for number in range(200)]
            Random(writer).shuffle(documents)
            together.wait(20)
            insert_absent(db["c"], documents)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(write, range(8)))
        assert [found["_id"] for found in db["c"].find(sort=[("_id", ASCENDING)])] == list(range(200))


class TestUpdates:
    """Changes of documents, each in one step."""

    def test_of_two_in_one_batch_the_first_finds_the_document(self, db: Db) -> None:
        """Ordered updates, where each takes away what the next one looks for."""
        db[VIEWS].insert_many([{"_id": "v", "user_id": Int64(1), "titulo": "x"}, {"_id": "w", "user_id": Int64(2)}])
        updates = [
            UpdateOne(
                {"_id": id_, "user_id": user}, {"$set": {"apagado_por": mark}, "$unset": {"user_id": "", "titulo": ""}}
            )
            for id_, user, mark in (("w", 1, "-"), ("v", 1, "first"), ("v", 1, "second"), ("none", 1, "-"))
        ]
        db[VIEWS].bulk_write(updates, ordered=True)
        assert list(db[VIEWS].find(sort=[("_id", ASCENDING)])) == [
            {"_id": "v", "apagado_por": "first"},
            {"_id": "w", "user_id": 2},
        ]

    def test_an_upsert_makes_or_changes(self, db: Db) -> None:
        """A nested value is set where nothing was too; a replacement leaves nothing of what it replaces."""
        db[KNOWN_USERS].insert_one({"_id": Int64(1)})
        db[KNOWN_USERS].bulk_write(
            [
                UpdateOne({"_id": Int64(id_)}, {"$set": {"excluido_em": {"offset": Int64(7)}}}, upsert=True)
                for id_ in (1, 2)
            ],
            ordered=False,
        )
        assert list(db[KNOWN_USERS].find(sort=[("_id", ASCENDING)])) == [
            {"_id": id_, "excluido_em": {"offset": 7}} for id_ in (1, 2)
        ]
        for content in ({"a": 1}, {"b": 2}):
            db["c"].replace_one({"_id": "atual"}, content, upsert=True)
        assert list(db["c"].find()) == [{"_id": "atual", "b": 2}]

    def test_upserts_of_one_document_at_the_same_time_all_succeed(self, db: Db) -> None:
        """Two lanes that erase the same users: nobody is told of a duplicate."""
        together = threading.Barrier(6)

        def erase(writer: int) -> None:
            together.wait(20)
            for id_ in range(40):
                db["c"].bulk_write([UpdateOne({"_id": id_}, {"$set": {"writer": writer}}, upsert=True)], ordered=False)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(erase, range(6)))
        assert db["c"].count_documents({}) == 40

    def test_many_are_changed_by_a_condition(self, db: Db) -> None:
        """A field is taken from those of a list that have it; documents are deleted by a list of users."""
        db["c"].insert_many([{"_id": 1, "x": None}, {"_id": 2}, {"_id": 3, "x": {"y": 1}}, {"_id": 4, "x": 1}])
        changed = db["c"].update_many({"_id": {"$in": [1, 2, 3]}, "x": {"$exists": True}}, {"$unset": {"x": ""}})
        assert changed.modified_count == 2
        assert list(db["c"].find(sort=[("_id", ASCENDING)])) == [{"_id": 1}, {"_id": 2}, {"_id": 3}, {"_id": 4, "x": 1}]
        assert db["c"].delete_many({"_id": {"$in": [1, 4, 5]}}).deleted_count == 2

    def test_of_many_at_the_same_time_one_finds_the_document(self, db: Db) -> None:
        """Updates of a document are one after the other: whose mark is there is who took it."""
        together = threading.Barrier(8)

        def take(mark: int) -> list[int]:
            together.wait(20)
            empty = {"$set": {"apagado_por": mark}, "$unset": {"user_id": ""}}
            return [
                id_ for id_ in range(30) if db["c"].update_one({"_id": id_, "user_id": Int64(1)}, empty).matched_count
            ]

        db["c"].insert_many([{"_id": id_, "user_id": Int64(1)} for id_ in range(30)])
        with ThreadPoolExecutor(8) as pool:
            taken = {id_: mark for mark, ids in enumerate(pool.map(take, range(8))) for id_ in ids}
        assert {found["_id"]: found["apagado_por"] for found in db["c"].find()} == taken


class TestReads:
    """What queries and recommendations read."""

    def test_pages_join_without_a_gap_or_a_double(self, db: Db) -> None:
        """Newest first, equal times by their ID's bytes, each page right behind the last entry of the one before."""
        views = _views(100)
        insert_absent(db[VIEWS], [*views, *(view | {"_id": f"x{view['_id']}", "user_id": 2} for view in views)])
        seen: list[dict[str, Any]] = []
        behind: dict[str, Any] = {}
        while page := list(
            db[VIEWS]
            .find({"user_id": 1, "apagado_por": {"$exists": False}, **behind})
            .sort([("data", DESCENDING), ("_id", DESCENDING)])
            .limit(7)
        ):
            seen += page
            last = page[-1]
            behind = {"$or": [{"data": {"$lt": last["data"]}}, {"data": last["data"], "_id": {"$lt": last["_id"]}}]}
        assert seen == sorted(views, key=_newest_first, reverse=True)

    def test_a_limit_takes_the_first_in_order(self, db: Db) -> None:
        """By the user's index and by the content's, and one document where one is asked for."""
        views = [view | {"conteudo_id": Int64(number % 2)} for number, view in enumerate(_views(60))]
        Random(1).shuffle(views)
        insert_absent(db[VIEWS], views)
        times = sorted((view["data"] for view in views), reverse=True)
        assert [
            found["data"] for found in db[VIEWS].find({"user_id": 1}, sort=[("data", DESCENDING)], limit=10)
        ] == times[:10]
        of_content = sorted((view["data"] for view in views if view["conteudo_id"] == 1), reverse=True)
        found_of_content = db[VIEWS].find({"conteudo_id": 1}, sort=[("data", DESCENDING)], limit=10)
        assert [found["data"] for found in found_of_content] == of_content[:10]
        newest = db[VIEWS].find_one({"user_id": 1}, sort=[("data", DESCENDING), ("_id", DESCENDING)])
        assert newest == max(views, key=_newest_first)

    def test_what_was_recorded_last_is_read_first(self, db: Db) -> None:
        """By the hint of natural order, which stays the order of insertion when documents are changed."""
        ids = list(range(300))
        Random(2).shuffle(ids)
        for start in range(0, 300, 50):
            insert_absent(db["c"], [{"_id": id_} for id_ in ids[start : start + 50]])
        db["c"].update_many({"_id": {"$lt": 50}}, {"$set": {"apagado_por": "x" * 500}})
        newest = [found["_id"] for found in db["c"].find({}, hint=[("$natural", DESCENDING)], limit=120)]
        assert newest == ids[:-121:-1]

    def test_results_of_many_batches_are_whole(self, db: Db) -> None:
        """A cursor that is read on brings each document once and in order."""
        insert_absent(db["c"], [{"_id": number, "texto": "x" * 100} for number in range(3000)])
        found = [document["_id"] for document in db["c"].find({}, sort=[("_id", DESCENDING)], batch_size=500)]
        assert found == list(range(2999, -1, -1))

    def test_values_are_told_once_each(self, db: Db) -> None:
        """`distinct`, exact for numbers of 64 bits."""
        ids = [2**53, 2**53 + 1, 5]
        views = [view | {"conteudo_id": Int64(ids[number % 3])} for number, view in enumerate(_views(30))]
        insert_absent(db[VIEWS], [*views, {"_id": "other", "user_id": Int64(2), "conteudo_id": Int64(9)}])
        assert sorted(db[VIEWS].distinct("conteudo_id", {"user_id": Int64(1)})) == sorted(ids)

    def test_documents_are_found_by_lists_of_ids(self, db: Db) -> None:
        """Those that are there, in pieces, and with the fields that are asked for."""
        insert_absent(db[INBOX], [{"_id": str(number), "recibo": Binary(b"r"), "em": _NOW} for number in range(150)])
        found = list(find_by_id(db[INBOX], [str(number) for number in range(0, 400, 2)], ["recibo"]))
        assert sorted(int(document["_id"]) for document in found) == list(range(0, 150, 2))
        assert all(document.keys() == {"_id", "recibo"} for document in found)

    def test_a_read_that_takes_too_long_is_ended(self, db: Db) -> None:
        """The server keeps to the time that it is given, and says so."""
        insert_absent(db["c"], [{"_id": number, "itens": list(range(300))} for number in range(3000)])
        with pytest.raises(ExecutionTimeout):
            list(db["c"].find({"itens": {"$elemMatch": {"$lt": 0}}}).max_time_ms(1))

    async def test_the_other_client_reads_the_same(self, document: StoreServer, db: Db) -> None:
        """The gateway's, with its bound on each operation."""
        views = _views(250)
        insert_absent(db[VIEWS], views)
        async with AsyncMongoClient[dict[str, Any]](document.url, tz_aware=True, timeoutMS=5000) as client:
            cursor = client[db.name][VIEWS].find({"user_id": 1}).sort([("data", DESCENDING), ("_id", DESCENDING)])
            assert await cursor.to_list() == sorted(views, key=_newest_first, reverse=True)
            assert await client[db.name][VIEWS].find_one({"_id": "none"}) is None


class TestIndexes:
    """Indexes, and what expires by one."""

    def test_processes_that_start_together_make_the_indexes_once(self, document: StoreServer, db: Db) -> None:
        """Four at the same time, and again with another time to live, which is then in force."""
        together = threading.Barrier(4)

        def provision(ttl_s: int) -> None:
            with connect(document.mongo) as client:
                together.wait(20)
                ensure_indexes(client[db.name], ttl_s)

        for ttl_s in (_TTL_S, 2 * _TTL_S):
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(provision, [ttl_s] * 4))
            for collection in (INBOX, KNOWN_USERS):
                assert db[collection].index_information()["validade"]["expireAfterSeconds"] == ttl_s
        assert set(db[VIEWS].index_information()) == {"_id_", "por_usuario", "por_conteudo"}

    def test_what_is_old_enough_expires_and_nothing_else(self, document: StoreServer, db: Db) -> None:
        """By a field, also one in a document within; those without it stay for ever."""
        now = datetime.now(UTC)
        old, young = now - timedelta(seconds=_TTL_S + 1), now - timedelta(seconds=_TTL_S - 600)
        db[INBOX].insert_many([{"_id": "old", "em": old}, {"_id": "young", "em": young}, {"_id": "none"}])
        db[KNOWN_USERS].insert_many(
            [{"_id": 1, "excluido_em": {"data": old}}, {"_id": 2, "excluido_em": {"data": young}}, {"_id": 3}]
        )
        _sweep(document)
        eventually(lambda: db[INBOX].find_one({"_id": "old"}) is None, _SWEEP_TIMEOUT_S)
        eventually(lambda: db[KNOWN_USERS].find_one({"_id": 1}) is None, _SWEEP_TIMEOUT_S)
        assert {found["_id"] for found in db[INBOX].find()} == {"young", "none"}
        assert {found["_id"] for found in db[KNOWN_USERS].find()} == {2, 3}


def _sweep(document: StoreServer) -> None:
    """Hasten the server's look for what has expired, where it lets itself be told."""
    with connect(document.mongo) as client:
        for command in ({"setParameter": 1, "ttlMonitorSleepSecs": 1}, {"secantusAdmin.pruneTtl": 1}):
            with suppress(OperationFailure):
                client.admin.command(command)
