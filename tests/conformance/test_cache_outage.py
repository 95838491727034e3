"""Any cache killed, stopped and back, under the lane's adapter: every command once, every error its kind."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import redis
from polystream.v1.contents_pb2 import CacheContentRequest, Content, DeleteContentRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.sessions_pb2 import CreateSessionRequest, DeleteSessionRequest, Session, UpdateSessionRequest
from polystream.v1.users_pb2 import DeleteUserRequest

from gateway.operations.redis_store import ReceiptWriter
from gateway.queries.stores import Stores
from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, PostgresSettings
from processor.handlers import find_handlers
from processor.model import Delivery
from processor.stores.redis import RedisStore, RedisUserMemory, connect
from processor.stores.redis_markers import MarkerBounds
from tests.support.closing import close_stores
from tests.support.lanes import CATALOG, delivery
from tests.support.store_engines import CACHE, StoreServer
from tests.support.store_load import Load, apply_side_by_side, is_unavailable
from tests.support.stores import TOPIC_ID, apply, ending, substance
from tests.support.waiting import eventually

_TIMEOUT_S: Final = 30.0
_MARKER_TTL_S: Final = 3600
_SESSION_TTL_S: Final = 600
_USERS: Final = range(1, 21)
_NO_POSTGRES: Final = PostgresSettings(port=1)  # known users need none


@pytest.fixture
def db(own_cache: StoreServer) -> Iterator[redis.Redis]:
    """The lane's client; the cache knows some users and nothing else."""
    with connect(own_cache.redis) as client:
        client.flushall()
        RedisUserMemory(client).remember(list(_USERS))
        yield client


@pytest.fixture
def store(own_cache: StoreServer, db: redis.Redis) -> Iterator[RedisStore]:
    """The lane's store."""
    del db
    opened = _open(own_cache)
    yield opened
    opened.close()


def _open(server: StoreServer) -> RedisStore:
    return RedisStore(
        server.redis,
        _NO_POSTGRES,
        find_handlers(CATALOG, "REDIS"),
        lambda: TOPIC_ID,
        MarkerBounds(_MARKER_TTL_S, 1 << 30),
    )


def _sign_in(user_id: int = 1) -> Delivery:
    return delivery(CreateSessionRequest(user_id=user_id, device=Session.Device.WEB, ttl_seconds=_SESSION_TTL_S))


def _markers_and_effects(db: redis.Redis) -> tuple[set[bytes], set[bytes]]:
    """Return of which correlation IDs there are markers, and of which sessions: of either, the whole of it."""
    markers = {key.partition(b":")[2] for key in db.scan_iter("comando:*", 1000)}
    sessions = {key.partition(b":")[2] for key in db.scan_iter("sessao:*", 1000)}
    indexed = {member for key in db.scan_iter("sessoes:*", 1000) for member in db.zrange(key, 0, -1)}
    assert indexed == sessions
    assert all(len(db.hgetall(b"sessao:" + session)) == 5 for session in sessions)
    return markers, sessions


def test_what_was_acknowledged_is_on_the_disk(db: redis.Redis) -> None:
    """The configuration that an acknowledgement rests on, and that keeps markers from being given up for room."""
    wanted = {
        "appendonly": "yes",
        "appendfsync": "always",
        "no-appendfsync-on-rewrite": "no",
        "aof-load-truncated": "yes",
        "maxmemory-policy": "noeviction",
        "save": "",
    }
    assert db.config_get(*wanted) == wanted


def test_every_command_delivered_again_gets_its_first_answer(
    own_cache: StoreServer, store: RedisStore, db: redis.Redis
) -> None:
    """After a kill of the server too: the receipts are the same but for their mark, and keys and ends are as before."""
    old, other = _sign_in(), _sign_in(2)
    apply(store, old, other)
    batch = [
        delivery(CacheContentRequest(content_id=10, title="Ação", kind=Content.Kind.MOVIE, genres=["drama"])),
        delivery(CacheContentRequest(content_id=11, title="x", kind=Content.Kind.MOVIE)),
        delivery(DeleteContentRequest(content_id=11)),
        delivery(DeleteContentRequest(content_id=12)),
        delivery(UpdateSessionRequest(session_id=old.correlation_id, ttl_seconds=900)),
        delivery(DeleteSessionRequest(session_id=old.correlation_id)),
        delivery(UpdateSessionRequest(session_id=old.correlation_id, ttl_seconds=900)),
        delivery(DeleteUserRequest(user_id=2)),
    ]
    first = apply(store, *batch)
    assert [ending(r) for r in first] == [*["ok"] * 3, "CONTENT_NOT_FOUND", "ok", "ok", "SESSION_NOT_FOUND", "ok"]
    before = {key: (db.dump(key), db.pexpiretime(key)) for key in db.scan_iter()}
    own_cache.kill()
    own_cache.start()
    again = apply(store, *batch)
    assert [substance(receipt) for receipt in again] == [substance(receipt) for receipt in first]
    assert all(receipt.duplicate for receipt in again)
    assert {key: (db.dump(key), db.pexpiretime(key)) for key in db.scan_iter()} == before


def test_kills_under_load_lose_nothing_and_double_nothing(own_cache: StoreServer, db: redis.Redis) -> None:
    """Three lanes write while the server dies twice, once as it rewrites its file: what was answered stands.

    What was not answered is whole or not there: never an effect without its marker, nor a marker without its effect.
    """
    load = Load(lambda: _open(own_cache), lambda: [_sign_in(user_id) for user_id in _USERS])
    with load.running():
        for rewrites in (False, True):
            load.wait_answers(600)
            if rewrites:
                db.bgrewriteaof()
            own_cache.kill()
            own_cache.start()
            markers, sessions = _markers_and_effects_at_rest(db)
            assert markers == sessions
    markers, sessions = _markers_and_effects(db)
    assert markers == sessions
    assert {correlation_id.encode() for correlation_id in load.answered} <= markers
    assert all(0 < db.ttl(f"comando:{id_}") <= _MARKER_TTL_S for id_ in list(load.answered)[::50])
    assert all(0 < db.ttl(f"sessao:{id_}") <= _SESSION_TTL_S for id_ in list(load.answered)[::50])
    store = _open(own_cache)
    for batch in load.sent:
        for receipt in apply(store, *batch):
            assert receipt.duplicate == (receipt.correlation_id.encode() in markers)
            if receipt.correlation_id in load.answered:
                assert substance(receipt) == substance(load.answered[receipt.correlation_id])
    store.close()


def _markers_and_effects_at_rest(db: redis.Redis) -> tuple[set[bytes], set[bytes]]:
    """Look while nobody writes."""
    db.client_pause(2000, all=False)
    try:
        return _markers_and_effects(db)
    finally:
        db.client_unpause()


def test_a_file_that_breaks_off_is_read_up_to_there(own_cache: StoreServer, store: RedisStore, db: redis.Redis) -> None:
    """As after a loss of power: the server starts, and the last transaction is there whole or not at all."""
    for _ in range(3):
        batch = [_sign_in(user_id) for user_id in _USERS]
        apply(store, *batch)
        own_cache.stop()
        newest = max(_files_of(own_cache), key=lambda file: file.stat().st_mtime_ns)
        with newest.open("r+b") as file:
            file.truncate(newest.stat().st_size - 700)
        own_cache.start()
        markers, sessions = _markers_and_effects(db)
        assert markers == sessions
        again = eventually(lambda: apply(store, *batch), _TIMEOUT_S)  # noqa: B023 - called at once
        assert {receipt.duplicate for receipt in again} == {False}


def _files_of(server: StoreServer) -> list[Path]:
    return [path for path in server.engines.context.data_dir.rglob("*.aof") if path.is_file()]


def test_two_lanes_with_the_same_batch(own_cache: StoreServer, db: redis.Redis) -> None:
    """As when a partition moves: both answer the same, one of them as a duplicate, command by command."""
    stores = [_open(own_cache) for _ in range(2)]
    for _ in range(10):
        batch = [_sign_in(user_id) for user_id in _USERS]
        for first, second in zip(*apply_side_by_side(stores, [batch, batch]), strict=True):
            assert substance(first) == substance(second)
            assert {first.duplicate, second.duplicate} == {False, True}
    markers, sessions = _markers_and_effects(db)
    assert markers == sessions
    assert len(sessions) == 10 * len(_USERS)
    for store in stores:
        store.close()


def test_every_absence_is_told_as_one(own_cache: StoreServer, store: RedisStore, db: redis.Redis) -> None:
    """Stopped, killed, down: all of it is waited for, and the next attempt succeeds; one that was cut off connects."""
    writer = ReceiptWriter(own_cache.redis, 60, 1 << 30)
    receipt = CommandReceipt(correlation_id="1", store="REDIS")
    writer.save([receipt])
    store.ping()
    db.client_kill_filter(skipme=True, _type="normal")
    assert ending(apply(store, _sign_in())[0]) == "ok"
    writer.save([receipt])
    for end in (own_cache.stop, own_cache.kill):
        end()
        for _ in range(2):
            is_unavailable(store.ping)
            is_unavailable(lambda: apply(store, _sign_in()))
            is_unavailable(lambda: writer.save([receipt]))
        own_cache.start()
        assert ending(apply(store, _sign_in())[0]) == "ok"
        writer.save([receipt])
    writer.close()


@pytest.mark.parametrize("name", CACHE.own)
def test_a_server_that_is_loading_is_waited_for(name: str, tmp_path: Path) -> None:
    """It answers that it is loading: that is an absence for the lane, and not ready for the supervisor."""
    slow = ("--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024")
    server = StoreServer(CACHE, name, tmp_path, *slow)
    server.start()
    store = _open(server)
    try:
        with connect(server.redis) as client:
            RedisUserMemory(client).remember([1])
            pipeline = client.pipeline(transaction=True)
            for number in range(1500):
                pipeline.set(f"k{number}", "x" * 200)
            pipeline.execute()
            client.bgrewriteaof()
            eventually(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, _TIMEOUT_S)
            server.kill()
            server.engines._spawn(server.kind)
            seen: set[str] = set()

            def answers() -> bool:
                said_ready = _says_ready(server)
                try:
                    apply(store, _sign_in())
                except PolystreamError as error:
                    assert (error.reason, said_ready) == (Reason.STORE_UNAVAILABLE, False)  # noqa: PT017 - goes on
                    seen.add(error.metadata["error"])
                    return False
                return True

            eventually(answers, _TIMEOUT_S, interval_s=0.005)
            assert any("LOADING" in error for error in seen)
            server.engines._wait(server.kind)
            assert client.dbsize() >= 1500
    finally:
        store.close()
        server.stop()


def _says_ready(server: StoreServer) -> bool:
    """Ask as the supervisor does."""
    with suppress(OSError):
        return server.engines._engines[server.kind].is_ready(server.engines.context)
    return False


async def test_queries_get_over_a_kill(own_cache: StoreServer) -> None:
    """The first one after the server is back is answered, though the pool holds connections from before."""
    stores = Stores(PostgresSettings(), MongoSettings(), own_cache.redis)
    await stores.keys(lambda client: client.set("k", "v"))
    started_s = time.monotonic()
    own_cache.kill()
    with pytest.raises(PolystreamError) as raised:
        await stores.keys(lambda client: client.get("k"))
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    assert time.monotonic() - started_s < _TIMEOUT_S
    own_cache.start()
    assert await stores.keys(lambda client: client.get("k")) == b"v"
    await close_stores(stores)
