"""What the platform asks of any cache that speaks Redis's protocol: commands and its own scripts, through redis-py."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from uuid import uuid4

import pytest
import redis
import redis.asyncio
from polystream.v1.contents_pb2 import GetContentRequest, ListContentsRequest
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.sessions_pb2 import ListSessionsRequest
from redis import Redis
from redis.asyncio.connection import DefaultParser as AsyncDefaultParser
from redis.connection import DefaultParser

from gateway.operations.redis_store import Claim, ReceiptWriter, RedisOperationStore
from gateway.queries.contents import ContentQueries
from gateway.queries.sessions import SessionQueries
from gateway.queries.stores import Stores
from mesh.errors import PolystreamError
from mesh.settings import MongoSettings, PostgresSettings
from processor.stores.redis import connect
from tests.support.closing import close_stores
from tests.support.store_engines import StoreServer

_TIMEOUT_S: Final = 10.0


@pytest.fixture
def db(cache: StoreServer) -> Iterator[Redis]:
    """The lane's client, and nothing in the cache."""
    with connect(cache.redis) as client:
        client.flushdb()
        yield client


@pytest.fixture
async def stores(cache: StoreServer, db: Redis) -> AsyncIterator[Stores]:
    """What the gateway's queries read with."""
    del db
    opened = Stores(PostgresSettings(), MongoSettings(), cache.redis)
    yield opened
    await close_stores(opened)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class TestValues:
    """What is stored is what is read."""

    def test_values_are_bytes(self, db: Redis) -> None:
        """Any bytes in keys, fields and values, as long as they like; the client parses them in C."""
        everything = bytes(range(256)) * 4096
        db.set(b"k\0\xff", everything)
        db.hset("h", mapping={b"\r\n": b"", "ação": "🎬", "vazio": ""})
        assert db.get(b"k\0\xff") == everything
        assert db.mget(["none", b"k\0\xff"]) == [None, everything]
        assert db.hgetall("h") == {b"\r\n": b"", "ação".encode(): "🎬".encode(), b"vazio": b""}
        assert db.hmget("h", ["vazio", "none"]) == [b"", None]
        assert {parser.__name__ for parser in (DefaultParser, AsyncDefaultParser)} == {
            "_HiredisParser",
            "_AsyncHiredisParser",
        }

    def test_a_key_of_another_kind_is_a_fault_of_its_own(self, db: Redis) -> None:
        """It is told apart from a server that is down, and in a pipeline the other commands stand."""
        db.set("texto", "x")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            db.zadd("texto", {"a": 1})
        pipeline: Any = db.pipeline(transaction=True)  # typed as if each command were answered at once
        results = pipeline.set("a", 1).zadd("texto", {"a": 1}).set("b", 2).execute(raise_on_error=False)
        assert [type(result) for result in results] == [bool, redis.ResponseError, bool]
        assert db.mget(["a", "b"]) == [b"1", b"2"]

    def test_an_index_is_in_order_and_exact(self, db: Redis) -> None:
        """Scores up to 2^53, equal ones by the bytes of their names, from either end and between open bounds."""
        top = 2**53
        db.zadd("i", {"b": 5, "a": 5, "z": 1, "m": top - 1, "n": top - 2})
        db.zadd("i", {"a": 5})
        asked: dict[str, Any] = {"byscore": True, "withscores": True, "offset": 0}
        assert db.zrange("i", "(1", "+inf", num=3, **asked) == [(b"a", 5.0), (b"b", 5.0), (b"n", float(top - 2))]
        assert db.zrange("i", f"({top - 1}", "-inf", num=2, desc=True, **asked) == [(b"n", float(top - 2)), (b"b", 5.0)]
        assert db.zrange("i", "5", "5", num=9, desc=True, **asked) == [(b"b", 5.0), (b"a", 5.0)]

    def test_members_are_drawn_without_doubles(self, db: Redis) -> None:
        """As many as there are, at most."""
        db.zadd("i", {str(number): number for number in range(10)})
        drawn: Any = db.zrandmember("i", 3)
        assert len(set(drawn)) == 3
        drawn = db.zrandmember("i", 50)
        assert len(set(drawn)) == 10
        assert db.zrandmember("none", 3) == []


class TestExpiry:
    """What ends by itself."""

    def test_a_key_lives_until_its_time_and_no_longer(self, db: Redis) -> None:
        """To the hundredth of a second, for readers and for EXISTS in a script, whoever looks first."""
        ends_ms = _now_ms() + 300
        db.hset("h", mapping={"a": 1})
        db.pexpireat("h", ends_ms)
        exists = db.register_script("return redis.call('EXISTS', KEYS[1])")
        seen: list[tuple[int, bool, int]] = []
        while not seen or seen[-1][2] < ends_ms + 50:
            before_ms, there = _now_ms(), bool(db.hgetall("h")) and bool(exists(keys=["h"]))
            seen.append((before_ms, there, _now_ms()))
        assert all(there for _, there, after_ms in seen if after_ms < ends_ms - 10)
        assert not any(there for before_ms, there, _ in seen if before_ms > ends_ms + 10)

    def test_a_new_time_is_taken_where_it_is_later(self, db: Redis) -> None:
        """NX gives a time to what has none, GT prolongs only: together, a set lives as long as its longest member."""
        db.zadd("i", {"a": 1})
        ends_ms = _now_ms() + 60_000
        for offset_ms, expected_ms in ((0, 0), (-30_000, 0), (30_000, 30_000)):
            for condition in ("NX", "GT"):
                db.execute_command("PEXPIREAT", "i", ends_ms + offset_ms, condition)  # type: ignore[no-untyped-call]
            assert db.pexpiretime("i") == ends_ms + expected_ms
        db.zadd("i", {"b": 2})
        assert db.pexpiretime("i") == ends_ms + 30_000

    def test_what_is_made_anew_does_not_expire(self, db: Redis) -> None:
        """A time goes with its key; one in the past takes the key away at once."""
        db.hset("h", mapping={"a": 1})
        db.pexpireat("h", _now_ms() + 60_000)
        pipeline: Any = db.pipeline(transaction=True)
        pipeline.delete("h").hset("h", mapping={"b": 2}).execute()
        assert db.pttl("h") == -1
        db.pexpireat("h", _now_ms() - 1)
        assert not db.exists("h")


class TestScripts:
    """Scripts, as the lane and the gateway run them."""

    def test_a_script_that_is_not_known_stops_nothing_half_way(self, db: Redis) -> None:
        """In a transaction of several, each says so and none has run; loaded, all of them run."""
        db.script_flush()
        body = f"redis.call('INCR', KEYS[1]) -- {uuid4()}"
        sha = db.register_script(body).sha
        for _ in range(2):
            pipeline = db.pipeline(transaction=True)
            for _ in range(3):
                pipeline.evalsha(sha, 1, "n")
            results = pipeline.execute(raise_on_error=False)
            if db.get("n") is not None:
                break
            assert [type(result) for result in results] == [redis.exceptions.NoScriptError] * 3
            db.script_load(body)
        assert db.get("n") == b"3"

    def test_nobody_sees_a_script_half_done(self, db: Redis) -> None:
        """Another client finds all of its writes or none, and two scripts are one after the other."""
        swap = db.register_script(
            "for i = 1, 200 do redis.call('HINCRBY', KEYS[1], 'a', 1) end redis.call('HINCRBY', KEYS[1], 'b', 200)"
        )
        stop = threading.Event()

        def run() -> None:
            while not stop.is_set():
                swap(keys=["h"])

        with ThreadPoolExecutor(2) as pool:
            running = [pool.submit(run) for _ in range(2)]
            try:
                for _ in range(100):
                    a, b = db.hmget("h", ["a", "b"])
                    assert a == b
            finally:
                stop.set()
            for done in running:
                done.result(_TIMEOUT_S)

    def test_a_script_takes_many_words(self, db: Redis) -> None:
        """A content's hash in one command of the script's, and a megabyte in one argument."""
        script = db.register_script("redis.call(unpack(ARGV)) return redis.call('HLEN', ARGV[2])")
        fields = [word for number in range(500) for word in (f"f{number}", "x" * 100)]
        assert script(args=["HSET", "h", *fields]) == 500
        assert script(args=["HSET", "g", "f", "x" * 1_000_000]) == 1

    def test_a_script_that_fails_is_no_outage(self, db: Redis) -> None:
        """An error of a command in it comes with its own word."""
        db.set("texto", "x")
        with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
            db.register_script("return redis.call('HGETALL', KEYS[1])")(keys=["texto"])

    def test_watched_keys_stop_a_transaction(self, cache: StoreServer, db: Redis) -> None:
        """A key that somebody else has written meanwhile: nothing of it is done."""
        with connect(cache.redis) as other, db.pipeline(transaction=True) as pipeline:
            pipeline.watch("k")  # type: ignore[no-untyped-call]
            other.set("k", "other")
            pipeline.multi()
            pipeline.set("k", "own")
            pipeline.set("l", "own")
            with pytest.raises(redis.WatchError):
                pipeline.execute()
        assert db.mget(["k", "l"]) == [b"other", None]


class TestMemory:
    """A full server."""

    def test_it_refuses_and_forgets_nothing(self, db: Redis) -> None:
        """Neither keys that last nor those that expire are given up; reads go on, and so do writes with room again."""
        pipeline = db.pipeline(transaction=True)
        for number in range(2000):
            pipeline.set(f"comando:{number}", "x" * 100, ex=1000 if number % 2 else None)
        pipeline.execute()
        assert db.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        write = db.register_script("#!lua\nredis.call('DEL', 'comando:0') return redis.call('SET', KEYS[1], 'x')")
        db.script_load(write.script)
        limit = db.config_get("maxmemory")["maxmemory"]
        assert limit is not None
        db.config_set("maxmemory", 1)
        try:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                db.set("more", "x")
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                write(keys=["more"])
            assert db.get("comando:1") == b"x" * 100
        finally:
            db.config_set("maxmemory", limit)
        assert db.dbsize() == 2000
        assert write(keys=["more"]) == b"OK"


class TestGateway:
    """The gateway's own uses, with its own clients and scripts."""

    async def test_hits_and_misses_are_counted_exactly(self, db: Redis, stores: Stores) -> None:
        """By readers at the same time, in the step that reads."""
        db.hset("conteudo:1", mapping={"titulo": "Ação", "tipo": "filme"})
        queries = ContentQueries(stores)

        async def read(content_id: int) -> str:
            try:
                return (await queries.get_content(GetContentRequest(content_id=content_id), None)).title
            except PolystreamError as error:
                return error.reason.name

        answers = await asyncio.gather(*(read(1 + number % 2) for number in range(200)))
        assert answers == ["Ação", "CONTENT_NOT_FOUND"] * 100
        assert db.mget(["app:stats:cache_hits", "app:stats:cache_misses"]) == [b"100", b"100"]

    async def test_lists_leave_out_what_has_expired(self, db: Redis, stores: Stores) -> None:
        """And take it out of the index, page by page."""
        for number in range(1, 31):
            db.hset(f"conteudo:{number}", mapping={"titulo": str(number)})
            db.zadd("conteudos", {str(number): number})
            db.hset(f"sessao:{number:02}", mapping={"user_id": 7, "criada_em": number // 3, "expira_em": 1})
            db.zadd("sessoes:7", {f"{number:02}": number // 3})
        for number in range(1, 31, 3):
            db.delete(f"conteudo:{number}", f"sessao:{number:02}")
        left = [number for number in range(1, 31) if number % 3 != 1]

        contents, token = [], None
        while token != "":
            page = await ContentQueries(stores).list_contents(
                ListContentsRequest(page_size=7, page_token=token or ""), None
            )
            contents += [content.content_id for content in page.contents]
            token = page.next_page_token
        sessions, token = [], None
        while token != "":
            found = await SessionQueries(stores).list_sessions(
                ListSessionsRequest(user_id=7, page_size=7, page_token=token or ""), None
            )
            sessions += [int(session.session_id) for session in found.sessions]
            token = found.next_page_token
        assert contents == left
        assert sessions == left[::-1]
        assert db.zcard("conteudos") == db.zcard("sessoes:7") == len(left)

    async def test_one_request_id_is_one_requests(self, db: Redis, stores: Stores) -> None:
        """Of many that come at once, one is new, and all others learn whose it is; it expires."""
        store = RedisOperationStore(stores.redis_client, 60, 1 << 30)
        claims = await asyncio.gather(*(store.claim("id", b"one", insists=True) for _ in range(30)))
        assert sorted(claim.value for claim in claims) == ["new"] + ["same"] * 29
        assert await store.claim("id", b"two") is Claim.OTHER
        assert 86_400 < db.ttl("request:id") <= 86_460, "a day longer than the marks"

    async def test_a_request_id_that_may_be_forgotten_is_not_taken(self, db: Redis, stores: Stores) -> None:
        """Not after Redis was emptied, nor after one gave way, for as long as there may be marks; then it is new."""
        store = RedisOperationStore(stores.redis_client, 60, 1 << 30)
        assert [await store.claim("a", b"one") for _ in range(2)] == [Claim.UNCERTAIN] * 2
        assert not db.exists("request:a")
        assert await store.claim("a", b"one", insists=True) is Claim.NEW
        assert await store.claim("a", b"two", insists=True) is Claim.OTHER
        now_ms = int(time.time() * 1000)
        marks_ms = (86_400 + 60) * 1000
        for since_ms, gone_ms, claim in (
            (now_ms - marks_ms + 10_000, 0, Claim.UNCERTAIN),
            (now_ms - marks_ms, 0, Claim.NEW),
            (0, now_ms - marks_ms + 10_000, Claim.UNCERTAIN),
            (0, now_ms - marks_ms, Claim.NEW),
            ("x", 0, Claim.UNCERTAIN),
        ):
            db.mset({"requests:since": since_ms, "requests:gone": gone_ms})
            assert await store.claim("b", b"one") is claim, (since_ms, gone_ms)
            db.delete("request:b")

    async def test_after_an_update_no_store_is_asked(self, db: Redis, stores: Stores) -> None:
        """What an earlier version has left in the stores tells of no request."""
        db.rpush("requests:by_age", "300 0 a")
        store = RedisOperationStore(stores.redis_client, 60, 1 << 30)
        assert await store.claim("b", b"one") is Claim.NEW

    async def test_a_platform_that_is_new_has_forgotten_no_request_id(self, db: Redis, stores: Stores) -> None:
        """Once somebody has said so, of what Redis has noted; a Redis that was emptied meanwhile is not told."""
        store = RedisOperationStore(stores.redis_client, 60, 1 << 30)
        await store.all_are_here()
        assert await store.claim("a", b"one") is Claim.UNCERTAIN
        await store.all_are_here()
        assert await store.claim("a", b"one") is Claim.NEW
        db.flushdb()
        await store.all_are_here()
        assert await store.claim("a", b"one") is Claim.UNCERTAIN

    async def test_a_shortened_fingerprint_is_of_the_same_request(self, db: Redis, stores: Stores) -> None:
        """A mark has 16 bytes of it, and the gateway that asks all of it."""
        store = RedisOperationStore(stores.redis_client, 60, 1 << 30)
        whole = bytes(range(32))
        assert await store.claim("a", whole[:16], insists=True) is Claim.NEW
        assert await store.claim("a", whole) is Claim.SAME
        assert await store.claim("a", whole[::-1]) is Claim.OTHER
        assert db.get("request:a") == whole[:16]

    async def test_a_receipt_is_kept_once(self, cache: StoreServer, db: Redis, stores: Stores) -> None:
        """Whoever comes first: a field a store, written by any number of gateways, in batches of hundreds."""
        receipts = [
            CommandReceipt(correlation_id=str(number), store=store, command="X", user_id=number)
            for number in range(300)
            for store in ("POSTGRESQL", "MONGODB")
        ]
        writers = [ReceiptWriter(cache.redis, 60, 1 << 30) for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda writer: writer.save(receipts), writers))
        late = CommandReceipt(correlation_id="5", store="MONGODB", command="late")
        writers[0].save([late])
        db.script_flush()
        writers[0].save([late])
        found = await RedisOperationStore(stores.redis_client, 60, 1 << 30).receipts("5")
        assert sorted(found, key=lambda receipt: receipt.store) == sorted(
            (receipt for receipt in receipts if receipt.correlation_id == "5"), key=lambda receipt: receipt.store
        )
        assert all(0 < db.ttl(f"operation:{number}") <= 60 for number in range(0, 300, 50))
        for writer in writers:
            writer.close()
