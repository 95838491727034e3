"""The fixtures of the tour, in three real stores."""

from typing import Any

import psycopg
import pymongo
import pytest
import redis

from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from processor import fixtures
from processor.fixtures import put_fixtures, view_id_of
from processor.migrations.runner import load_migrations, migrate
from processor.stores.mongodb import connect, database_of, ensure_indexes
from processor.stores.mongodb_views import delete_views
from tests.support.engine_pool import Lease
from tests.support.platform import EngineSet
from tests.support.stores import MARKER_TTL_S, postgres_settings

Settings = tuple[PostgresSettings, MongoSettings, RedisSettings]


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three stores' servers."""
    return lease("postgresql", "mongodb", "redis")


@pytest.fixture(scope="module")
def settings(running: EngineSet) -> Settings:
    """Return the settings of stores whose schemas are up to date."""
    postgres = postgres_settings(running)
    mongodb = MongoSettings(url=running.endpoints["mongodb"])
    migrate(postgres.dsn, load_migrations())
    with connect(mongodb) as client:
        ensure_indexes(database_of(client), MARKER_TTL_S)
    return postgres, mongodb, RedisSettings(url=running.endpoints["redis"])


def test_everything_of_the_tour_is_there(settings: Settings, running: EngineSet) -> None:
    """User 1234 with history and recommendations for every reason; contents 5678 and 1001, which never expire."""
    put_fixtures(*settings)
    with psycopg.connect(running.endpoints["postgresql"]) as connection:
        found = connection.execute("SELECT user_id FROM usuarios ORDER BY user_id").fetchall()
        subscriptions = connection.execute("SELECT user_id, status FROM assinaturas ORDER BY user_id").fetchall()
        preferences = connection.execute("SELECT user_id FROM preferencias ORDER BY user_id").fetchall()
    assert found == preferences == [(user_id,) for user_id in range(1234, 1240)]
    assert subscriptions == [(user_id, "ativa") for user_id in range(1234, 1240)]
    with pymongo.MongoClient[dict[str, Any]](running.endpoints["mongodb"]) as client:
        db = client.get_default_database()
        assert db["historico_visualizacao"].count_documents({"user_id": 1234}) == 3
        document = db["recomendacoes"].find_one({"user_id": 1234})
    assert document is not None
    assert len(document["itens"]) == 10
    assert {item["motivo"] for item in document["itens"]} == {
        "visto por quem viu o mesmo",
        "afinidade de tipo",
        "popular",
    }
    with redis.Redis.from_url(running.endpoints["redis"], decode_responses=True) as cache:
        assert cache.zrange("conteudos", 0, -1) == ["1001", "5678"]
        assert [cache.hget(f"conteudo:{id_}", "titulo") for id_ in (5678, 1001)] == [
            "Cidade de Deus",
            "Central do Brasil",
        ]
        assert [cache.ttl(f"conteudo:{id_}") for id_ in (5678, 1001)] == [-1, -1]


def test_nothing_that_is_there_is_changed(settings: Settings, running: EngineSet) -> None:
    """A second time, what people have made of the fixtures stays, and only what is missing comes back."""
    put_fixtures(*settings)
    view_id = view_id_of(1234, 5678)
    with (
        psycopg.connect(running.endpoints["postgresql"], autocommit=True) as connection,
        pymongo.MongoClient[dict[str, Any]](running.endpoints["mongodb"]) as client,
        redis.Redis.from_url(running.endpoints["redis"], decode_responses=True) as cache,
    ):
        db = client.get_default_database()
        connection.execute("UPDATE usuarios SET nome = 'Outra' WHERE user_id = 1234")
        connection.execute("DELETE FROM usuarios WHERE user_id = 1239")
        delete_views(db, {view_id: "somebody"})
        recommended = db["recomendacoes"].find_one({"user_id": 1234})
        cache.hset("conteudo:1001", "titulo", "Outro")
        cache.delete("conteudo:5678")
        put_fixtures(*settings)
        names = connection.execute("SELECT nome FROM usuarios WHERE user_id IN (1234, 1239) ORDER BY user_id")
        assert names.fetchall() == [("Outra",), ("Fábio Ribeiro Castro",)]
        assert db["historico_visualizacao"].find_one({"_id": view_id}) is None
        assert db["recomendacoes"].find_one({"user_id": 1234}) == recommended
        assert cache.hget("conteudo:1001", "titulo") == "Outro"
        assert cache.hget("conteudo:5678", "titulo") == "Cidade de Deus"


def test_a_store_that_is_down_is_said_to_be(settings: Settings) -> None:
    """Whoever puts the fixtures can wait for it."""
    nowhere = MongoSettings(url="mongodb://127.0.0.1:1/streaming_db")
    with pytest.raises(PolystreamError) as raised:
        put_fixtures(settings[0], nowhere, settings[2])
    assert raised.value.reason is Reason.STORE_UNAVAILABLE


def test_cpfs_are_valid() -> None:
    """The check digits are right, and no two people have the same."""
    cpfs = [cpf for _, _, _, cpf, _ in fixtures._USERS]
    assert len(set(cpfs)) == len(cpfs)
    for cpf in cpfs:
        digits = [int(digit) for digit in cpf]
        for length in (9, 10):
            total = sum(digit * (length + 1 - place) for place, digit in enumerate(digits[:length]))
            assert total * 10 % 11 % 10 == digits[length]
