"""What PostgreSQL and MongoDB remember of commands, for request IDs that Redis has forgotten.

Both keep a mark of each command that they have applied, for as long as `LANE_MARKER_TTL_S` says, and what is parked.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, LiteralString, NamedTuple, Protocol, TypeVar

import structlog
from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.events_pb2 import CommandReceipt
from pymongo.asynchronous.database import AsyncDatabase

from mesh.errors import PolystreamError
from mesh.ids import issue_time_ms
from mesh.packed_records import unpack_record
from mesh.store_names.mongodb import INBOX, PARKED_RECORDS
from mesh.telemetry.logs import describe

log = structlog.stdlib.get_logger(__name__)

_POSTGRESQL: Final = "POSTGRESQL"
_MONGODB: Final = "MONGODB"
_AWAY_S: Final = 5.0  # for how long a store that did not answer is not asked again: commands would wait for it
_TIMES: Final = ("accept_time", "receive_time", "complete_time")
_MAX_PARKED: Final = 16  # records of one correlation ID: anybody may write some
_MAX_LOOKED_AT: Final = 1000  # of the marks, to see whether there is one of a request ID
_FIND: Final = """
SELECT receipt, NULL::bytea FROM inbox WHERE correlation_id = %s::uuid
 UNION ALL
(SELECT receipt, record FROM parked_records WHERE correlation_id = %s LIMIT %s)
"""
_SAMPLE: Final = """
(SELECT correlation_id::text FROM inbox LIMIT %s) UNION ALL (SELECT correlation_id FROM parked_records LIMIT %s)
"""

T = TypeVar("T")
Document = dict[str, Any]
Found = tuple[bytes | None, bytes | None]  # a receipt, and what is parked, packed


class ReadableStores(Protocol):
    """The two stores' clients, as `gateway.queries.stores.Stores` has them."""

    async def rows(self, sql: LiteralString, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of a SELECT."""
        ...

    async def documents(self, work: Callable[[AsyncDatabase[Document]], Awaitable[T]]) -> T:
        """Return what `work` reads from the MongoDB database."""
        ...


class Remembered(NamedTuple):
    """What the stores remember of a command."""

    receipts: Sequence[CommandReceipt]  # of what was applied, refused or given up
    waiting: Sequence[bytes]  # the fingerprints of records that wait, which have no receipt yet


class StoreMarks:
    """Asks both stores at once. One that does not answer in the seconds that it is given remembers nothing.

    So no command is refused, or held up for long, because a store is down. Belongs to the event loop.
    """

    def __init__(self, stores: ReadableStores) -> None:
        self._stores = stores
        self._away_until_s: dict[str, float] = {}  # on the monotonic clock, by store

    async def find(self, correlation_id: str, timeout_s: float) -> Remembered:
        """Return what the stores remember of a command."""

        async def in_postgresql() -> list[Found]:
            rows = await self._stores.rows(_FIND, (correlation_id, correlation_id, _MAX_PARKED))
            return [(receipt, record) for receipt, record in rows]

        async def in_mongodb() -> list[Found]:
            return await self._stores.documents(lambda db: _find(db, correlation_id))

        answers = await asyncio.gather(
            self._ask(_POSTGRESQL, in_postgresql, timeout_s), self._ask(_MONGODB, in_mongodb, timeout_s)
        )
        found = [one for answer in answers for one in answer or ()]
        receipts = [_receipt_in(receipt) for receipt, _ in found if receipt is not None]
        waiting = [_fingerprint_in(record) for receipt, record in found if receipt is None and record is not None]
        return Remembered(
            [receipt for receipt in receipts if receipt is not None and receipt.correlation_id == correlation_id],
            [fingerprint for fingerprint in waiting if fingerprint],
        )

    async def are_none(self, timeout_s: float) -> bool | None:
        """Whether no store has a mark of a request ID, as on a platform that is new; None where one does not answer.

        Of many marks, not all are looked at: then one of a request ID is taken to be among them.
        """

        async def in_postgresql() -> list[str]:
            rows = await self._stores.rows(_SAMPLE, (_MAX_LOOKED_AT, _MAX_LOOKED_AT))
            return [correlation_id for (correlation_id,) in rows]

        async def in_mongodb() -> list[str]:
            return await self._stores.documents(_sample)

        answers = await asyncio.gather(
            self._ask(_POSTGRESQL, in_postgresql, timeout_s), self._ask(_MONGODB, in_mongodb, timeout_s)
        )
        if any(answer is None for answer in answers):
            return None
        return all(
            len(ids) < _MAX_LOOKED_AT and all(issue_time_ms(id_) is not None for id_ in ids) for ids in answers if ids
        )

    async def _ask(self, store: str, question: Callable[[], Awaitable[T]], timeout_s: float) -> T | None:
        if time.monotonic() < self._away_until_s.get(store, 0.0):
            return None
        try:
            async with asyncio.timeout(timeout_s):
                return await question()
        except (PolystreamError, TimeoutError):
            pass  # who reads the stores says that one is away
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a store, a command is not refused for it
            log.warning("a store cannot be asked for its marks", store=store, error=describe(error))
        self._away_until_s[store] = time.monotonic() + _AWAY_S
        return None


async def _find(db: AsyncDatabase[Document], correlation_id: str) -> list[Found]:
    mark = await db[INBOX].find_one({"_id": correlation_id}, ["recibo"])
    if mark is not None:
        return [(bytes(mark["recibo"]), None)]
    parked = db[PARKED_RECORDS].find({"correlation_id": correlation_id}, ["recibo", "registro"]).limit(_MAX_PARKED)
    return [(one.get("recibo"), one.get("registro")) async for one in parked]


async def _sample(db: AsyncDatabase[Document]) -> list[str]:
    marks = db[INBOX].find({}, ["_id"]).limit(_MAX_LOOKED_AT)
    parked = db[PARKED_RECORDS].find({}, ["correlation_id"]).limit(_MAX_LOOKED_AT)
    return [str(one["_id"]) async for one in marks] + [str(one["correlation_id"]) async for one in parked]


def _receipt_in(content: bytes) -> CommandReceipt | None:
    try:
        receipt = CommandReceipt.FromString(content)
    except DecodeError:
        return None  # no lane has written that
    for name in _TIMES:
        # As it was on `response_events`: an operation has the same times, wherever it is told from.
        if receipt.HasField(name):
            time_: Timestamp = getattr(receipt, name)
            time_.nanos -= time_.nanos % 1000
    return receipt


def _fingerprint_in(packed: bytes) -> bytes:
    try:
        return unpack_record(packed).read_headers().request_fingerprint
    except (ValueError, LookupError, TypeError):
        return b""  # nor that
