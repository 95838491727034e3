"""The Redis lane's store on a real server: keys, times to live, answers, and each effect once."""

import json
import time
from collections.abc import Iterator
from typing import Any, TypeVar

import pytest
import redis
from google.protobuf.message import Message
from polystream.v1.contents_pb2 import CacheContentRequest, Content, DeleteContentRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest, DeleteSessionRequest, Session, UpdateSessionRequest
from polystream.v1.users_pb2 import DeleteUserRequest, User

from mesh.errors import PolystreamError, Reason
from processor.model import Delivery
from processor.parking import Known
from processor.stores.redis import RedisStore, RedisUserMemory
from processor.stores.redis_hashes import content_hash
from tests.support.engine_pool import Lease
from tests.support.lanes import delivery as deliver
from tests.support.platform import EngineSet
from tests.support.stores import MARKER_TTL_S, apply, ending, redis_store, substance
from tests.support.waiting import eventually

ANA, BIA = 1, 2
DAY_S = 86_400
M = TypeVar("M", bound=Message)
ABSENT_SESSION = "01920000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the server. There is no PostgreSQL: known users need none."""
    return lease("redis")


@pytest.fixture
def db(running: EngineSet) -> Iterator[redis.Redis]:
    """Return a client of the emptied server, in which two users are known."""
    with redis.Redis.from_url(running.endpoints["redis"], decode_responses=True) as client:
        client.flushdb()
        RedisUserMemory(client).remember([ANA, BIA])
        yield client


@pytest.fixture
def store(running: EngineSet, db: redis.Redis) -> Iterator[RedisStore]:
    """Return the store."""
    assert db.hlen("usuarios:conhecidos") == 2
    opened = redis_store(running)
    yield opened
    opened.close()


def cache(content_id: int = 10, **fields: Any) -> Delivery:
    """Return a CacheContent."""
    given: dict[str, Any] = {"title": f"Título {content_id}", "kind": Content.Kind.SERIES} | fields
    return deliver(CacheContentRequest(content_id=content_id, **given))


def sign_in(user_id: int = ANA, ttl_seconds: int = 0) -> Delivery:
    """Return a CreateSession."""
    return deliver(CreateSessionRequest(user_id=user_id, device=Session.Device.MOBILE, ttl_seconds=ttl_seconds))


def prolong(session_id: str, ttl_seconds: int = 60) -> Delivery:
    """Return an UpdateSession."""
    return deliver(UpdateSessionRequest(session_id=session_id, ttl_seconds=ttl_seconds))


def sign_out(session_id: str) -> Delivery:
    """Return a DeleteSession."""
    return deliver(DeleteSessionRequest(session_id=session_id))


def result(receipt: Any, message_class: type[M]) -> M:
    """Return a receipt's result."""
    assert ending(receipt) == "ok"
    return message_class.FromString(receipt.result.value)


def everything(db: redis.Redis) -> dict[str, Any]:
    """Return all keys but the markers, with what they hold and when they expire."""
    found: dict[str, Any] = {}
    for key in sorted(db.scan_iter()):
        if not key.startswith(("comando:", "comandos:")):
            value = db.hgetall(key) if db.type(key) == "hash" else db.zrange(key, 0, -1, withscores=True)
            found[key] = (value, db.pexpiretime(key))
    return found


def test_a_content_is_a_hash_that_expires(store: RedisStore, db: redis.Redis) -> None:
    """Names as of old, lists and maps as JSON, the end in the hash and as the key's own; in the index by its ID."""
    before_ms = time.time_ns() // 1_000_000
    delivery = cache(duration_seconds=90, genres=["ação", "drama"], attributes={"ano": "1998"}, ttl_seconds=60)
    (receipt,) = apply(store, delivery)
    fields = db.hgetall("conteudo:10")
    cache_ms = int(fields.pop("cacheado_em"))
    expire_ms = int(fields.pop("expira_em"))
    assert before_ms <= cache_ms <= time.time_ns() // 1_000_000
    assert expire_ms == cache_ms + 60_000 == db.pexpiretime("conteudo:10")
    assert json.loads(fields.pop("generos")) == ["ação", "drama"]
    assert json.loads(fields.pop("atributos")) == {"ano": "1998"}
    assert len(fields.pop("hash_conteudo")) == 16
    assert fields == {"titulo": "Título 10", "tipo": "série", "duracao_segundos": "90"}
    assert db.zrange("conteudos", 0, -1, withscores=True) == [("10", 10.0)]
    content = result(receipt, Content)
    assert (content.content_id, content.title, list(content.genres)) == (10, "Título 10", ["ação", "drama"])
    assert content.cache_time.ToMilliseconds() == cache_ms
    assert content.expire_time.ToMilliseconds() == expire_ms
    assert 0 < db.ttl(f"comando:{delivery.correlation_id}") <= MARKER_TTL_S


def test_a_content_is_cached_for_a_day_and_in_place_of_the_old_one(store: RedisStore, db: redis.Redis) -> None:
    """Nothing of what was there before is left, and of two in a batch the later one stays."""
    db.hset("conteudo:10", mapping={"titulo": "velho", "nota": "de outrora"})
    apply(store, cache(title="primeiro"), cache(title="segundo"))
    fields = db.hgetall("conteudo:10")
    assert fields["titulo"] == "segundo"
    assert "nota" not in fields
    assert DAY_S - 60 < db.ttl("conteudo:10") <= DAY_S


def test_a_content_is_deleted_while_it_is_cached(store: RedisStore, db: redis.Redis) -> None:
    """It goes out of the index too; a second time, or where there is none, it is refused with the field."""
    apply(store, cache(10), cache(11))
    batch = [
        deliver(DeleteContentRequest(content_id=10)),
        deliver(DeleteContentRequest(content_id=10)),
        deliver(DeleteContentRequest(content_id=12)),
    ]
    receipts = apply(store, *batch)
    assert [ending(receipt) for receipt in receipts] == ["ok", "CONTENT_NOT_FOUND", "CONTENT_NOT_FOUND"]
    assert receipts[1].error.field == "content_id"
    assert result(receipts[0], Content) == Content(content_id=10)
    assert db.keys("conteudo:*") == ["conteudo:11"]
    assert db.zrange("conteudos", 0, -1) == ["11"]


def test_the_index_is_trimmed_by_writers(store: RedisStore, db: redis.Redis) -> None:
    """Contents that have expired leave the index when others are cached."""
    db.zadd("conteudos", {str(number): number for number in range(100, 120)})

    def only_the_cached_are_left() -> bool:
        apply(store, *(cache(number) for number in range(5)))
        return db.zrange("conteudos", 0, -1) == ["0", "1", "2", "3", "4"]

    assert eventually(only_the_cached_are_left, 20, interval_s=0)


def test_a_session_is_a_hash_that_expires(store: RedisStore, db: redis.Redis) -> None:
    """Its ID is the correlation ID, and the user's set has it by its creation and lives as long as it."""
    delivery = sign_in(ttl_seconds=60)
    (receipt,) = apply(store, delivery)
    id_ = delivery.correlation_id
    fields = db.hgetall(f"sessao:{id_}")
    create_ms, expire_ms = int(fields["criada_em"]), int(fields["expira_em"])
    assert fields.pop("hash_conteudo") == content_hash(f"sessao:{id_}", {str(name): fields[name] for name in fields})
    assert fields == {
        "user_id": "1",
        "dispositivo": "celular",
        "criada_em": str(create_ms),
        "expira_em": str(create_ms + 60_000),
    }
    assert db.pexpiretime(f"sessao:{id_}") == expire_ms == db.pexpiretime("sessoes:1")
    assert db.zrange("sessoes:1", 0, -1, withscores=True) == [(id_, float(create_ms))]
    session = result(receipt, Session)
    assert (session.session_id, session.user_id, session.device) == (id_, ANA, Session.Device.MOBILE)
    assert session.create_time.ToMilliseconds() == create_ms
    assert session.expire_time.ToMilliseconds() == expire_ms


def test_a_users_set_lives_as_long_as_the_last_session(store: RedisStore, db: redis.Redis) -> None:
    """A shorter session does not shorten it, a longer one prolongs it; a session lasts a day unless told otherwise."""
    long, short, default = sign_in(ttl_seconds=5 * DAY_S), sign_in(ttl_seconds=60), sign_in()
    apply(store, short, long, default)
    assert db.pexpiretime("sessoes:1") == db.pexpiretime(f"sessao:{long.correlation_id}")
    assert DAY_S - 60 < db.ttl(f"sessao:{default.correlation_id}") <= DAY_S
    assert db.zcard("sessoes:1") == 3


def test_sessions_that_ended_leave_the_users_set(store: RedisStore, db: redis.Redis) -> None:
    """The next session of the user takes them out."""
    db.zadd("sessoes:1", {f"ended-{number}": number for number in range(2)})
    delivery = sign_in()
    apply(store, delivery)
    assert db.zrange("sessoes:1", 0, -1) == [delivery.correlation_id]


def test_a_session_is_prolonged_from_now_on(store: RedisStore, db: redis.Redis) -> None:
    """Hash, key and set have the new end, which may also be sooner; the rest stays."""
    delivery = sign_in(ttl_seconds=60)
    apply(store, delivery)
    id_ = delivery.correlation_id
    before = db.hgetall(f"sessao:{id_}")
    sooner, later = apply(store, prolong(id_, 30), prolong(id_.upper(), 3 * DAY_S))
    session = result(later, Session)
    assert result(sooner, Session).expire_time.ToMilliseconds() < int(before["expira_em"])
    after = db.hgetall(f"sessao:{id_}")
    assert after == before | {"expira_em": str(session.expire_time.ToMilliseconds())}
    assert db.pexpiretime(f"sessao:{id_}") == int(after["expira_em"]) == db.pexpiretime("sessoes:1")
    assert (session.user_id, session.device) == (ANA, Session.Device.MOBILE)


def test_a_session_ends_once(store: RedisStore, db: redis.Redis) -> None:
    """In one batch: ended, then neither prolonged nor ended again; one that never was is refused too."""
    delivery = sign_in()
    apply(store, delivery)
    id_ = delivery.correlation_id
    receipts = apply(store, prolong(id_), sign_out(id_), prolong(id_), sign_out(id_), sign_out(ABSENT_SESSION))
    assert [ending(r) for r in receipts] == ["ok", "ok", *["SESSION_NOT_FOUND"] * 3]
    assert receipts[2].error.field == "session_id"
    assert result(receipts[1], Session) == Session(session_id=id_, user_id=ANA)
    assert db.keys("sess*") == []


def test_a_session_that_ends_meanwhile_is_not_brought_back(store: RedisStore, db: redis.Redis) -> None:
    """Between the read and the write the session goes: the precondition sees it."""
    delivery = sign_in()
    apply(store, delivery)
    update = store._handlers["UpdateSession"]

    def late(batch: Any, client: Any) -> Any:
        plans = update(batch, client)
        db.delete(f"sessao:{delivery.correlation_id}")
        return plans

    store._handlers = {**store._handlers, "UpdateSession": late}
    late.__module__ = update.__module__
    (receipt,) = apply(store, prolong(delivery.correlation_id))
    assert ending(receipt) == "SESSION_NOT_FOUND"
    assert not db.exists(f"sessao:{delivery.correlation_id}")


def test_a_person_is_erased(store: RedisStore, db: redis.Redis) -> None:
    """All sessions of the user end, others' go on, and a tombstone remembers where it was."""
    apply(store, sign_in(), sign_in(), stays := sign_in(BIA))
    deletion = deliver(DeleteUserRequest(user_id=ANA), partition=3, offset=70)
    batch = [sign_in(), deletion, sign_in()]
    receipts = store.apply(batch, frozenset())
    assert [ending(receipt) for receipt in receipts] == ["ok", "ok", "waits"]
    assert result(receipts[1], User) == User(user_id=ANA)
    assert db.keys("sessao:*") == [f"sessao:{stays.correlation_id}"]
    assert not db.exists("sessoes:1")
    tombstone = db.hget("usuarios:conhecidos", "1")
    assert json.loads(tombstone or "") == {"topic_id": "topic-1", "partition": 3, "offset": 70}
    assert db.hget("usuarios:conhecidos", "2") == ""


def test_a_repeated_batch_is_answered_as_before(store: RedisStore, db: redis.Redis) -> None:
    """Every receipt is the first one, marked as a duplicate, and nothing is written again: neither is any expiry."""
    old = sign_in()
    apply(store, old, cache(1))
    batch = [
        *(cache(10), cache(11), deliver(DeleteContentRequest(content_id=11))),
        *(deliver(DeleteContentRequest(content_id=12)), sign_in(), sign_in(BIA)),
        *(prolong(old.correlation_id), sign_out(old.correlation_id), prolong(old.correlation_id)),
        deliver(DeleteUserRequest(user_id=BIA)),
    ]
    first = apply(store, *batch)
    before = everything(db)
    again = apply(store, *batch)
    assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
    assert [r.complete_time for r in again] == [r.complete_time for r in first]
    assert all(receipt.duplicate for receipt in again)
    assert not any(receipt.duplicate for receipt in first)
    assert everything(db) == before


def test_a_command_that_another_lane_has_just_applied(running: EngineSet, store: RedisStore, db: redis.Redis) -> None:
    """The script itself finds the marker, when it was not there yet as the batch began."""
    other = redis_store(running)
    delivery = sign_in()
    (first,) = apply(other, delivery)
    before = everything(db)
    nothing = Known({}, {}, {}, 0)
    store.read_known = lambda *_: nothing  # type: ignore[method-assign] # read too early
    (again,) = apply(store, delivery)
    other.close()
    assert substance(again) == substance(first)
    assert again.duplicate
    assert everything(db) == before


def test_a_script_that_the_server_forgot_is_loaded_again(store: RedisStore, db: redis.Redis) -> None:
    """After SCRIPT FLUSH a batch goes on, each command applied once and in order."""
    apply(store, cache(1))
    db.script_flush()
    receipts = apply(store, cache(2, title="primeiro"), cache(2, title="segundo"))
    assert not any(receipt.duplicate for receipt in receipts)
    assert db.hget("conteudo:2", "titulo") == "segundo"


def test_a_fault_of_a_command_is_no_fault_of_the_server(store: RedisStore, db: redis.Redis) -> None:
    """A key of another type raises what it raises, for the lane to set the command apart; others of the batch stand."""
    db.set("sessoes:1", "no set")
    good = cache(5)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        apply(store, sign_in(), good)
    assert apply(store, good)[0].duplicate
    assert db.keys("sessao:*") == []
    db.set("conteudos", "no set")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        apply(store, cache(6))
    assert not db.exists("conteudo:6")
    db.delete("conteudos", "sessoes:1")


def test_a_server_that_is_down_is_unavailable(running: EngineSet) -> None:
    """Applying and asking for a sign of life say so, and both work when the server is back, with its keys."""
    opened = redis_store(running)
    opened.ping()
    apply(opened, before := cache(1))
    running.kill("redis")
    for call in (opened.ping, lambda: apply(opened, cache(2))):
        with pytest.raises(PolystreamError) as raised:
            call()
        assert raised.value.reason is Reason.STORE_UNAVAILABLE
    running.start("redis")
    assert apply(opened, before)[0].duplicate
    assert ending(apply(opened, cache(2))[0]) == "ok"
    opened.close()


def test_a_server_without_memory_is_unavailable(store: RedisStore, db: redis.Redis) -> None:
    """Nothing of a command is written then, and it is applied when there is memory again."""
    delivery = cache(1)
    db.config_set("maxmemory", 1)
    try:
        with pytest.raises(PolystreamError) as raised:
            apply(store, delivery)
    finally:
        db.config_set("maxmemory", 0)
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    assert not db.exists("conteudo:1", f"comando:{delivery.correlation_id}")
    assert ending(apply(store, delivery)[0]) == "ok"
