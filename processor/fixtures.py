"""The users, contents and views that the tour of the README finds: put where they are missing, never over others.

Six people who do not exist, fourteen contents, and who has watched what: enough for user 1234 to be recommended
something for every reason there is. Whatever is put is the same in every platform, identifiers included.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
import structlog
from polystream.v1.contents_pb2 import Content
from polystream.v1.views_pb2 import View
from pymongo.database import Database
from redis import Redis

from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from mesh.store_names.mongodb import RECOMMENDATIONS
from mesh.store_names.redis import content_key
from processor.handlers.cache_content import content_writes
from processor.handlers.generate_recommendations import make_document
from processor.handlers.record_view import document_of
from processor.model import timestamp
from processor.stores.mongodb import connect as connect_mongodb
from processor.stores.mongodb import database_of
from processor.stores.mongodb import store_errors as mongodb_errors
from processor.stores.mongodb_documents import Document, insert_absent
from processor.stores.mongodb_viewing_history import read_popular, recommend
from processor.stores.mongodb_views import insert_views
from processor.stores.postgresql import store_errors as postgresql_errors
from processor.stores.redis import connect as connect_redis
from processor.stores.redis import store_errors as redis_errors

_LOG = structlog.get_logger(__name__)

USER_ID: Final = 1234  # the user of the README's examples
_MAX_ITEMS: Final = 10
_NAMESPACE: Final = uuid.UUID("0b6f3a52-8c1d-5e0e-a4a7-5d3c2b1f9e60")
_FIRST_DAY: Final = datetime(2026, 1, 5, 20, 0, tzinfo=UTC)

_Kind = Content.Kind

# user_id, nome, email, cpf, plano
_USERS: Final = (
    (USER_ID, "Ana Beatriz Souza", "ana.beatriz@example.com", "31415926590", "premium"),
    (1235, "Bruno Carvalho Lima", "bruno.lima@example.com", "11144477735", "básico"),
    (1236, "Camila Ferreira Rocha", "camila.rocha@example.com", "24681357928", "padrão"),
    (1237, "Diego Nogueira Alves", "diego.alves@example.com", "13579246828", "premium"),
    (1238, "Elisa Monteiro Dias", "elisa.dias@example.com", "98765432100", "básico"),
    (1239, "Fábio Ribeiro Castro", "fabio.castro@example.com", "12345678909", "padrão"),
)

# Insert if no user has any of the three values that are unique; the rest belongs to a user who is new.
_INSERT_USER: Final = """
WITH novo AS (
    INSERT INTO usuarios (user_id, nome, email, cpf, data_criacao, hash_conteudo)
    SELECT user_id, nome, email, cpf, now(), hash_usuario(user_id, nome, email, cpf, now())
      FROM (SELECT %s::bigint AS user_id, %s AS nome, %s AS email, %s AS cpf) AS pessoa
        ON CONFLICT DO NOTHING
    RETURNING user_id
), preferencia AS (
    INSERT INTO preferencias (user_id, idioma, notificacoes, tema, data_atualizacao, hash_conteudo)
    SELECT user_id, 'pt-BR', true, 'sistema', now(), hash_preferencia(user_id, 'pt-BR', true, 'sistema', now())
      FROM novo
)
INSERT INTO assinaturas (user_id, plano, inicio, fim, status, hash_conteudo)
SELECT user_id,
       plano,
       now(),
       now() + interval '12 months',
       'ativa',
       hash_assinatura(user_id, plano, now(), now() + interval '12 months', 'ativa')
  FROM novo, (SELECT %s AS plano) AS compra
"""


@dataclass(frozen=True, slots=True)
class _Work:
    title: str
    kind: _Kind
    duration_seconds: int


_WORKS: Final = {
    5678: _Work("Cidade de Deus", _Kind.MOVIE, 7800),
    1001: _Work("Central do Brasil", _Kind.MOVIE, 6600),
    1002: _Work("Tropa de Elite", _Kind.MOVIE, 6900),
    1003: _Work("O Auto da Compadecida", _Kind.MOVIE, 6240),
    1004: _Work("Bacurau", _Kind.MOVIE, 7860),
    1005: _Work("Que Horas Ela Volta?", _Kind.MOVIE, 6720),
    2001: _Work("3%", _Kind.SERIES, 2760),
    2002: _Work("Cidade Invisível", _Kind.SERIES, 2520),
    2003: _Work("Sintonia", _Kind.SERIES, 2640),
    2004: _Work("Coisa Mais Linda", _Kind.SERIES, 2940),
    3001: _Work("Democracia em Vertigem", _Kind.DOCUMENTARY, 7260),
    3002: _Work("Ilha das Flores", _Kind.DOCUMENTARY, 780),
    3003: _Work("Edifício Master", _Kind.DOCUMENTARY, 6600),
    3004: _Work("Jogo de Cena", _Kind.DOCUMENTARY, 6300),
}

# What the cache holds: content_id, genres, director.
_CACHED: Final = (
    (5678, ("drama", "crime"), "Fernando Meirelles"),
    (1001, ("drama",), "Walter Salles"),
)

# By user: content_id, percent watched, day.
_WATCHED: Final = {
    USER_ID: ((5678, 100, 3), (1002, 100, 10), (2001, 40, 17)),
    1235: ((5678, 100, 1), (1002, 90, 4), (1004, 100, 9), (2002, 100, 15)),
    1236: ((1001, 100, 2), (5678, 100, 5), (1003, 100, 8), (2001, 75, 20)),
    1237: ((2001, 100, 6), (2002, 100, 7), (2003, 30, 14), (3001, 100, 21)),
    1238: ((1002, 100, 2), (1004, 100, 11), (1005, 100, 13), (3002, 100, 13)),
    1239: ((1001, 60, 4), (3003, 100, 12), (3001, 100, 16), (2004, 20, 18), (3004, 100, 23)),
}


def put_fixtures(postgres: PostgresSettings, mongodb: MongoSettings, redis: RedisSettings) -> None:
    """Put what is missing into the three stores, whose schemas are up to date. Safe to repeat.

    Raises PolystreamError with STORE_UNAVAILABLE.
    """
    _put_users(postgres)
    with mongodb_errors(), connect_mongodb(mongodb) as mongo_client:
        _put_views(database_of(mongo_client))
    with redis_errors(), connect_redis(redis) as redis_client:
        _put_contents(redis_client)
    _LOG.info("the fixtures are there", users=len(_USERS), contents=len(_CACHED))


def view_id_of(user_id: int, content_id: int) -> str:
    """Return the identifier of a fixture's view."""
    return str(uuid.uuid5(_NAMESPACE, f"view:{user_id}:{content_id}"))


def _put_users(settings: PostgresSettings) -> None:
    with postgresql_errors(), psycopg.connect(settings.dsn) as connection, connection.cursor() as cursor:
        cursor.executemany(_INSERT_USER, _USERS)


def _put_views(db: Database[Document]) -> None:
    views = [_view(user_id, *watched) for user_id, all_watched in _WATCHED.items() for watched in all_watched]
    insert_views(db, [document_of(view) for view in views])
    id_ = str(uuid.uuid5(_NAMESPACE, f"recommendations:{USER_ID}"))
    if db[RECOMMENDATIONS].find_one({"_id": id_}) is None:
        now = datetime.now(UTC)
        items = recommend(db, USER_ID, _MAX_ITEMS, read_popular(db, now))
        insert_absent(db[RECOMMENDATIONS], [make_document(id_, USER_ID, now, items)])


def _view(user_id: int, content_id: int, percent: int, day: int) -> View:
    work = _WORKS[content_id]
    return View(
        view_id=view_id_of(user_id, content_id),
        user_id=user_id,
        content_id=content_id,
        title=work.title,
        kind=work.kind,
        watched_seconds=work.duration_seconds * percent // 100,
        position_percent=percent,
        watch_time=timestamp(_FIRST_DAY + timedelta(days=day)),
        completed=percent == 100,
    )


def _put_contents(client: Redis) -> None:
    for content_id, genres, director in _CACHED:
        key = content_key(content_id)
        pipeline = client.pipeline(transaction=True)
        # A lane may cache the content at this very moment.
        pipeline.watch(key)  # type: ignore[no-untyped-call] # the client leaves it untyped
        if pipeline.exists(key):
            pipeline.reset()
            continue
        pipeline.multi()
        for write in content_writes(_content(content_id, genres, director)):
            pipeline.execute_command(*write)  # type: ignore[no-untyped-call] # likewise
        pipeline.execute()


def _content(content_id: int, genres: tuple[str, ...], director: str) -> Content:
    work = _WORKS[content_id]
    return Content(
        content_id=content_id,
        title=work.title,
        kind=work.kind,
        duration_seconds=work.duration_seconds,
        genres=genres,
        attributes={"diretor": director},
        cache_time=timestamp(_FIRST_DAY),
    )
