"""The pocket broker from inside: what the conformance suite cannot bring about from outside."""

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from broker.batches import CorruptBatchError, read_head
from broker.broker import Broker, FetchedPartition, FetchQuery, NewTopicRequest
from broker.errors import ErrorCode
from broker.groups import JoinAnswer, JoinRequest
from broker.logs import Appended
from broker.server import BrokerConnection
from broker.store import BrokerStore
from broker.wire import MalformedRequestError, WireReader

_TOPIC = "t"
_NOW_MS = int(time.time() * 1000)


class _Rig:
    """A broker without a port, over one file that it can be opened on again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.open()

    def open(self) -> None:
        self.store = BrokerStore(self._folder)
        self.broker = Broker(self.store, "127.0.0.1", 9092)

    async def close(self) -> None:
        await self.broker.drain()
        self.store.close()

    async def create(self, config: dict[str, str] | None = None) -> ErrorCode:
        """Make the topic."""
        done = asyncio.get_running_loop().create_future()
        wanted = NewTopicRequest(_TOPIC, 1, 1, config or {})
        self.broker.create_topics([wanted], done.set_result, only_checks=False)
        ((error, _),) = await done
        return ErrorCode(error)

    async def append(self, batch: bytes) -> Appended:
        """Append a batch, and return what is told."""
        done: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
        self.broker.append(_TOPIC, 0, batch, done.set_result)
        return await done

    async def fetch(self, offset: int, max_wait_ms: int = 0) -> FetchedPartition:
        """Return what there is from an offset on."""
        done: asyncio.Future[list[FetchedPartition]] = asyncio.get_running_loop().create_future()
        self.broker.fetch([FetchQuery(_TOPIC, 0, offset, 2**20)], max_wait_ms, 1, 2**20, done.set_result)
        (found,) = await done
        return found


@pytest_asyncio.fixture
async def rig(tmp_path: Path) -> AsyncIterator[_Rig]:
    """A broker with an empty topic."""
    made = _Rig(tmp_path)
    assert await made.create() is ErrorCode.NONE
    yield made
    await made.close()


def _batch(
    count: int = 1, *, producer_id: int = -1, sequence: int = -1, max_ms: int = _NOW_MS, size: int = 10
) -> bytes:
    """Return a batch of so many records, of which the broker reads no more than the head."""
    body = struct.pack(">ihiqqqhii", 0, 0, count - 1, max_ms, max_ms, producer_id, 0, sequence, count) + b"x" * size
    return struct.pack(">qiib", 0, len(body) + 5, -1, 2) + body


async def test_what_the_disk_does_not_take_is_refused_and_leaves_no_gap(rig: _Rig) -> None:
    """Those who sent it are told to try again; nobody reads it; the next record has its offset."""
    assert (await rig.append(_batch())).base_offset == 0
    pages = rig.store._writer.execute("PRAGMA page_count").fetchone()[0]
    rig.store._writer.execute(f"PRAGMA max_page_count = {pages}")
    refused = await asyncio.gather(*(rig.append(_batch(size=100_000)) for _ in range(3)))
    assert {one.error for one in refused} == {ErrorCode.KAFKA_STORAGE_ERROR}
    assert (await rig.fetch(1)).high_watermark == 1
    rig.store._writer.execute("PRAGMA max_page_count = 1000000")
    assert await rig.append(_batch(2)) == Appended(ErrorCode.NONE, 1, 0)
    assert len((await rig.fetch(0)).batches) == 2


async def test_records_are_read_once_they_are_on_the_disk(rig: _Rig) -> None:
    """A fetch that waits is answered by the first record, and at its time without one."""
    assert (await rig.fetch(0, max_wait_ms=1)).batches == []
    waiting = asyncio.create_task(rig.fetch(0, max_wait_ms=20_000))
    await asyncio.sleep(0)
    appending = asyncio.create_task(rig.append(_batch()))
    await asyncio.sleep(0)
    assert rig.broker.topics.partition(_TOPIC, 0).high_watermark == 0  # type: ignore[union-attr] # it is there
    assert (await appending).error is ErrorCode.NONE
    assert len((await waiting).batches) == 1
    assert (await rig.fetch(2)).error is ErrorCode.OFFSET_OUT_OF_RANGE


async def test_a_producer_is_known_again_after_a_start(tmp_path: Path) -> None:
    """What it sends a second time is there once; what is not the next is refused."""
    rig = _Rig(tmp_path)
    await rig.create()
    first, second = _batch(3, producer_id=7, sequence=0), _batch(2, producer_id=7, sequence=3)
    assert [(await rig.append(one)).base_offset for one in (first, second)] == [0, 3]
    await rig.close()
    rig.open()
    assert [(await rig.append(one)).base_offset for one in (first, second)] == [0, 3]
    assert (await rig.append(_batch(producer_id=7, sequence=9))).error is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert (await rig.append(_batch(producer_id=7, sequence=5))).base_offset == 5
    assert rig.broker.take_producer_id() != rig.broker.take_producer_id()
    await rig.close()


async def test_what_a_topic_keeps_no_longer_goes_for_good(tmp_path: Path) -> None:
    """Offsets go on; before the first record that is left there is nothing, after a start too."""
    rig = _Rig(tmp_path)
    await rig.create({"retention.ms": "36000000"})
    await rig.append(_batch(5, max_ms=_NOW_MS - 72_000_000))
    await rig.append(_batch(5))
    rig.broker.topics.expire(rig.broker._journal)
    await rig.close()
    rig.open()
    assert (await rig.fetch(4)).error is ErrorCode.OFFSET_OUT_OF_RANGE
    found = await rig.fetch(5)
    assert (found.start, found.high_watermark, len(found.batches)) == (5, 10, 1)
    await rig.close()


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"retention.ms": "soon"}, ErrorCode.INVALID_CONFIG),
        ({"max.message.bytes": "-1"}, ErrorCode.INVALID_CONFIG),
        ({"cleanup.policy": "delete"}, ErrorCode.NONE),
    ],
)
async def test_a_topics_settings_are_judged(tmp_path: Path, config: dict[str, str], error: ErrorCode) -> None:
    """Those that are heeded have to be numbers."""
    rig = _Rig(tmp_path)
    assert await rig.create(config) is error
    await rig.close()


async def test_a_member_whose_connection_is_gone_holds_nobody_up(rig: _Rig) -> None:
    """It is let go when its session's time is over, though it never said a word."""
    groups = rig.broker.groups

    def join(member_id: str = "") -> asyncio.Future[JoinAnswer]:
        return groups.join(JoinRequest("g", member_id, "c", 1000, 300_000, "consumer", {"range": b""}, False))

    first = (await join()).member_id
    gone = join()  # waits for the first one to join again
    gone.cancel()
    second = (await join(first)).generation
    member = next(one for name, one in groups._groups["g"].members.items() if name != first)
    member.seen_s -= 2
    groups.expire()
    assert groups.heartbeat("g", first, second) is ErrorCode.REBALANCE_IN_PROGRESS
    assert list((await join(first)).members) == [first]


@pytest.mark.parametrize(
    "batch",
    [
        _batch()[:-1],  # cut off
        _batch()[:20],
        _batch(0),
        _batch().replace(b"\x02", b"\x01", 1),  # of an older format
        _batch() + _batch(),
    ],
    ids=["cut off", "a head alone", "no records", "an older format", "two"],
)
def test_what_is_no_batch_is_refused(batch: bytes) -> None:
    """It would be nobody's to read."""
    with pytest.raises(CorruptBatchError):
        read_head(batch)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", struct.pack(">ihhi", 8, 99, 0, 1), struct.pack(">i", 3)])
async def test_who_does_not_speak_the_protocol_is_cut_off(rig: _Rig, data: bytes) -> None:
    """A browser's request to the port, for one."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: BrokerConnection(rig.broker, set()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(data)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 10)
    writer.close()
    server.close()


@pytest.mark.parametrize(
    "read", [WireReader.int64, WireReader.uuid, WireReader.text, WireReader.varint, WireReader.blob]
)
def test_a_request_that_ends_early_is_malformed(read: Callable[[WireReader], object]) -> None:
    """Whatever is asked for last."""
    with pytest.raises(MalformedRequestError):
        read(WireReader(b"\xff"))
