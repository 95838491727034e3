"""The Redis handlers' plans: what is written, under which condition, and what is answered."""

import json
from typing import Any

import pytest
from polystream.v1.contents_pb2 import CacheContentRequest, Content, DeleteContentRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest, Session
from polystream.v1.users_pb2 import DeleteUserRequest

from processor.handlers import cache_content, create_session, delete_content, delete_user
from processor.stores.redis_hashes import content_hash
from processor.stores.redis_plans import RedisPlan
from tests.support.lanes import delivery as deliver

NOW_MS = 1_760_000_000_123


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cache_content, create_session):
        monkeypatch.setattr(module, "now_ms", lambda _db: NOW_MS)


def fields_of(plan: RedisPlan) -> dict[Any, Any]:
    """Return the fields that a plan's first HSET sets."""
    words = next(write[2:] for write in plan.writes if write[0] == "HSET")
    return dict(zip(words[::2], words[1::2], strict=True))


def test_a_content_is_planned_whole() -> None:
    """Every field is written, the old hash goes first, and key and answer end at the same time."""
    request = CacheContentRequest(
        content_id=7, title="Ilha", kind="DOCUMENTARY", genres=["curta"], attributes={"b": "2", "a": "1"}, ttl_seconds=5
    )
    (plan,) = cache_content.redis([deliver(request)], None)  # type: ignore[arg-type] # it asks nothing
    assert [write[0] for write in plan.writes] == ["DEL", "HSET", "PEXPIREAT", "ZADD", "TRIMINDEX"]
    fields = fields_of(plan)
    assert fields.pop("hash_conteudo") == content_hash("conteudo:7", fields)
    assert fields == {
        "titulo": "Ilha",
        "tipo": "documentário",
        "duracao_segundos": "0",
        "generos": '["curta"]',
        "atributos": '{"a": "1", "b": "2"}',
        "cacheado_em": str(NOW_MS),
        "expira_em": str(NOW_MS + 5000),
    }
    assert plan.writes[2] == ("PEXPIREAT", "conteudo:7", NOW_MS + 5000)
    assert plan.requires == ""
    assert isinstance(plan.outcome.result, Content)
    assert plan.outcome.result.expire_time.ToMilliseconds() == NOW_MS + 5000


def test_texts_stay_readable() -> None:
    """Lists and maps are JSON that a person can read in the store."""
    request = CacheContentRequest(content_id=7, title="x", kind="MOVIE", genres=["ficção científica"])
    (plan,) = cache_content.redis([deliver(request)], None)  # type: ignore[arg-type] # it asks nothing
    assert fields_of(plan)["generos"] == '["ficção científica"]'
    assert json.loads(fields_of(plan)["atributos"]) == {}


def test_a_content_without_an_end_has_none() -> None:
    """What the fixtures put is kept: no expiry, and no field that tells of one."""
    writes = cache_content.content_writes(Content(content_id=7, title="x", kind="MOVIE"))
    assert [write[0] for write in writes] == ["DEL", "HSET", "ZADD"]
    assert "expira_em" not in fields_of(RedisPlan(outcome=None, writes=writes))  # type: ignore[arg-type] # not looked at


def test_a_deletion_requires_the_content() -> None:
    """Both ends are prepared: what is answered where the key is there, and where it is not."""
    (plan,) = delete_content.redis([deliver(DeleteContentRequest(content_id=7))], None)  # type: ignore[arg-type] # it asks nothing
    assert plan.requires == "conteudo:7"
    assert plan.refusal is not None
    assert plan.refusal.refusal is not None
    assert plan.refusal.refusal.reason.name == "CONTENT_NOT_FOUND"


def test_a_session_lasts_a_day_unless_told_otherwise() -> None:
    """Zero seconds stand for the default."""
    batch = [deliver(CreateSessionRequest(user_id=1, device="TV", ttl_seconds=ttl)) for ttl in (0, 60)]
    plans = create_session.redis(batch, None)  # type: ignore[arg-type] # it asks nothing
    sessions = [plan.outcome.result for plan in plans]
    assert all(isinstance(session, Session) for session in sessions)
    lifetimes = [s.expire_time.ToMilliseconds() - NOW_MS for s in sessions if isinstance(s, Session)]
    assert lifetimes == [86_400_000, 60_000]
    assert [s.session_id for s in sessions if isinstance(s, Session)] == [d.correlation_id for d in batch]


def test_an_erasure_reads_the_users_sessions_in_the_same_step() -> None:
    """A session that is created just before is found too: the script itself reads the set."""
    (plan,) = delete_user.redis([deliver(DeleteUserRequest(user_id=5))], None)  # type: ignore[arg-type] # it asks nothing
    assert plan.writes == (("DELINDEXED", "sessoes:5", "sessao:"),)
