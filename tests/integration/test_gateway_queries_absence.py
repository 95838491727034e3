"""Queries while a store is dead, hangs, or was never there."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import pytest
import uvloop
from polystream.v1.contents_pb2 import ListContentsRequest
from polystream.v1.users_pb2 import ListUsersRequest
from polystream.v1.views_pb2 import ListViewsRequest

from cli.verify.fault_proxy import FaultProxy
from gateway.queries.contents import ContentQueries
from gateway.queries.stores import Stores
from gateway.queries.users import UserQueries
from gateway.queries.views import ViewQueries
from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from processor.migrations.runner import load_migrations, migrate
from tests.support.closing import close_stores
from tests.support.engine_pool import Lease
from tests.support.freezing import frozen
from tests.support.platform import EngineSet
from tests.support.ports import free_port_run
from tests.support.waiting import eventually

_LOOK_S: Final = 0.02
_END_MAX_S: Final = 5.0


@pytest.fixture(scope="module")
def running(lease: Lease) -> EngineSet:
    """Run the three stores, the tables made by the migrations."""
    started = lease("postgresql", "mongodb", "redis")
    migrate(started.endpoints["postgresql"], load_migrations())
    return started


@pytest.fixture
async def stores(running: EngineSet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stores]:
    """Open what the queries read."""
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)
    opened = Stores(PostgresSettings(), MongoSettings(), RedisSettings())
    yield opened
    await close_stores(opened)


async def reason_of(answer: Any) -> Reason:
    """Return why a query is refused."""
    with pytest.raises(PolystreamError) as caught:
        await answer
    return caught.value.reason


QUERIES: dict[str, Callable[[Stores], Any]] = {
    "postgresql": lambda stores: UserQueries(stores).list_users(ListUsersRequest(), None),
    "mongodb": lambda stores: ViewQueries(stores).list_views(ListViewsRequest(user_id=7), None),
    "redis": lambda stores: ContentQueries(stores).list_contents(ListContentsRequest(), None),
}


@pytest.mark.parametrize("store", QUERIES)
async def test_a_dead_store_fails_its_own_queries_alone(store: str, stores: Stores, running: EngineSet) -> None:
    """Its queries say so within seconds and name it; the others' go on; all is well when it is back."""
    for query in QUERIES.values():
        await query(stores)
    running.kill(store)
    try:
        for name, query in QUERIES.items():
            began_s = time.monotonic()
            if name != store:
                await query(stores)
                continue
            with pytest.raises(PolystreamError) as caught:
                await query(stores)
            assert caught.value.reason is Reason.STORE_UNAVAILABLE
            assert caught.value.metadata["store"] == store.upper()
            assert caught.value.metadata["error"]
            assert time.monotonic() - began_s < 3
    finally:
        running.start(store)
    await QUERIES[store](stores)


@pytest.mark.parametrize("store", QUERIES)
async def test_a_store_that_hangs_is_not_waited_for(store: str, stores: Stores, running: EngineSet) -> None:
    """A server that is stopped in its tracks accepts connections and never answers: the query ends all the same."""
    await QUERIES[store](stores)
    with frozen(running.pid(store)):
        began_s = time.monotonic()
        assert await reason_of(QUERIES[store](stores)) is Reason.STORE_UNAVAILABLE
        assert time.monotonic() - began_s < 3
    await QUERIES[store](stores)


async def test_stores_that_were_never_there_do_not_hinder_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing connects before it is asked, and closing takes no time."""
    monkeypatch.setenv("POSTGRES_PORT", "1")
    monkeypatch.setenv("MONGODB_URL", "mongodb://127.0.0.1:1/streaming_db")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    absent = Stores(PostgresSettings(), MongoSettings(), RedisSettings())
    for query in QUERIES.values():
        assert await reason_of(query(absent)) is Reason.STORE_UNAVAILABLE
    began_s = time.monotonic()
    await close_stores(absent)
    assert time.monotonic() - began_s < 3


def test_a_connection_to_redis_that_was_reset_fails_nobody(running: EngineSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even the first who uses it again: what was not sent is sent by another one. On the gateway's own loop."""
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)
    url = RedisSettings().url
    port = int(url.rpartition(":")[2].partition("/")[0])

    async def ask_after_resets(proxy: FaultProxy) -> list[bool]:
        stores = Stores(
            PostgresSettings(), MongoSettings(), RedisSettings(url=url.replace(f":{port}", f":{proxy.port}"))
        )
        answers = []
        for _ in range(5):
            answers.append(bool(await stores.redis_client.ping()))
            assert proxy.connections > 0
            await asyncio.to_thread(proxy.cut)
            await asyncio.to_thread(eventually, lambda: proxy.connections == 0, _END_MAX_S)
            await asyncio.sleep(_LOOK_S)  # the reset has come to this end, too
        await close_stores(stores)
        return answers

    with FaultProxy(free_port_run(1), port) as proxy:
        assert uvloop.run(ask_after_resets(proxy)) == [True] * 5
