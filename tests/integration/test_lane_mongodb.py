"""The MongoDB lane's store on a real server: documents, answers, and each effect once wherever it is interrupted."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.contents_pb2 import Content
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest, Recommendations
from polystream.v1.users_pb2 import DeleteUserRequest, User
from polystream.v1.views_pb2 import DeleteViewRequest, RecordViewRequest, View
from pymongo.database import Database
from pymongo.errors import PyMongoError

from mesh.errors import PolystreamError, Reason
from processor.handlers import find_handlers
from processor.model import Delivery
from processor.stores.mongodb import MongoStore, MongoUserMemory, ensure_indexes
from processor.stores.mongodb_hashes import content_hash
from processor.stores.mongodb_views import move_marks
from processor.users import user_of
from tests.support.engine_pool import Lease
from tests.support.lanes import CATALOG
from tests.support.lanes import delivery as deliver
from tests.support.platform import EngineSet
from tests.support.stores import MARKER_TTL_S, apply, ending, fresh_database, mongo_store, substance

Db = Database[dict[str, Any]]
ANA, BIA, CAIO = 1, 2, 3
ABSENT_VIEW = "01920000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the server. There is no PostgreSQL: known users need none."""
    return lease("mongodb")


@pytest.fixture
def db(running: EngineSet) -> Iterator[Db]:
    """Give a database of the test's own, in which three users are known."""
    with fresh_database(running) as database:
        MongoUserMemory(database).remember([ANA, BIA, CAIO])
        yield database


@pytest.fixture
def store(running: EngineSet, db: Db) -> Iterator[MongoStore]:
    """Return the store of that database."""
    opened = mongo_store(running, db.name)
    yield opened
    opened.close()


def record(user_id: int = ANA, content_id: int = 10, **fields: Any) -> Delivery:
    """Return a RecordView."""
    given: dict[str, Any] = {"title": f"Título {content_id}", "kind": Content.Kind.SERIES} | fields
    return deliver(RecordViewRequest(user_id=user_id, content_id=content_id, **given))


def forget(view_id: str, user_id: int = ANA) -> Delivery:
    """Return a DeleteView."""
    return deliver(DeleteViewRequest(user_id=user_id, view_id=view_id))


def generate(user_id: int = ANA, max_items: int = 0) -> Delivery:
    """Return a GenerateRecommendations."""
    return deliver(GenerateRecommendationsRequest(user_id=user_id, max_items=max_items))


def history(db: Db, user_id: int) -> list[dict[str, Any]]:
    """Return a user's views."""
    return list(db["historico_visualizacao"].find({"user_id": user_id}, sort=[("_id", 1)]))


def everything(db: Db) -> dict[str, list[dict[str, Any]]]:
    """Return all documents but those of the inbox and of the kept counts, which have times of their own."""
    names = ["historico_visualizacao", "recomendacoes", "usuarios_conhecidos"]
    documents = {name: list(db[name].find({}, sort=[("_id", 1)])) for name in names}
    for known in documents["usuarios_conhecidos"]:
        known.get("excluido_em", {}).pop("data", None)
    return documents


def test_a_view_has_the_inherited_fields_and_types(store: MongoStore, db: Db) -> None:
    """Names as of old, numbers as Number, the time as Date, the kind in Portuguese."""
    watch_time = Timestamp(seconds=1_760_000_000, nanos=123_456_789)
    delivery = record(
        kind=Content.Kind.DOCUMENTARY, watched_seconds=90, position_percent=2.5, completed=True, watch_time=watch_time
    )
    (receipt,) = apply(store, delivery)
    found = db["historico_visualizacao"].find_one() or {}
    assert found.pop("hash_conteudo") == content_hash(found)
    assert found == {
        "_id": delivery.correlation_id,
        "user_id": ANA,
        "conteudo_id": 10,
        "titulo": "Título 10",
        "tipo": "documentário",
        "tempo_assistido": 90,
        "posicao": 2.5,
        "data": datetime.fromtimestamp(1_760_000_000, UTC).replace(microsecond=123_000),
        "data_microssegundos": 456,
        "concluido": True,
    }
    types = {"user_id": "long", "conteudo_id": "long", "data": "date", "concluido": "bool", "posicao": "double"}
    for field, type_ in types.items():
        assert db["historico_visualizacao"].count_documents({field: {"$type": type_}}) == 1, field
    result = View.FromString(receipt.result.value)
    assert receipt.result.type_url == "type.googleapis.com/polystream.v1.View"
    assert (result.view_id, result.user_id, result.content_id) == (delivery.correlation_id, ANA, 10)
    assert result.watch_time == Timestamp(seconds=1_760_000_000, nanos=123_456_000)  # what is finer is cut
    assert receipt.user_id == ANA


def test_a_view_without_a_time_is_of_the_acceptance(store: MongoStore, db: Db) -> None:
    """The gateway's time of acceptance stands for the time of watching."""
    delivery = record()
    apply(store, delivery)
    (found,) = history(db, ANA)
    assert found["data"].timestamp() * 1000 == pytest.approx(delivery.accept_time_ms, abs=0.1)


def test_a_batch_is_applied_whole(store: MongoStore, db: Db) -> None:
    """Hundreds of views of one user and of others are there, each under its correlation ID."""
    batch = [record(user_id, content_id) for content_id in range(1, 101) for user_id in (ANA, ANA, BIA)]
    receipts = apply(store, *batch)
    assert {ending(receipt) for receipt in receipts} == {"ok"}
    assert [receipt.correlation_id for receipt in receipts] == [delivery.correlation_id for delivery in batch]
    assert {v["_id"] for v in history(db, ANA)} == {d.correlation_id for d in batch if user_of(d) == ANA}
    assert len(history(db, BIA)) == 100


def test_a_deleted_view_is_gone(store: MongoStore, db: Db) -> None:
    """Nothing of it stays in the history; elsewhere is its ID, with the mark of who deleted it."""
    view, deletion = record(), None
    apply(store, view)
    deletion = forget(view.correlation_id.upper())  # an ID is the same in capitals
    (receipt,) = apply(store, deletion)
    assert ending(receipt) == "ok"
    assert View.FromString(receipt.result.value) == View(view_id=view.correlation_id, user_id=ANA)
    assert list(db["historico_visualizacao"].find()) == []
    assert list(db["visualizacoes_apagadas"].find()) == [
        {"_id": view.correlation_id, "apagado_por": deletion.correlation_id}
    ]


def test_a_view_is_deleted_once_and_by_its_user(store: MongoStore) -> None:
    """A second deletion, another user's, and one of no view are refused, each naming the field."""
    view = record()
    apply(store, view)
    batch = [
        forget(view.correlation_id, BIA),
        forget(view.correlation_id),
        forget(view.correlation_id),
        forget(ABSENT_VIEW),
    ]
    receipts = apply(store, *batch)
    assert [ending(receipt) for receipt in receipts] == ["VIEW_NOT_FOUND", "ok", "VIEW_NOT_FOUND", "VIEW_NOT_FOUND"]
    assert receipts[0].error.field == "view_id"


def test_a_view_that_was_deleted_stays_so(store: MongoStore, db: Db) -> None:
    """A late repetition of the RecordView, of which no receipt is left, does not bring it back."""
    view = record()
    apply(store, view)
    apply(store, forget(view.correlation_id))
    db["comandos_aplicados"].delete_many({})
    apply(store, view)
    assert history(db, ANA) == []


def test_a_repetition_of_both_answers_as_before(store: MongoStore, db: Db) -> None:
    """Without a receipt of either: the view was recorded, and its own deletion is the one that deleted it."""
    view = record()
    batch = [view, forget(view.correlation_id), forget(view.correlation_id)]
    first = apply(store, *batch)
    for _ in range(2):
        db["comandos_aplicados"].delete_many({})
        again = apply(store, *batch)
        assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
        assert history(db, ANA) == []


def test_a_deletion_that_was_interrupted_is_finished(store: MongoStore, db: Db) -> None:
    """A lane that dies between the mark and the view: whoever gets the command next deletes the view."""
    view = record()
    apply(store, view)
    deletion = forget(view.correlation_id)
    db["visualizacoes_apagadas"].insert_one({"_id": view.correlation_id, "apagado_por": deletion.correlation_id})
    assert ending(apply(store, deletion)[0]) == "ok"
    assert history(db, ANA) == []


def test_a_lane_that_is_late_brings_no_view_back(store: MongoStore, db: Db) -> None:
    """It writes a view that another lane has recorded and deleted since it looked: nothing is there afterwards."""
    view = record()
    apply(store, view, forget(view.correlation_id))
    late = find_handlers(CATALOG, "MONGODB")["RecordView"]
    late([view, record(BIA)], db)
    assert history(db, ANA) == []
    assert len(history(db, BIA)) == 1


def test_an_erased_users_deleted_view_stays_deleted(store: MongoStore, db: Db) -> None:
    """The mark outlives the user, and says nothing of whose the view was."""
    view, deletion = record(), None
    deletion = forget(view.correlation_id)
    apply(store, view, deletion, deliver(DeleteUserRequest(user_id=ANA)))
    db["comandos_aplicados"].delete_many({})
    db["usuarios_conhecidos"].delete_many({})
    MongoUserMemory(db).remember([ANA])
    apply(store, view)
    assert history(db, ANA) == []
    assert list(db["visualizacoes_apagadas"].find()) == [
        {"_id": view.correlation_id, "apagado_por": deletion.correlation_id}
    ]


def test_marks_among_the_views_are_moved(store: MongoStore, db: Db) -> None:
    """Those of an earlier version go to where they belong; views stay, those without all of their fields too."""
    old, new = record(), record(BIA)
    apply(store, old, new)
    history_of_all = db["historico_visualizacao"]
    history_of_all.replace_one({"_id": old.correlation_id}, {"_id": old.correlation_id, "apagado_por": "by"})
    history_of_all.insert_one({"_id": "nobody's", "titulo": "x"})
    assert [move_marks(db), move_marks(db)] == [1, 0]
    assert {found["_id"] for found in history_of_all.find()} == {new.correlation_id, "nobody's"}
    assert list(db["visualizacoes_apagadas"].find()) == [{"_id": old.correlation_id, "apagado_por": "by"}]
    db["comandos_aplicados"].delete_many({})
    apply(store, old)
    assert history(db, ANA) == []


def test_a_person_is_erased(store: MongoStore, db: Db) -> None:
    """Views and recommendations of the user are gone, others' stay, and a tombstone remembers where it was."""
    apply(store, record(ANA), record(BIA), generate(ANA), generate(BIA))
    deletion = deliver(DeleteUserRequest(user_id=ANA), partition=3, offset=70_000_000_000)
    (receipt,) = apply(store, deletion)
    assert User.FromString(receipt.result.value) == User(user_id=ANA)
    assert (len(history(db, ANA)), len(history(db, BIA))) == (0, 1)
    assert [found["user_id"] for found in db["recomendacoes"].find()] == [BIA]
    tombstone = db["usuarios_conhecidos"].find_one({"_id": ANA})
    assert tombstone is not None
    del tombstone["excluido_em"]["data"]
    assert tombstone["excluido_em"] == {"topico": "topic-1", "particao": 3, "offset": 70_000_000_000}


@pytest.mark.parametrize("name", ["RecordView", "GenerateRecommendations"])
def test_a_lane_that_stood_still_brings_nothing_of_an_erased_user_back(
    running: EngineSet, store: MongoStore, db: Db, name: str
) -> None:
    """While it stood before its write, another one applied its command, and the erasure; others' are left."""
    batch = [record(ANA), record(BIA)] if name == "RecordView" else [generate(ANA), generate(BIA)]
    erasure = deliver(DeleteUserRequest(user_id=ANA))
    handler = find_handlers(CATALOG, "MONGODB")[name]

    def stands_still(late: Sequence[Delivery], database: Db) -> Any:
        if not db["comandos_aplicados"].find_one({"_id": erasure.correlation_id}):
            apply(store, *batch, erasure)
            MongoUserMemory(db).remember([ANA])  # a user made anew, with the same ID
        return handler(late, database)

    slow = mongo_store(running, db.name)
    slow._handlers = {**slow._handlers, name: stands_still}
    apply(slow, *batch)
    slow.close()
    written = [found for kind in ("historico_visualizacao", "recomendacoes") for found in db[kind].find()]
    assert [found["user_id"] for found in written] == [BIA]


def test_a_batch_with_a_view_that_the_server_refuses_leaves_none_of_it(store: MongoStore, db: Db) -> None:
    """Those that have to wait behind it are not there before their turn."""
    apply(store, record(ANA, 1))
    db.command("collMod", "historico_visualizacao", validator={"titulo": {"$ne": "Recusado"}})
    batch = [record(BIA, 2), record(ANA, 3, title="Recusado"), record(ANA, 4)]
    with pytest.raises(PyMongoError):
        store.apply(batch, frozenset())
    assert [view["conteudo_id"] for view in db["historico_visualizacao"].find()] == [1]


def test_after_an_erasure_commands_of_the_user_wait(store: MongoStore, db: Db) -> None:
    """In the same batch too; what came before the erasure is applied, and then erased."""
    batch = [record(ANA), deliver(DeleteUserRequest(user_id=ANA)), record(ANA), record(BIA)]
    assert [ending(receipt) for receipt in store.apply(batch, frozenset())] == ["ok", "ok", "waits", "ok"]
    assert history(db, ANA) == []


def test_recommendations_are_computed_and_stored(store: MongoStore, db: Db) -> None:
    """What viewers of the same contents went on to watch comes first; the answer is what is stored."""
    for day, content_id in enumerate((10, 20, 30, 40)):
        watched = {"watch_time": Timestamp(seconds=1_760_000_000 + 86_400 * day), "kind": Content.Kind.MOVIE}
        users = {10: (ANA, BIA, CAIO), 20: (BIA, CAIO)}.get(content_id, (CAIO,))
        apply(store, *(record(user_id, content_id, **watched) for user_id in users))
    delivery = generate(ANA)
    (receipt,) = apply(store, delivery)
    result = Recommendations.FromString(receipt.result.value)
    assert [item.content_id for item in result.items] == [20, 30, 40]
    assert {item.kind for item in result.items} == {Content.Kind.MOVIE}
    assert {item.reason for item in result.items} == {Recommendations.Item.Reason.CO_VIEWED}
    stored = db["recomendacoes"].find_one({"_id": delivery.correlation_id})
    assert stored is not None
    assert stored["data_geracao"] == result.generate_time.ToDatetime(UTC)
    assert [item["conteudo_id"] for item in stored["itens"]] == [20, 30, 40]
    assert stored["itens"][0] == {
        "conteudo_id": 20,
        "titulo": "Título 20",
        "tipo": "filme",
        "pontuacao": result.items[0].score,
        "motivo": "visto por quem viu o mesmo",
    }


def test_recommendations_leave_out_all_that_was_watched(store: MongoStore) -> None:
    """Also what was watched long before the views that count for the taste, and what was deleted by others."""
    old = [record(ANA, content, watch_time=Timestamp(seconds=1_000_000)) for content in range(1, 6)]
    recent = [record(ANA, 1000 + number) for number in range(205)]
    others = [record(BIA, content) for content in (1, 2, 3, 4, 5, 6, 7)]
    apply(store, *old, *recent, *others)
    apply(store, forget(others[-1].correlation_id, BIA))
    (receipt,) = apply(store, generate(ANA, max_items=100))
    assert [item.content_id for item in Recommendations.FromString(receipt.result.value).items] == [6]


def test_recommendations_for_newcomers(store: MongoStore) -> None:
    """On an empty platform there are none; later what is popular, ten of them unless told otherwise."""
    (empty,) = apply(store, generate(CAIO))
    assert ending(empty) == "ok"
    assert not Recommendations.FromString(empty.result.value).items
    apply(store, *(record(ANA, content) for content in range(1, 31)), record(BIA, 30))
    ten, three = apply(store, generate(CAIO), generate(CAIO, max_items=3))
    items = Recommendations.FromString(ten.result.value).items
    assert [item.content_id for item in items] == [30, *range(1, 10)]
    assert {item.reason for item in items} == {Recommendations.Item.Reason.POPULAR}
    assert len(Recommendations.FromString(three.result.value).items) == 3


def test_documents_of_before_do_not_disturb(store: MongoStore, db: Db) -> None:
    """A view that somebody wrote by hand, with fields missing, is passed over."""
    db["historico_visualizacao"].insert_many([{"user_id": BIA, "conteudo_id": 50}, {"note": "no view"}])
    apply(store, record(ANA, 10), record(BIA, 10), record(BIA, 20))
    (receipt,) = apply(store, generate(ANA))
    assert [item.content_id for item in Recommendations.FromString(receipt.result.value).items] == [20]


def batch_of_all() -> list[Delivery]:
    """Return a batch with every command of the store, with refusals, and with views that go again."""
    kept, deleted, erased = record(ANA, 10), record(ANA, 11), record(CAIO, 12)
    return [
        *(kept, deleted, erased, record(BIA, 10), record(BIA, 20)),
        *(forget(deleted.correlation_id), forget(ABSENT_VIEW)),
        *(generate(ANA), generate(CAIO)),
        deliver(DeleteUserRequest(user_id=CAIO)),
    ]


def test_a_repeated_batch_is_answered_as_before(store: MongoStore, db: Db) -> None:
    """Every receipt is the first one, marked as a duplicate, and nothing is written again."""
    batch = batch_of_all()
    first = apply(store, *batch)
    before = everything(db)
    again = apply(store, *batch)
    assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
    assert [r.complete_time for r in again] == [r.complete_time for r in first]
    assert all(receipt.duplicate for receipt in again)
    assert not any(receipt.duplicate for receipt in first)
    assert everything(db) == before


@pytest.mark.parametrize("name", ["record", "forget", "generate", "erase"])
def test_a_crash_between_effect_and_receipt(store: MongoStore, db: Db, name: str) -> None:
    """The repetition finds its own effects: the same answers, and nothing written twice."""
    views = [record(ANA, 10), record(ANA, 11), record(BIA, 10), record(BIA, 20)]
    batches = {
        "record": views,
        "forget": [forget(views[0].correlation_id), forget(views[0].correlation_id), forget(ABSENT_VIEW)],
        "generate": [generate(ANA), generate(BIA)],
        "erase": [deliver(DeleteUserRequest(user_id=ANA)), deliver(DeleteUserRequest(user_id=BIA))],
    }
    if name != "record":
        apply(store, *views)
    batch = batches[name]
    first = apply(store, *batch)
    before = everything(db)
    ids = [delivery.correlation_id for delivery in batch]
    # The batch's receipts were not written, or the first of them only.
    for lost in (ids, ids[1:]):
        db["comandos_aplicados"].delete_many({"_id": {"$in": lost}})
        again = apply(store, *batch)
        assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
        assert everything(db) == before
        assert db["comandos_aplicados"].count_documents({"_id": {"$in": ids}}) == len(ids)


def test_a_crash_in_the_middle_of_the_views(store: MongoStore, db: Db) -> None:
    """Views that are there already are left, the missing ones are inserted."""
    batch = [record(user, content) for user in (ANA, BIA) for content in range(50)]
    first = apply(store, *batch)
    before = everything(db)
    db["comandos_aplicados"].delete_many({})
    db["historico_visualizacao"].delete_many({"conteudo_id": {"$gte": 20}})
    again = apply(store, *batch)
    assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
    assert everything(db) == before


def test_recommendations_are_not_computed_anew(store: MongoStore, db: Db) -> None:
    """After a crash before the receipt, the answer is of the document that is there, whatever was watched since."""
    apply(store, record(ANA, 10), record(BIA, 20))
    delivery = generate(ANA)
    (first,) = apply(store, delivery)
    db["comandos_aplicados"].delete_one({"_id": delivery.correlation_id})
    apply(store, record(BIA, 30), record(BIA, 40))
    (again,) = apply(store, delivery)
    assert substance(again) == substance(first)


def test_two_lanes_with_the_same_batch(running: EngineSet, store: MongoStore, db: Db) -> None:
    """What another lane has applied, without the receipts yet, is recognised too."""
    batch = batch_of_all()
    first = apply(store, *batch[:4])
    db["comandos_aplicados"].delete_many({})
    other = mongo_store(running, db.name)
    again = apply(other, *batch[:4])
    other.close()
    assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
    assert db["historico_visualizacao"].count_documents({}) == 4


def test_receipts_are_kept_for_a_time(db: Db) -> None:
    """The inbox and the tombstones expire by an index, whose time may be set anew."""
    ensure_indexes(db, MARKER_TTL_S)
    ensure_indexes(db, 2 * MARKER_TTL_S)
    for collection in ("comandos_aplicados", "usuarios_conhecidos"):
        assert db[collection].index_information()["validade"]["expireAfterSeconds"] == 2 * MARKER_TTL_S
    keys = [index["key"] for index in db["historico_visualizacao"].index_information().values()]
    assert [("user_id", 1), ("data", -1)] in keys


def test_an_empty_batch_asks_nobody(store: MongoStore) -> None:
    """Nothing in, nothing out."""
    assert store.apply([], frozenset()) == []


def test_a_fault_of_a_command_is_no_fault_of_the_server(store: MongoStore) -> None:
    """A command that no repetition will mend raises what it raises, for the lane to set it apart."""
    with pytest.raises(KeyError):
        apply(store, record(ANA, kind=Content.Kind.KIND_UNSPECIFIED))


def test_a_server_that_is_down_is_unavailable(running: EngineSet) -> None:
    """Applying and asking for a sign of life say so, and both work when the server is back."""
    opened = mongo_store(running, "streaming_db")
    opened.ping()
    running.kill("mongodb")
    for call in (opened.ping, lambda: apply(opened, forget(ABSENT_VIEW))):
        with pytest.raises(PolystreamError) as raised:
            call()
        assert raised.value.reason is Reason.STORE_UNAVAILABLE
    running.start("mongodb")
    assert ending(apply(opened, forget(ABSENT_VIEW))[0]) == "VIEW_NOT_FOUND"
    opened.close()
