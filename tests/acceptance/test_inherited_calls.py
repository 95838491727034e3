"""What the old demo's users know works as they know it."""

from datetime import datetime
from typing import Any

import httpx
import psycopg
import pymongo
import pytest
import redis

from tests.acceptance.conftest import Finished, Json
from tests.support.platform import Platform

pytestmark = [pytest.mark.every_engine_set, pytest.mark.every_door]

COMMANDS = [
    ("/usuarios", "CreateUser", "POSTGRESQL"),
    ("/usuarios/1234/assinatura", "CreateSubscription", "POSTGRESQL"),
    ("/usuarios/1234/pagamento", "CreatePayment", "POSTGRESQL"),
    ("/usuarios/1234/config", "UpdatePreferences", "POSTGRESQL"),
    ("/historico-visualizacao?user_id=1234&conteudo_id=5678", "RecordView", "MONGODB"),
    ("/recomendacoes/gerar", "GenerateRecommendations", "MONGODB"),
    ("/cache/conteudo/1001", "CacheContent", "REDIS"),
]


@pytest.mark.parametrize(("path", "command", "store"), COMMANDS)
def test_a_post_without_a_body_succeeds(
    rest: httpx.Client, finished: Finished, path: str, command: str, store: str
) -> None:
    """It is answered at once with a correlation ID, and its operation succeeds within two seconds."""
    answer = rest.post(path)
    assert answer.status_code == 200, answer.text
    accepted = answer.json()
    assert accepted["command"] == command
    assert accepted["state"] == "ACCEPTED"
    assert answer.headers["x-correlation-id"] == accepted["correlation_id"]
    operation = finished(accepted["correlation_id"])
    assert operation["state"] == "SUCCEEDED", operation
    assert operation["name"] == f"operations/{accepted['correlation_id']}"
    assert [(r["store"], r["state"], r["duplicate"]) for r in operation["receipts"]] == [(store, "SUCCEEDED", False)]
    assert _seconds_between(operation) < 2


@pytest.mark.parametrize(
    "path", ["/historico-visualizacao/1234", "/recomendacoes/1234", "/cache/conteudo/5678", "/health"]
)
def test_a_get_succeeds(rest: httpx.Client, path: str) -> None:
    """The fixtures are there from the first start."""
    answer = rest.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.json()
    assert answer.headers["x-correlation-id"]


def test_rows_are_in_the_inherited_tables(platform: Platform, rest: httpx.Client, finished: Finished) -> None:
    """PostgreSQL's tables and columns have their old names."""
    user = finished(rest.post("/usuarios").json()["correlation_id"])
    user_id = user["user_id"]
    for path in ("assinatura", "pagamento", "config"):
        finished(rest.post(f"/usuarios/{user_id}/{path}").json()["correlation_id"])
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        for query in (
            "SELECT id, nome, email, cpf, data_criacao FROM usuarios WHERE user_id = %s",
            "SELECT id, plano, inicio, fim, status FROM assinaturas WHERE user_id = %s",
            "SELECT id, valor, forma_pagamento, status, data_pagamento FROM pagamentos WHERE user_id = %s",
            "SELECT id, idioma, notificacoes, tema, data_atualizacao FROM preferencias WHERE user_id = %s",
        ):
            rows = db.execute(query, (user_id,)).fetchall()
            assert len(rows) == 1
            assert None not in rows[0]


def test_documents_are_in_the_inherited_collections(platform: Platform, rest: httpx.Client, finished: Finished) -> None:
    """MongoDB's collections and fields have their old names and types."""
    view = finished(rest.post("/historico-visualizacao?user_id=1234&conteudo_id=5678").json()["correlation_id"])
    made = finished(rest.post("/recomendacoes/gerar", json={"user_id": 1234}).json()["correlation_id"])
    with pymongo.MongoClient[dict[str, Any]](platform.endpoints["mongodb"]) as client:
        db = client.get_default_database()
        assert db.name == "streaming_db"
        found = db["historico_visualizacao"].find_one({"_id": view["correlation_id"]})
        assert found is not None
        assert (found["user_id"], found["conteudo_id"]) == (1234, 5678)
        assert found["tipo"] in {"filme", "série", "documentário"}
        assert {"titulo", "tempo_assistido", "posicao", "data", "concluido"} <= found.keys()
        recommended = db["recomendacoes"].find_one({"_id": made["correlation_id"]})
        assert recommended is not None
        assert recommended["user_id"] == 1234
        assert recommended["itens"]
        assert recommended["data_geracao"]


def test_keys_are_the_inherited_ones(platform: Platform, rest: httpx.Client, finished: Finished) -> None:
    """Redis has the content's hash, and counts the hits of the cache."""
    finished(rest.post("/cache/conteudo/4242").json()["correlation_id"])
    with redis.Redis.from_url(platform.endpoints["redis"], decode_responses=True) as client:
        before = int(client.get("app:stats:cache_hits") or 0)
        assert client.hgetall("conteudo:4242")["titulo"]
        assert rest.get("/cache/conteudo/4242").json()["content_id"] == "4242"
        assert int(client.get("app:stats:cache_hits") or 0) == before + 1


def test_a_fresh_user_id_can_be_used_at_once(rest: httpx.Client, finished: Finished) -> None:
    """A user created a moment ago on another lane is not mistaken for one that does not exist."""
    for _ in range(10):
        user_id = rest.post("/usuarios").json()["user_id"]
        view = rest.post(f"/historico-visualizacao?user_id={user_id}&conteudo_id=5678").json()
        session = rest.post("/v1/sessions", json={"user_id": user_id, "device": "TV"}).json()
        assert finished(view["correlation_id"])["state"] == "SUCCEEDED"
        assert finished(session["correlation_id"])["state"] == "SUCCEEDED"


def _seconds_between(operation: Json) -> float:
    start, end = (datetime.fromisoformat(operation[name]) for name in ("accept_time", "complete_time"))
    return (end - start).total_seconds()
