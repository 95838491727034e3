"""The stores' names: writers and readers use the same ones, and each has one place."""

import ast
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from polystream.v1.contents_pb2 import Content, GetContentRequest
from polystream.v1.recommendations_pb2 import GetRecommendationsRequest, Recommendations
from polystream.v1.sessions_pb2 import CreateSessionRequest, GetSessionRequest
from polystream.v1.views_pb2 import GetViewRequest, View

from gateway.queries.contents import ContentQueries
from gateway.queries.recommendations import RecommendationQueries
from gateway.queries.sessions import SessionQueries
from gateway.queries.views import ViewQueries
from mesh.store_names import mongodb, redis
from processor.handlers import cache_content, create_session, generate_recommendations, record_view
from processor.migrations import runner
from processor.migrations.runner import load_migrations
from processor.stores.mongodb_recommendations import Recommended
from processor.stores.redis_plans import Write
from tests.support.lanes import delivery

ROOT = Path(__file__).parents[2]
# A temporary file of its own.
OTHER_DATABASES = {ROOT / "processor" / "replay" / "answers.py"}
MODULES = sorted(path for package in ("gateway", "processor") for path in (ROOT / package).rglob("*.py"))
COLLECTIONS = {mongodb.VIEWS, mongodb.RECOMMENDATIONS, mongodb.POPULAR, mongodb.INBOX, mongodb.KNOWN_USERS}
KEYS = {
    redis.CONTENT_PREFIX,
    redis.CONTENTS,
    redis.SESSION_PREFIX,
    redis.USER_SESSIONS_PREFIX,
    redis.CACHE_HITS,
    redis.CACHE_MISSES,
    redis.KNOWN_USERS,
    redis.marker_key(""),
    redis.operation_key(""),
    redis.request_key(""),
}


def texts_of(module: Path) -> Iterator[str]:
    """Yield the string constants of a module, those in f-strings too, but for its docstrings."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.value


# PostgreSQL: a statement is held to the migrations. Keywords are in capitals in every statement, names are not.

_STATEMENT = re.compile(r"\s*(WITH|SELECT|INSERT|UPDATE|DELETE)\b")
_NOISE = re.compile(r"--[^\n]*|'[^']*'|%\(\w+\)s|%s|::\w+(\[\])?")
_TABLE = re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+([a-z_]+)\b(?!\()")
_NAMES = (
    re.compile(r"\bAS\s+([a-z_]+)"),  # an alias
    re.compile(r"\b(?:FROM|JOIN|INTO|UPDATE)\s+[a-z_]+\s+([a-z_]+)"),  # an alias without AS
    re.compile(r"(?:WITH|,)\s+([a-z_]+)\s+AS\s+\("),  # a subquery's name
    re.compile(r"\b([a-z_]+)(?=\(|\s*=>)"),  # a function, or the name of its argument
)
_FUNCTION_COLUMNS = re.compile(r"(?:\)|ORDINALITY)\s+AS\s+[a-z_]+\s+\(([^)]*)\)")
_WORD = re.compile(r"\b[a-z_][a-z0-9_]*\b")
_OTHERS = {"excluded", "interval", "true"}  # the row that an INSERT could not add; a type; a value


def tables_of(sql: str) -> dict[str, set[str]]:
    """Return the columns of each table that a migration makes."""
    tables: dict[str, set[str]] = {}
    bare = _NOISE.sub("", sql)
    for name, body in re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+) \(\n(.*?)\n\)", bare, re.DOTALL):
        tables[name] = set(re.findall(r"^ {4}([a-z_][a-z0-9_]*)\b", body, re.MULTILINE))
    for name, column in re.findall(r"ALTER TABLE (\w+) ADD COLUMN (\w+)", bare):
        tables.setdefault(name, set()).add(column)
    return tables


TABLES: dict[str, set[str]] = {}
for sql in (*(migration.sql for migration in load_migrations()), *texts_of(Path(runner.__file__))):
    for table_name, table_columns in tables_of(sql).items():
        TABLES.setdefault(table_name, set()).update(table_columns)
STATEMENTS = [
    pytest.param(text, id=f"{module.relative_to(ROOT)}:{' '.join(text.split())[:40]}")
    for module in MODULES
    if module not in OTHER_DATABASES
    for text in texts_of(module)
    if _STATEMENT.match(text)
]


def unknown_names(statement: str) -> set[str]:
    """Return the names in a statement that are no table, no column of a table in it, and nothing it makes itself."""
    bare = _NOISE.sub(" ", statement)
    named = set(_TABLE.findall(bare))
    known = _OTHERS | {name for pattern in _NAMES for name in pattern.findall(bare)}
    known |= set(_WORD.findall(" ".join(_FUNCTION_COLUMNS.findall(bare))))
    for table in named & TABLES.keys():
        known |= {table, *TABLES[table]}
    return set(_WORD.findall(bare)) - known


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_names_what_the_migrations_make(statement: str) -> None:
    """A table or a column that no migration makes would fail only when the statement runs."""
    assert unknown_names(statement) == set()


def test_every_table_is_in_a_statement() -> None:
    """The comparison sees all tables, and all of their columns."""
    named = {table for statement in STATEMENTS for table in _TABLE.findall(str(statement.values[0]))}
    assert named >= TABLES.keys()
    assert TABLES.keys() >= {"usuarios", "assinaturas", "pagamentos", "preferencias", "inbox", "lane_positions"}
    assert TABLES["usuarios"] == {"id", "user_id", "nome", "email", "cpf", "data_criacao", "hash_conteudo"}
    assert TABLES["lane_positions"] == {"topic_id", "partition", "next_offset"}


_WRITES_CONTENT = re.compile(
    r"\b(?:INSERT INTO|UPDATE) (usuarios|assinaturas|pagamentos|preferencias)\b(.*?)(?=\b(?:INSERT|UPDATE)\b|$)",
    re.DOTALL,
)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_whoever_writes_a_row_writes_its_hash(statement: str) -> None:
    """One that did not would have its own write taken for somebody's change by hand."""
    written = _WRITES_CONTENT.findall(_NOISE.sub(" ", statement).replace("DO UPDATE", ""))
    assert [table for table, rest in written if "hash_conteudo" not in rest] == []


@pytest.mark.parametrize(
    ("statement", "unknown"),
    [
        ("SELECT nome FROM usuario WHERE user_id = %s", {"nome", "usuario", "user_id"}),
        ("SELECT u.nome_completo FROM usuarios u", {"nome_completo"}),
        ("INSERT INTO lane_positions AS known (topic, partition) VALUES (%s, %s)", {"topic"}),
        ("UPDATE pagamentos SET plano = 'x' WHERE id = %s", {"plano"}),
        ("SELECT m.preco FROM unnest(%s::bigint[]) AS m (valor)", {"preco"}),
    ],
)
def test_a_wrong_name_is_seen(statement: str, unknown: set[str]) -> None:
    """A table that there is not, a column of no table, and one of another table than the statement's."""
    assert unknown_names(statement) == unknown


# MongoDB and Redis: what a handler writes, a query reads.


class OneEntry:
    """The stores, as queries see them, with one document or hash in them."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._entry = dict(entry)

    async def documents(self, _work: object) -> dict[str, Any]:
        """Find it."""
        return self._entry

    async def keys(self, _work: object) -> dict[str, Any]:
        """Find it."""
        return self._entry


def hash_of(writes: tuple[Write, ...], key: str) -> dict[str, Any]:
    """Return the hash that a plan's writes leave under a key."""
    words = [word for write in writes if write[:2] == ("HSET", key) for word in write[2:]]
    return {str(name): value for name, value in zip(words[::2], words[1::2], strict=True)}


async def test_a_query_reads_the_view_that_a_handler_writes() -> None:
    """Every field comes back."""
    view = View(
        view_id="v",
        user_id=1,
        content_id=2,
        title="Ilha das Flores",
        kind="DOCUMENTARY",
        watched_seconds=700,
        position_percent=90.5,
        watch_time=datetime(2026, 1, 5, 20, 0, 0, 123456, tzinfo=UTC),
        completed=True,
    )
    written = record_view.document_of(view)
    queries = ViewQueries(OneEntry(written))  # type: ignore[arg-type] # a stand-in
    assert await queries.get_view(GetViewRequest(user_id=1, view_id="v"), None) == view
    assert written.keys() == mongodb.ViewDocument.__annotations__.keys()


async def test_a_query_reads_the_recommendations_that_a_handler_writes() -> None:
    """Every field of every item comes back."""
    now = datetime(2026, 1, 5, 20, 0, tzinfo=UTC)
    item = Recommended(2, "Bacurau", "filme", 0.5, Recommendations.Item.Reason.CO_VIEWED)
    written = generate_recommendations.make_document("r", 1, now, [item])
    queries = RecommendationQueries(OneEntry(written))  # type: ignore[arg-type] # a stand-in
    assert await queries.get_recommendations(GetRecommendationsRequest(user_id=1), None) == Recommendations(
        user_id=1,
        generate_time=now,
        items=[
            Recommendations.Item(content_id=2, title="Bacurau", kind="MOVIE", score=0.5, reason="CO_VIEWED"),
        ],
    )
    assert written.keys() == mongodb.RecommendationsDocument.__annotations__.keys()
    assert written["itens"][0].keys() == mongodb.RecommendedDocument.__annotations__.keys()


async def test_a_query_reads_the_content_that_a_handler_writes() -> None:
    """Every field comes back, an end too."""
    content = Content(
        content_id=7,
        title="Bacurau",
        kind="MOVIE",
        duration_seconds=7860,
        genres=["drama", "ficção científica"],
        attributes={"diretor": "Kleber Mendonça Filho"},
        cache_time=datetime(2026, 1, 5, 20, 0, tzinfo=UTC),
        expire_time=datetime(2026, 1, 6, 20, 0, tzinfo=UTC),
    )
    written = hash_of(cache_content.content_writes(content), "conteudo:7")
    queries = ContentQueries(OneEntry(written))  # type: ignore[arg-type] # a stand-in
    assert await queries.get_content(GetContentRequest(content_id=7), None) == content
    assert written.keys() == redis.ContentHash.__annotations__.keys()


async def test_a_query_reads_the_session_that_a_handler_writes() -> None:
    """Every field comes back."""
    server = SimpleNamespace(time=lambda: (1_760_000_000, 123_456))  # all that it asks
    (plan,) = create_session.redis(
        [delivery(CreateSessionRequest(user_id=1, device="TV"), "s")],
        server,  # type: ignore[arg-type] # a stand-in
    )
    written = hash_of(plan.writes, "sessao:s")
    queries = SessionQueries(OneEntry(written))  # type: ignore[arg-type] # a stand-in
    assert await queries.get_session(GetSessionRequest(session_id="s"), None) == plan.outcome.result
    assert written.keys() == redis.SessionHash.__annotations__.keys()


def test_collections_and_keys_are_named_in_one_place() -> None:
    """A service takes the names from `mesh.store_names`, and writes none itself."""
    assert [
        f"{module.relative_to(ROOT)}: {text}"
        for module in MODULES
        for text in texts_of(module)
        if text in COLLECTIONS or any(text == key or (key.endswith(":") and text.startswith(key)) for key in KEYS)
    ] == []


def test_the_names_are_those_that_others_know() -> None:
    """They are public: what reads the stores beside the platform relies on them."""
    assert {
        "historico_visualizacao",
        "recomendacoes",
        "conteudos_populares",
        "comandos_aplicados",
        "usuarios_conhecidos",
    } == COLLECTIONS
    assert {
        "conteudo:",
        "conteudos",
        "sessao:",
        "sessoes:",
        "app:stats:cache_hits",
        "app:stats:cache_misses",
        "usuarios:conhecidos",
        "comando:",
        "operation:",
        "request:",
    } == KEYS
