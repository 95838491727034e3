"""Queries against real stores: what is in the tables, collections and keys is what a caller reads."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pymongo
import pytest
import redis
from google.type.money_pb2 import Money
from polystream.v1.contents_pb2 import Content, GetContentRequest, ListContentsRequest
from polystream.v1.payments_pb2 import GetPaymentRequest, ListPaymentsRequest, Payment
from polystream.v1.preferences_pb2 import GetPreferencesRequest, Preferences
from polystream.v1.recommendations_pb2 import GetRecommendationsRequest, Recommendations
from polystream.v1.sessions_pb2 import GetSessionRequest, ListSessionsRequest, Session
from polystream.v1.subscriptions_pb2 import GetSubscriptionRequest, ListSubscriptionsRequest, Subscription
from polystream.v1.users_pb2 import GetUserRequest, ListUsersRequest, User
from polystream.v1.views_pb2 import GetViewRequest, ListViewsRequest, View

from gateway.queries.contents import ContentQueries
from gateway.queries.payments import PaymentQueries
from gateway.queries.preferences import PreferencesQueries
from gateway.queries.recommendations import RecommendationQueries
from gateway.queries.sessions import SessionQueries
from gateway.queries.stores import Stores
from gateway.queries.subscriptions import SubscriptionQueries
from gateway.queries.users import UserQueries
from gateway.queries.views import ViewQueries
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from processor.migrations.runner import load_migrations, migrate
from tests.support.closing import close_stores
from tests.support.engine_pool import Lease
from tests.support.platform import EngineSet

NOW = datetime.now(UTC).replace(microsecond=123000)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three stores, the tables made by the migrations."""
    started = lease("postgresql", "mongodb", "redis")
    migrate(started.endpoints["postgresql"], load_migrations())
    return started


@pytest.fixture
def settings(running: EngineSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the settings to the stores."""
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def stores(settings: None) -> AsyncIterator[Stores]:
    """Open what the queries read."""
    del settings
    opened = Stores(PostgresSettings(), MongoSettings(), RedisSettings())
    yield opened
    await close_stores(opened)


@pytest.fixture
def sql(running: EngineSet) -> Iterator[psycopg.Connection[Any]]:
    """Give a connection to tables that are empty."""
    with psycopg.connect(running.endpoints["postgresql"], autocommit=True) as connection:
        connection.execute("TRUNCATE usuarios, assinaturas, pagamentos, preferencias RESTART IDENTITY")
        yield connection


@pytest.fixture
def mongo(running: EngineSet) -> Iterator[Any]:
    """Give the database, its collections empty."""
    with pymongo.MongoClient[dict[str, Any]](running.endpoints["mongodb"]) as client:
        database = client.get_default_database("streaming_db")
        database["historico_visualizacao"].delete_many({})
        database["recomendacoes"].delete_many({})
        yield database


@pytest.fixture
def keys(running: EngineSet) -> Iterator[redis.Redis]:
    """Give the keys, all of them gone."""
    with redis.Redis.from_url(running.endpoints["redis"]) as client:
        client.flushdb()
        yield client


def add_user(sql: psycopg.Connection[Any], user_id: int) -> None:
    """Write a user, each with an address and a CPF of its own."""
    sql.execute(
        "INSERT INTO usuarios (user_id, nome, email, cpf, data_criacao) VALUES (%s, %s, %s, %s, %s)",
        (user_id, f"Ana {user_id}", f"ana{user_id}@example.com", f"{user_id:011d}", NOW),
    )


async def pages(query: Callable[[Any, Any], Any], request: Any, field: str) -> list[list[Any]]:
    """Read a list to its end and return its pages."""
    read: list[list[Any]] = []
    while True:
        response = await query(request, None)
        read.append(list(getattr(response, field)))
        if not response.next_page_token:
            return read
        request.page_token = response.next_page_token
        assert len(read) < 100


async def reason_of(answer: Any) -> Reason:
    """Return why a query is refused."""
    with pytest.raises(PolystreamError) as caught:
        await answer
    return caught.value.reason


async def test_users_are_read_and_listed_oldest_first(stores: Stores, sql: psycopg.Connection[Any]) -> None:
    """A list's order is that of creation, whatever the IDs are; a user created meanwhile is on a later page."""
    users = UserQueries(stores)
    for user_id in (50, 10, 40, 20, 30):
        add_user(sql, user_id)
    expected = User(user_id=40, name="Ana 40", email="ana40@example.com", cpf="00000000040", create_time=NOW)
    assert await users.get_user(GetUserRequest(user_id=40), None) == expected
    assert await reason_of(users.get_user(GetUserRequest(user_id=1), None)) is Reason.USER_NOT_FOUND

    first = await users.list_users(ListUsersRequest(page_size=2), None)
    add_user(sql, 5)
    rest = await pages(users.list_users, ListUsersRequest(page_size=2, page_token=first.next_page_token), "users")
    assert [[u.user_id for u in page] for page in [first.users, *rest]] == [[50, 10], [40, 20], [30, 5]]


async def test_a_full_last_page_has_no_token(stores: Stores, sql: psycopg.Connection[Any]) -> None:
    """A caller is not sent to an empty page."""
    for user_id in (1, 2):
        add_user(sql, user_id)
    response = await UserQueries(stores).list_users(ListUsersRequest(page_size=2), None)
    assert (len(response.users), response.next_page_token) == (2, "")


async def test_subscriptions_past_their_term_are_expired(stores: Stores, sql: psycopg.Connection[Any]) -> None:
    """The state follows from the clock, before the table says so; a canceled one stays canceled."""
    subscriptions = SubscriptionQueries(stores)
    add_user(sql, 7)
    add_user(sql, 8)
    rows = [
        (7, "básico", NOW - 60 * DAY, NOW - 30 * DAY, "cancelada"),
        (7, "padrão", NOW - 31 * DAY, NOW - DAY, "ativa"),
        (8, "premium", NOW, NOW + DAY, "ativa"),
    ]
    for row in rows:
        sql.execute("INSERT INTO assinaturas (user_id, plano, inicio, fim, status) VALUES (%s, %s, %s, %s, %s)", row)
    listed = await subscriptions.list_subscriptions(ListSubscriptionsRequest(user_id=7), None)
    assert [(s.subscription_id, s.plan, s.state) for s in listed.subscriptions] == [
        (2, Subscription.STANDARD, Subscription.EXPIRED),
        (1, Subscription.BASIC, Subscription.CANCELED),
    ]
    assert await subscriptions.get_subscription(
        GetSubscriptionRequest(user_id=8, subscription_id=3), None
    ) == Subscription(
        subscription_id=3,
        user_id=8,
        plan=Subscription.PREMIUM,
        start_time=NOW,
        end_time=NOW + DAY,
        state=Subscription.ACTIVE,
    )
    foreign = subscriptions.get_subscription(GetSubscriptionRequest(user_id=7, subscription_id=3), None)
    assert await reason_of(foreign) is Reason.SUBSCRIPTION_NOT_FOUND
    paged = await pages(
        subscriptions.list_subscriptions, ListSubscriptionsRequest(user_id=7, page_size=1), "subscriptions"
    )
    assert [[s.subscription_id for s in page] for page in paged] == [[2], [1]]


async def test_payments_are_exact_to_the_cent(stores: Stores, sql: psycopg.Connection[Any]) -> None:
    """A numeric becomes units and nanos without a rounding error, at both ends of the range."""
    payments = PaymentQueries(stores)
    add_user(sql, 7)
    for valor in ("0.01", "29.90", "1000000.00"):
        sql.execute(
            "INSERT INTO pagamentos (user_id, valor, forma_pagamento, status, data_pagamento) VALUES (%s,%s,%s,%s,%s)",
            (7, Decimal(valor), "cartão de crédito", "aprovado", NOW),
        )
    paged = await pages(payments.list_payments, ListPaymentsRequest(user_id=7, page_size=2), "payments")
    assert [(p.amount.units, p.amount.nanos) for page in paged for p in page] == [
        (1_000_000, 0),
        (29, 900_000_000),
        (0, 10_000_000),
    ]
    assert await payments.get_payment(GetPaymentRequest(user_id=7, payment_id=2), None) == Payment(
        payment_id=2,
        user_id=7,
        amount=Money(currency_code="BRL", units=29, nanos=900_000_000),
        method=Payment.CREDIT_CARD,
        state=Payment.APPROVED,
        pay_time=NOW,
    )
    missing = payments.get_payment(GetPaymentRequest(user_id=8, payment_id=2), None)
    assert await reason_of(missing) is Reason.PAYMENT_NOT_FOUND


async def test_preferences_are_one_row_a_user(stores: Stores, sql: psycopg.Connection[Any]) -> None:
    """A user without preferences gets none, rather than defaults that nobody set."""
    preferences = PreferencesQueries(stores)
    add_user(sql, 7)
    sql.execute(
        "INSERT INTO preferencias (user_id, idioma, notificacoes, tema, data_atualizacao) VALUES (%s,%s,%s,%s,%s)",
        (7, "pt-BR", True, "escuro", NOW),
    )
    assert await preferences.get_preferences(GetPreferencesRequest(user_id=7), None) == Preferences(
        user_id=7, language="pt-BR", notifications=True, theme=Preferences.DARK, update_time=NOW
    )
    missing = preferences.get_preferences(GetPreferencesRequest(user_id=8), None)
    assert await reason_of(missing) is Reason.PREFERENCES_NOT_FOUND


async def test_views_are_newest_first_without_the_deleted(stores: Stores, mongo: Any) -> None:
    """Views of the same moment are on one page each and none is lost; another user's are not listed."""
    views = ViewQueries(stores)
    ids = sorted(new_correlation_id() for _ in range(5))
    moments = [NOW - DAY, NOW, NOW, NOW, NOW - 2 * DAY]
    for view_id, moment in zip(ids, moments, strict=True):
        mongo["historico_visualizacao"].insert_one(
            {
                "_id": view_id,
                "user_id": 7,
                "conteudo_id": 5678,
                "titulo": "Cidade",
                "tipo": "série",
                "tempo_assistido": 120,
                "posicao": 12.5,
                "data": moment,
                "data_microssegundos": 456,
                "concluido": False,
            }
        )
    mongo["historico_visualizacao"].insert_one({"_id": new_correlation_id(), "user_id": 8, "data": NOW})

    paged = await pages(views.list_views, ListViewsRequest(user_id=7, page_size=2), "views")
    assert [[v.view_id for v in page] for page in paged] == [[ids[3], ids[2]], [ids[1], ids[0]], [ids[4]]]
    assert await views.get_view(GetViewRequest(user_id=7, view_id=ids[1].upper()), None) == View(
        view_id=ids[1],
        user_id=7,
        content_id=5678,
        title="Cidade",
        kind=Content.SERIES,
        watched_seconds=120,
        position_percent=12.5,
        watch_time=NOW + timedelta(microseconds=456),
    )
    for user_id, view_id in ((8, ids[1]), (7, new_correlation_id())):
        missing = views.get_view(GetViewRequest(user_id=user_id, view_id=view_id), None)
        assert await reason_of(missing) is Reason.VIEW_NOT_FOUND


async def test_the_recommendations_made_last_are_read(stores: Stores, mongo: Any) -> None:
    """Items keep their order; their reasons are read from their texts."""
    recommendations = RecommendationQueries(stores)
    item = {"conteudo_id": 1, "titulo": "Um", "tipo": "filme", "pontuacao": 2.5, "motivo": "visto por quem viu o mesmo"}
    for moment, itens in ((NOW, [item, {**item, "conteudo_id": 2, "motivo": "popular"}]), (NOW - DAY, [])):
        mongo["recomendacoes"].insert_one(
            {"_id": new_correlation_id(), "user_id": 7, "data_geracao": moment, "itens": itens}
        )
    read = await recommendations.get_recommendations(GetRecommendationsRequest(user_id=7), None)
    assert read == Recommendations(
        user_id=7,
        generate_time=NOW,
        items=[
            Recommendations.Item(
                content_id=1, title="Um", kind=Content.MOVIE, score=2.5, reason=Recommendations.Item.CO_VIEWED
            ),
            Recommendations.Item(
                content_id=2, title="Um", kind=Content.MOVIE, score=2.5, reason=Recommendations.Item.POPULAR
            ),
        ],
    )
    missing = recommendations.get_recommendations(GetRecommendationsRequest(user_id=8), None)
    assert await reason_of(missing) is Reason.RECOMMENDATIONS_NOT_FOUND


def cache(keys: redis.Redis, content_id: int, ttl_ms: int | None = None) -> None:
    """Cache a content as the lane does."""
    now_ms = int(NOW.timestamp() * 1000)
    keys.hset(
        f"conteudo:{content_id}",
        mapping={
            "titulo": f"Título {content_id}",
            "tipo": "documentário",
            "duracao_segundos": 3600,
            "generos": json.dumps(["drama", "ação"]),
            "atributos": json.dumps({"país": "BR"}),
            "cacheado_em": now_ms,
            "expira_em": "" if ttl_ms is None else now_ms + ttl_ms,
        },
    )
    keys.zadd("conteudos", {str(content_id): content_id})
    if ttl_ms is not None:
        keys.pexpire(f"conteudo:{content_id}", ttl_ms)


async def test_reading_a_content_counts_hits_and_misses(stores: Stores, keys: redis.Redis) -> None:
    """One hit or one miss a read, in the inherited counter and its sibling."""
    contents = ContentQueries(stores)
    cache(keys, 1001, ttl_ms=86_400_000)
    for _ in range(2):
        read = await contents.get_content(GetContentRequest(content_id=1001), None)
    assert read == Content(
        content_id=1001,
        title="Título 1001",
        kind=Content.DOCUMENTARY,
        duration_seconds=3600,
        genres=["drama", "ação"],
        attributes={"país": "BR"},
        cache_time=NOW,
        expire_time=NOW + DAY,
    )
    assert await reason_of(contents.get_content(GetContentRequest(content_id=1), None)) is Reason.CONTENT_NOT_FOUND
    assert (keys.get("app:stats:cache_hits"), keys.get("app:stats:cache_misses")) == (b"2", b"1")


async def test_contents_are_listed_by_id_without_the_expired(stores: Stores, keys: redis.Redis) -> None:
    """The order is that of numbers; what has expired is skipped, does not end the list, and leaves the index."""
    contents = ContentQueries(stores)
    for content_id in (100, 9, 2**53 - 1, 20, 3):
        cache(keys, content_id)
    for content_id in range(10, 20):
        keys.zadd("conteudos", {str(content_id): content_id})
    paged = await pages(contents.list_contents, ListContentsRequest(page_size=2), "contents")
    assert [c.content_id for page in paged for c in page] == [3, 9, 20, 100, 2**53 - 1]
    assert max(len(page) for page in paged) == 2
    assert keys.zcard("conteudos") == 5
    assert not (await contents.list_contents(ListContentsRequest(), None)).contents[0].HasField("expire_time")


async def test_sessions_are_newest_first_without_the_ended(stores: Stores, keys: redis.Redis) -> None:
    """Sessions of the same millisecond are all listed, once each, over any number of pages."""
    sessions = SessionQueries(stores)
    base_ms = int(NOW.timestamp() * 1000)
    opened: list[tuple[int, str]] = [(base_ms + step // 3, new_correlation_id()) for step in range(10)]
    for create_ms, session_id in opened:
        fields: Any = {"user_id": 7, "dispositivo": "navegador", "criada_em": create_ms, "expira_em": create_ms + 1000}
        keys.hset(f"sessao:{session_id}", mapping=fields)
        keys.zadd("sessoes:7", {session_id: create_ms})
    keys.zadd("sessoes:7", {new_correlation_id(): base_ms + step for step in range(4)})
    for size in (1, 2, 3, 50):
        paged = await pages(sessions.list_sessions, ListSessionsRequest(user_id=7, page_size=size), "sessions")
        listed = [(s.create_time.ToMilliseconds(), s.session_id) for page in paged for s in page]
        assert listed == sorted(opened, reverse=True)
    assert keys.zcard("sessoes:7") == 10

    create_ms, session_id = opened[0]
    assert await sessions.get_session(GetSessionRequest(session_id=session_id), None) == Session(
        session_id=session_id,
        user_id=7,
        device=Session.WEB,
        create_time=NOW,
        expire_time=NOW + timedelta(seconds=1),
    )
    missing = sessions.get_session(GetSessionRequest(session_id=new_correlation_id()), None)
    assert await reason_of(missing) is Reason.SESSION_NOT_FOUND
