"""Any cache that takes no writes: the lane waits with the cause, and applies each command once when it is over."""

from collections.abc import Iterator
from typing import Final

import pytest
import redis
from polystream.v1.contents_pb2 import CacheContentRequest, Content

from mesh.errors import PolystreamError, Reason
from mesh.settings import PostgresSettings
from processor.handlers import find_handlers
from processor.model import Delivery
from processor.stores.redis import RedisStore, connect
from tests.support.lanes import CATALOG, delivery
from tests.support.store_engines import StoreServer
from tests.support.stores import MARKERS, TOPIC_ID, apply, ending

_NO_POSTGRES: Final = PostgresSettings(port=1)  # known users need none

# By the word of the answer: the commands that bring it about, and those that end it.
_REFUSALS: Final[dict[str, tuple[str, str]]] = {
    "OOM": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "READONLY": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "NOREPLICAS": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
    "NOPERM": ("ACL SETUSER default -@write", "ACL SETUSER default +@all"),
    "NOAUTH": ("ACL SETUSER default resetpass >secret", "ACL SETUSER default nopass"),
}


@pytest.fixture
def admin(own_cache: StoreServer) -> Iterator[redis.Redis]:
    """Whoever changes the server below the lane."""
    with connect(own_cache.redis) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(own_cache: StoreServer) -> Iterator[RedisStore]:
    """The lane's store."""
    opened = RedisStore(own_cache.redis, _NO_POSTGRES, find_handlers(CATALOG, "REDIS"), lambda: TOPIC_ID, MARKERS)
    yield opened
    opened.close()


def _cache(content_id: int) -> Delivery:
    return delivery(CacheContentRequest(content_id=content_id, title="Ação", kind=Content.Kind.MOVIE))


@pytest.mark.parametrize("word", _REFUSALS)
def test_what_may_pass_is_waited_for(store: RedisStore, admin: redis.Redis, word: str) -> None:
    """By commands, and by the lane's sign of life: a server that only reads is no store."""
    refuse, allow = _REFUSALS[word]
    admin.execute_command(*refuse.split())  # type: ignore[no-untyped-call] # the client leaves it untyped
    if word == "NOAUTH":
        store.close()  # a session stays what it was
    batch = [_cache(1), _cache(2)]
    try:
        for ask in (lambda: store.apply(batch, frozenset()), store.ping):
            with pytest.raises(PolystreamError) as raised:
                ask()
            assert raised.value.reason is Reason.STORE_UNAVAILABLE
            assert raised.value.metadata["store"] == "REDIS"
            endings = {f"({word})"} if word != "NOPERM" else {f"({word})", "in script)", "can't run this)"}
            assert raised.value.metadata["error"].endswith(tuple(endings))
    finally:
        admin.execute_command(*allow.split())  # type: ignore[no-untyped-call] # likewise
    store.ping()
    assert [ending(receipt) for receipt in apply(store, *batch)] == ["ok", "ok"]


def test_somebody_elses_value_is_the_commands_own(store: RedisStore, admin: redis.Redis) -> None:
    """A key of another type is never waited for: the lane sets the command apart."""
    admin.set("conteudos", "text")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.apply([_cache(3)], frozenset())
    admin.delete("conteudos")
    assert ending(apply(store, _cache(3))[0]) == "ok"
