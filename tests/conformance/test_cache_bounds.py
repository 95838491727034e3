"""What the platform keeps in Redis for itself stays within the bytes that the settings give it, measured."""

import time
from collections.abc import Iterator
from typing import Final

import pytest
from polystream.v1.contents_pb2 import CacheContentRequest, Content
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.operations_pb2 import Operation
from redis import Redis

from gateway.operations.redis_store import Claim, ReceiptWriter, RedisOperationStore
from gateway.queries.stores import Stores
from mesh.ids import new_correlation_id
from mesh.settings import MongoSettings, PostgresSettings
from mesh.store_names.redis import MARKERS, MARKERS_BYTES, marker_key
from processor.handlers import find_handlers
from processor.integrity.inspectors import RedisInspector
from processor.stores import redis as lane_store
from processor.stores.redis import RedisStore, RedisUserMemory, connect
from processor.stores.redis_markers import MARKER_BYTES, MarkerBounds, put_marker
from processor.users import Erasure
from tests.support.closing import close_stores
from tests.support.lanes import CATALOG, delivery
from tests.support.store_engines import StoreServer
from tests.support.stores import TOPIC_ID, apply

_MIB: Final = 1024 * 1024
_TTL_S: Final = 86_400
_BATCH: Final = 500
_NO_POSTGRES: Final = PostgresSettings(host="127.0.0.1", port=1)


@pytest.fixture
def db(cache: StoreServer) -> Iterator[Redis]:
    """The lane's client, and nothing in the cache."""
    with connect(cache.redis) as client:
        client.flushdb()
        yield client
        client.flushdb()


def used_bytes(db: Redis) -> int:
    """Return how much memory the server uses."""
    return int(db.info("memory")["used_memory"])


def receipts(count: int, result_bytes: int = 80) -> list[CommandReceipt]:
    """Return receipts as a view's are, each of another operation."""
    made = []
    for _ in range(count):
        receipt = CommandReceipt(correlation_id=new_correlation_id(), command="RecordView", store="MONGODB", user_id=7)
        receipt.state = Operation.SUCCEEDED
        for moment in (receipt.accept_time, receipt.receive_time, receipt.complete_time):
            moment.GetCurrentTime()
        receipt.result.type_url = "type.googleapis.com/polystream.v1.View"
        receipt.result.value = b"v" * result_bytes
        made.append(receipt)
    return made


class TestBounds:
    """Each kind of keys has its own bound."""

    @pytest.mark.slow
    def test_two_hundred_thousand_operations_keep_within_their_bytes(self, cache: StoreServer, db: Redis) -> None:
        """The newest are there, the oldest gave way, and what the bound says is what the server uses."""
        before = used_bytes(db)
        writer = ReceiptWriter(cache.redis, _TTL_S, 16 * _MIB)
        first = receipts(_BATCH)
        writer.save(first)
        highest = 0
        batch = receipts(_BATCH)
        for number in range(200_000 // _BATCH - 2):
            for receipt in batch:
                receipt.correlation_id = new_correlation_id()
            writer.save(batch)
            highest = max(highest, used_bytes(db) - before) if number % 20 == 0 else highest
        last = receipts(_BATCH)
        writer.save(last)
        writer.close()
        assert highest < 1.15 * 16 * _MIB
        assert used_bytes(db) - before > 0.7 * 16 * _MIB
        assert not any(db.exists(f"operation:{receipt.correlation_id}") for receipt in first)
        assert all(db.exists(f"operation:{receipt.correlation_id}") for receipt in last)
        assert int(db.get("operations:bytes") or 0) <= 16 * _MIB

    def test_a_large_result_counts_for_what_it_is(self, cache: StoreServer, db: Redis) -> None:
        """Bytes are bounded, not keys."""
        before = used_bytes(db)
        writer = ReceiptWriter(cache.redis, _TTL_S, 4 * _MIB)
        for _ in range(40):
            writer.save(receipts(5, 100_000))
        writer.close()
        assert used_bytes(db) - before < 1.3 * 4 * _MIB

    def test_a_smaller_bound_is_reached_step_by_step(self, cache: StoreServer, db: Redis) -> None:
        """No call takes long, though the bound was changed: each takes away a few more than it brings."""
        unbounded = ReceiptWriter(cache.redis, _TTL_S, 1 << 40)
        for _ in range(6000 // 50):
            unbounded.save(receipts(50))
        unbounded.close()
        writer = ReceiptWriter(cache.redis, _TTL_S, _MIB // 2)
        writer.save(receipts(1))
        left = db.dbsize()
        assert left > 4000
        for _ in range(120):
            writer.save(receipts(1))
        assert db.dbsize() < 1500
        writer.close()

    async def test_request_ids_keep_within_their_bytes(self, cache: StoreServer, db: Redis) -> None:
        """The newest are known to be used, by the same request or another; the oldest are forgotten."""
        before = used_bytes(db)
        stores = Stores(PostgresSettings(), MongoSettings(), cache.redis)
        store = RedisOperationStore(stores.redis_client, _TTL_S, _MIB // 4)
        ids = [new_correlation_id() for _ in range(2000)]
        for id_ in ids:
            assert await store.claim(id_, b"f" * 32, insists=True) is Claim.NEW
        assert used_bytes(db) - before < 1.4 * _MIB // 4
        assert await store.claim(ids[-700], b"f" * 32) is Claim.SAME
        assert await store.claim(ids[-1], b"g" * 32) is Claim.OTHER
        assert not await store.is_claimed(ids[0])
        gone_ms = int(db.get("requests:gone") or 0)
        assert 0 <= time.time() * 1000 - gone_ms < 60_000, "when the newest that gave way was used"
        await close_stores(stores)

    def test_marks_keep_within_their_bytes_and_tell_since_when(self, cache: StoreServer, db: Redis) -> None:
        """What gave way is not called lost: the integrity check looks only at what came after it."""
        store = RedisStore(
            cache.redis, _NO_POSTGRES, find_handlers(CATALOG, "REDIS"), lambda: TOPIC_ID, MarkerBounds(_TTL_S, _MIB)
        )
        inspector = RedisInspector(cache.redis)
        request = CacheContentRequest(content_id=1, title="x" * 50, kind=Content.Kind.MOVIE)
        ids = []
        for number in range(6000 // _BATCH):
            batch = [delivery(request) for _ in range(_BATCH)]
            ids += [one.correlation_id for one in batch]
            store.apply(batch, set())
            if not number:
                assert inspector.remembers_since_ms() == 0
                before = used_bytes(db) - _BATCH * 600
        assert used_bytes(db) - before < 1.3 * _MIB
        known = inspector.applied(ids)
        assert {*ids[-_BATCH:]} <= known
        assert not known & {*ids[:_BATCH]}
        assert inspector.remembers_since_ms() > 1_700_000_000_000
        (repeated,) = apply(store, delivery(request, ids[-1]))
        assert repeated.duplicate
        inspector.close()
        store.close()

    def test_marks_that_are_put_back_are_the_newest(self, cache: StoreServer, db: Redis) -> None:
        """They count within the bytes, and what is older gives way first; one that is there stays as it is."""
        bounds = MarkerBounds(_TTL_S, 20 * (MARKER_BYTES + 100))
        old, *others = (CommandReceipt(correlation_id=new_correlation_id(), command="x" * 40) for _ in range(30))
        put_marker(db, old, bounds)
        put_marker(db, CommandReceipt(correlation_id=old.correlation_id), bounds)
        assert db.get(marker_key(old.correlation_id)) == old.SerializeToString()
        assert db.llen(MARKERS) == 1
        for receipt in others:
            put_marker(db, receipt, bounds)
        assert not db.exists(marker_key(old.correlation_id))
        assert db.get(marker_key(others[-1].correlation_id)) == others[-1].SerializeToString()
        assert 0 < db.ttl(marker_key(others[-1].correlation_id)) <= _TTL_S
        assert int(db.get(MARKERS_BYTES) or 0) <= bounds.max_bytes
        inspector = RedisInspector(cache.redis)
        assert inspector.remembers_since_ms() > 1_700_000_000_000
        inspector.close()

    def test_users_who_are_remembered_are_bounded(self, db: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
        """Some who exist are forgotten, and asked for again; nobody who was erased is."""
        monkeypatch.setattr(lane_store, "_KNOWN_USERS_MAX", 1000)
        memory = RedisUserMemory(db)
        erased = {user_id: Erasure(TOPIC_ID, 0, user_id) for user_id in range(100)}
        memory.erase(erased)
        for start in range(1000, 5000, 100):
            memory.remember(range(start, start + 100))
        assert db.hlen("usuarios:conhecidos") <= 1200
        assert memory.read(list(erased)) == erased
