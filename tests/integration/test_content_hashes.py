"""The hash that is written with each effect: it holds for all that handlers write, and for nothing else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, Final

import psycopg
import pytest
from bson.int64 import Int64
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from google.type.money_pb2 import Money
from polystream.v1.contents_pb2 import CacheContentRequest, Content
from polystream.v1.payments_pb2 import CancelPaymentRequest, CreatePaymentRequest, Payment
from polystream.v1.preferences_pb2 import Preferences, UpdatePreferencesRequest
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session, UpdateSessionRequest
from polystream.v1.subscriptions_pb2 import CancelSubscriptionRequest, CreateSubscriptionRequest, Subscription
from polystream.v1.users_pb2 import CreateUserRequest, UpdateUserRequest
from polystream.v1.views_pb2 import RecordViewRequest
from redis import Redis

from mesh.settings import MongoSettings, RedisSettings
from processor.fixtures import put_fixtures
from processor.handlers import find_handlers
from processor.integrity.contents import ContentWalk
from processor.integrity.contents_mongodb import collection_walks
from processor.integrity.contents_postgresql import table_walks
from processor.integrity.contents_redis import key_walks
from processor.migrations.runner import load_migrations, migrate
from processor.model import Store
from processor.stores.mongodb import connect as connect_mongodb
from processor.stores.mongodb import database_of
from processor.stores.postgresql import PostgresStore
from processor.stores.postgresql_tidying import EXPIRE_SUBSCRIPTIONS
from processor.stores.redis import connect as connect_redis
from tests.support.engine_pool import Lease
from tests.support.lanes import CATALOG
from tests.support.lanes import delivery as deliver
from tests.support.people import person
from tests.support.platform import EngineSet
from tests.support.stores import apply, fresh_database, mongo_store, postgres_settings, redis_store

ANA: Final = 4711
PAGE: Final = 3  # fewer than there are of anything that is walked through
TABLES: Final = ("usuarios", "assinaturas", "pagamentos", "preferencias")


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three stores."""
    started = lease("postgresql", "mongodb", "redis")
    migrate(postgres_settings(started).dsn, load_migrations())
    return started


class Stores:
    """The three stores: by their lanes' doors, and by the back door."""

    def __init__(self, running: EngineSet, closing: ExitStack) -> None:
        database = closing.enter_context(fresh_database(running)).name
        self.mongo_settings = MongoSettings(url=f"mongodb://127.0.0.1:{running.context.ports.mongodb}/{database}")
        self.postgres_settings = postgres_settings(running)
        self.redis_settings = RedisSettings(url=running.endpoints["redis"])
        handlers = find_handlers(CATALOG, "POSTGRESQL")
        self.lanes: dict[str, Store] = {
            "POSTGRESQL": PostgresStore(self.postgres_settings, handlers, lambda: "topic", inbox_ttl_s=3600),
            "MONGODB": mongo_store(running, database),
            "REDIS": redis_store(running),
        }
        for lane in self.lanes.values():
            closing.callback(lane.close)
        self.sql = closing.enter_context(psycopg.connect(self.postgres_settings.dsn, autocommit=True))
        self.db = database_of(closing.enter_context(connect_mongodb(self.mongo_settings)))
        self.keys: Redis = closing.enter_context(connect_redis(self.redis_settings))
        self.sql.execute("TRUNCATE usuarios, inbox CASCADE")
        self.keys.flushdb()
        self.walks = {
            walk.place: walk for walk in (*table_walks(self.sql), *collection_walks(self.db), *key_walks(self.keys))
        }

    def do(self, store: str, request: Message) -> Any:
        """Have a store apply a command, and return its result."""
        (receipt,) = apply(self.lanes[store], deliver(request))
        assert receipt.error.reason == ""
        descriptor = descriptor_pool.Default().FindMessageTypeByName(receipt.result.type_url.rpartition("/")[2])
        result = message_factory.GetMessageClass(descriptor)()
        result.ParseFromString(receipt.result.value)
        return result

    def look(self) -> dict[str, tuple[int, int, list[str]]]:
        """Return of each place how much there is, how much of it has no hash, and what is changed."""
        return {place: walked(walk) for place, walk in self.walks.items()}


def walked(walk: ContentWalk) -> tuple[int, int, list[str]]:
    """Walk through a place, in short pages."""
    seen = unknown = 0
    changed: set[str] = set()
    after: Any = None
    while True:
        page = walk.page(after, PAGE)
        seen, unknown, changed, after = (
            seen + page.seen,
            unknown + page.unknown,
            changed.union(page.changed),
            page.after,
        )
        assert all(walk.changed(key) for key in page.changed)
        if after is None:
            return seen, unknown, sorted(changed)


@pytest.fixture
def stores(running: EngineSet) -> Iterator[Stores]:
    """Stores without anything in them."""
    with ExitStack() as closing:
        yield Stores(running, closing)


def live(stores: Stores) -> None:
    """Have every handler that writes a content write one, and write over it."""
    cents = Money(currency_code="BRL", units=19, nanos=990_000_000)
    stores.do("POSTGRESQL", CreateUserRequest(user_id=ANA, **person()))
    stores.do("POSTGRESQL", UpdateUserRequest(user_id=ANA, name="Ana Nova"))
    for plan in (Subscription.BASIC, Subscription.STANDARD, Subscription.PREMIUM):
        last = stores.do("POSTGRESQL", CreateSubscriptionRequest(user_id=ANA, plan=plan, months=2))
    stores.do("POSTGRESQL", CancelSubscriptionRequest(user_id=ANA, subscription_id=last.subscription_id))
    stores.do("POSTGRESQL", CreateSubscriptionRequest(user_id=ANA, plan=Subscription.BASIC, months=1))
    for _ in range(4):
        paid = stores.do("POSTGRESQL", CreatePaymentRequest(user_id=ANA, amount=cents, method=Payment.PIX))
    stores.do("POSTGRESQL", CancelPaymentRequest(user_id=ANA, payment_id=paid.payment_id))
    stores.do("POSTGRESQL", UpdatePreferencesRequest(user_id=ANA, language="pt-BR"))
    stores.do("POSTGRESQL", UpdatePreferencesRequest(user_id=ANA, theme=Preferences.DARK))
    for number in range(4):
        view: dict[str, Any] = {
            "content_id": number + 1,
            "title": "Ação 🎬",
            "kind": Content.MOVIE,
            "position_percent": 33.3,
        }
        stores.do("MONGODB", RecordViewRequest(user_id=ANA, watched_seconds=number * 7, **view))
    stores.do("MONGODB", GenerateRecommendationsRequest(user_id=ANA))
    for number in range(4):
        stores.do(
            "REDIS", CacheContentRequest(content_id=number + 1, title="Ação 🎬", genres=["a", "b"], kind=Content.SERIES)
        )
    for _ in range(4):
        session = stores.do("REDIS", CreateSessionRequest(user_id=ANA, device=Session.TV))
    stores.do("REDIS", UpdateSessionRequest(session_id=session.session_id, ttl_seconds=777))


def test_what_handlers_write_has_its_hash(stores: Stores) -> None:
    """Also what a later command writes over, and what the tidying does."""
    live(stores)
    stores.sql.execute(EXPIRE_SUBSCRIPTIONS.replace("fim <= now()", "fim > now()"), (10,))
    assert stores.look() == {
        "usuarios": (1, 0, []),
        "assinaturas": (4, 0, []),
        "pagamentos": (4, 0, []),
        "preferencias": (1, 0, []),
        "historico_visualizacao": (4, 0, []),
        "recomendacoes": (1, 0, []),
        "conteudo:": (4, 0, []),
        "sessao:": (4, 0, []),
    }


def test_the_fixtures_have_their_hashes(stores: Stores) -> None:
    """All of them."""
    put_fixtures(stores.postgres_settings, stores.mongo_settings, stores.redis_settings)
    looked = stores.look()
    assert {place: seen for place, (seen, _, _) in looked.items() if not seen} == {"pagamentos": 0, "sessao:": 0}
    assert {(unknown, *changed) for _, unknown, changed in looked.values()} == {(0,)}


def test_a_change_by_hand_is_seen_wherever_it_is_made(stores: Stores) -> None:
    """In every column and field, one that is added or taken away too; and nothing else is seen."""
    live(stores)
    (view_id,) = (found["_id"] for found in stores.db["historico_visualizacao"].find({}).limit(1))
    session = next(iter(stores.keys.scan_iter("sessao:*"))).decode()
    changes: list[tuple[str, Callable[[], Any], Callable[[], Any]]] = [
        (
            "historico_visualizacao",
            lambda: stores.db["historico_visualizacao"].update_one({"_id": view_id}, {"$set": {"titulo": "X"}}),
            lambda: stores.db["historico_visualizacao"].update_one({"_id": view_id}, {"$set": {"titulo": "Ação 🎬"}}),
        ),
        (
            "historico_visualizacao",
            lambda: stores.db["historico_visualizacao"].update_one({"_id": view_id}, {"$set": {"novo": 1}}),
            lambda: stores.db["historico_visualizacao"].update_one({"_id": view_id}, {"$unset": {"novo": ""}}),
        ),
        (
            "recomendacoes",
            lambda: stores.db["recomendacoes"].update_many({}, {"$set": {"user_id": Int64(1)}}),
            lambda: stores.db["recomendacoes"].update_many({}, {"$set": {"user_id": Int64(ANA)}}),
        ),
        (
            "conteudo:",
            lambda: stores.keys.hset("conteudo:1", "titulo", "X"),
            lambda: stores.keys.hset("conteudo:1", "titulo", "Ação 🎬"),
        ),
        (
            "conteudo:",
            lambda: stores.keys.rename("conteudo:1", "conteudo:9"),
            lambda: stores.keys.rename("conteudo:9", "conteudo:1"),
        ),
        (
            "sessao:",
            lambda: stores.keys.persist(session),
            lambda: stores.keys.pexpireat(session, _ends(stores, session)),
        ),
        (
            "sessao:",
            lambda: stores.keys.hset(session, "user_id", "1"),
            lambda: stores.keys.hset(session, "user_id", str(ANA)),
        ),
    ]
    for place, change, change_back in changes:
        change()
        assert {at: len(changed) for at, (_, _, changed) in stores.look().items() if changed} == {place: 1}
        change_back()
        assert not any(changed for _, _, changed in stores.look().values())


@pytest.mark.parametrize("table", TABLES)
def test_a_change_of_any_column_is_seen(stores: Stores, table: str) -> None:
    """But for `id`, which nobody can change."""
    live(stores)
    columns = stores.sql.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = %s",
        (table,),
    ).fetchall()
    others = {"text": "'x'", "bigint": "4712", "numeric": "1.5", "timestamp with time zone": "now()", "boolean": "NULL"}
    stores.sql.execute("ALTER TABLE preferencias ALTER COLUMN notificacoes DROP NOT NULL")
    stores.do("POSTGRESQL", CreateUserRequest(user_id=4712, **person()))
    (id_,) = stores.sql.execute(f"SELECT min(id) FROM {table} WHERE user_id = {ANA}").fetchone() or (0,)
    looked_at = 0
    for column, kind in columns:
        value = {"cpf": "'11144477735'"}.get(column, others[kind])
        if column in {"id", "hash_conteudo"} or (table, column) == ("usuarios", "user_id"):
            continue
        with stores.sql.transaction(force_rollback=True):
            stores.sql.execute(f"UPDATE {table} SET {column} = {value} WHERE id = {id_}")
            assert walked(stores.walks[table])[2] == [str(id_)], column
        looked_at += 1
    assert looked_at >= 4


def test_the_next_command_does_not_cover_a_change_up(stores: Stores) -> None:
    """It writes the rest of the row, and a hash that is wrong by as much as the one before."""
    live(stores)
    for table, column in zip(TABLES, ("email", "plano", "valor", "idioma"), strict=True):
        value = "1" if column == "valor" else "'x'"
        stores.sql.execute(f"UPDATE {table} SET {column} = {value}")
    (payment,) = stores.sql.execute("SELECT min(id) FROM pagamentos").fetchone() or (0,)
    stores.do("POSTGRESQL", UpdateUserRequest(user_id=ANA, name="Ana Outra"))
    stores.do("POSTGRESQL", UpdatePreferencesRequest(user_id=ANA, theme=Preferences.LIGHT))
    stores.do("POSTGRESQL", CancelPaymentRequest(user_id=ANA, payment_id=payment))
    stores.do("POSTGRESQL", CreateSubscriptionRequest(user_id=ANA, plan=Subscription.BASIC, months=1))
    looked = stores.look()
    assert [len(looked[table][2]) for table in TABLES] == [1, 4, 4, 1]


def test_what_has_no_hash_is_counted_and_called_changed_by_nobody(stores: Stores) -> None:
    """Rows, documents and hashes of an earlier version. The next command that writes such a row gives it one."""
    live(stores)
    for table in TABLES:
        stores.sql.execute(f"UPDATE {table} SET hash_conteudo = NULL")
    for collection in ("historico_visualizacao", "recomendacoes"):
        stores.db[collection].update_many({}, {"$unset": {"hash_conteudo": ""}})
    for key in (*stores.keys.scan_iter("conteudo:*"), *stores.keys.scan_iter("sessao:*")):
        stores.keys.hdel(key, "hash_conteudo")
    looked = stores.look()
    assert all(seen == unknown and not changed for seen, unknown, changed in looked.values())
    stores.do("POSTGRESQL", UpdateUserRequest(user_id=ANA, name="Ana Outra"))
    assert stores.look()["usuarios"] == (1, 0, [])


def _ends(stores: Stores, session: str) -> int:
    told: Any = stores.keys.hget(session, "expira_em")
    return int(told)
