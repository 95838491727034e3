"""Operations and request IDs in Redis, where every gateway finds them.

`operation:{correlation_id}` is a hash with one field a store: its serialized CommandReceipt. A field is written
once, whoever comes first, so that gateways need no agreement. That it was given up, or waits, has a field of its own,
beside that of the answer which settles it: some may be of foreign records with the command's ID.
`request:{correlation_id}` holds the fingerprint of the request that a client's `request_id` stands for. Both expire,
and each kind keeps within a number of bytes: where more come in that time, the oldest give way, and the event log is
asked for those operations.

That a request ID is not there does not tell that it is new: Redis may have been emptied, or the note have given way.
Since when every one of them is there is noted too. As long as the stores may have marks from before that, they have to
be asked; otherwise an ID that is not there is new.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final

import redis
import redis.asyncio
import structlog
from google.protobuf.message import DecodeError
from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt
from redis.backoff import NoBackoff
from redis.retry import Retry

from mesh.error_classes.redis import classify_redis
from mesh.errors import PolystreamError, Reason
from mesh.fingerprints import agree
from mesh.operation import answered_position
from mesh.redis_budget import KEEP_WITHIN
from mesh.settings import RedisSettings
from mesh.store_errors import is_unsettled
from mesh.store_names.redis import (
    OPERATION_PREFIX,
    OPERATIONS,
    OPERATIONS_BYTES,
    REQUEST_PREFIX,
    REQUESTS,
    REQUESTS_BYTES,
    REQUESTS_GONE,
    REQUESTS_SINCE,
    operation_key,
    request_key,
)
from mesh.telemetry.logs import describe
from mesh.telemetry.repeats import RepeatCounter

log = structlog.stdlib.get_logger(__name__)

_TIMEOUT_S: Final = 1.0  # Redis answers in a millisecond, or is away
_STORE: Final = "REDIS"
_LATE_S: Final = 24 * 3600
_MAX_CLAIMS_HERE: Final = 10_000  # about 2 MB
# Measured in Redis 7 and Valkey 9: what a receipt takes beside its own bytes, as the first of its operation, and what
# a claim takes; with their places in the lists by age.
RECEIPT_BYTES: Final = 450
CLAIM_BYTES: Final = 312
_MAX_FIELDS: Final = 32  # of an operation, before its dead letters are left out: the event log has them
_UNSETTLED: Final = ":dead_letter"
# A lifetime counts from the last news. KEYS: 1 the list by age, 2 its sum, then an operation's key for each receipt.
# ARGV: 1 seconds to live, 2 the bound in bytes, 3 what a receipt takes beside its own, 4 the keys' prefix, 5 how many
# fields a key may have before dead letters are left out, 6 what their fields have in common, then a field and a value
# for each key.
_SAVE: Final = (
    KEEP_WITHIN
    + """
local names, added = {}, 0
for i = 3, #KEYS do
  local field, value = ARGV[2 * i + 1], ARGV[2 * i + 2]
  local left_out = string.find(field, ARGV[6], 1, true) and redis.call('HLEN', KEYS[i]) >= tonumber(ARGV[5])
  if not left_out and redis.call('HSETNX', KEYS[i], field, value) == 1 then
    redis.call('EXPIRE', KEYS[i], ARGV[1])
    names[#names + 1] = string.sub(KEYS[i], #ARGV[4] + 1)
    added = added + #value + ARGV[3]
  end
end
keep_within(KEYS[1], KEYS[2], ARGV[4], names, added, 0, tonumber(ARGV[2]))
"""
)
# KEYS: 1 the list by age, 2 its sum, 3 the request's key, 4 since when all are there, 5 when the newest that gave way
# was written. ARGV: 1 seconds to live, 2 the bound in bytes, 3 what a claim takes, 4 the keys' prefix, 5 the
# fingerprint, 6 the time in milliseconds, 7 for how many of them the stores keep marks, 8 whether to take the key
# though others may have had it: 1 or 0. Returns who has the key already, and 0 where it was not taken for that reason.
_CLAIM: Final = (
    KEEP_WITHIN
    + """
local holder = redis.call('GET', KEYS[3])
if holder then
  return holder
end
local now = tonumber(ARGV[6])
local oldest_mark = now - ARGV[7]
local since, gone = redis.call('GET', KEYS[4]), redis.call('GET', KEYS[5])
if not since then
  -- Where an earlier version has noted some, marks from before have no fingerprint: there is nothing to be asked for.
  since = redis.call('EXISTS', KEYS[1]) == 1 and '0' or ARGV[6]
  redis.call('SET', KEYS[4], since)
end
local is_certain = (tonumber(since) or now) <= oldest_mark and (tonumber(gone or 0) or now) <= oldest_mark
if not is_certain and ARGV[8] == '0' then
  return 0
end
redis.call('SET', KEYS[3], ARGV[5], 'EX', ARGV[1])
local name = string.sub(KEYS[3], #ARGV[4] + 1)
local last = keep_within(KEYS[1], KEYS[2], ARGV[4], {name}, ARGV[3], ARGV[6], tonumber(ARGV[2]))
if last then
  redis.call('SET', KEYS[5], last)
end
return false
"""
)


class Claim(Enum):
    """What is known of a client's request ID."""

    NEW = "new"  # nobody has used it: the caller has it now
    SAME = "same"  # it was used with the same request
    OTHER = "other"  # it was used with another request
    UNCERTAIN = "uncertain"  # Redis does not know: nobody has taken it, and the stores have to be asked
    UNKNOWN = "unknown"  # Redis does not answer


class ReceiptWriter:
    """Writes receipts, which Redis keeps for `ttl_s` seconds, and the newest of them within `max_bytes`.

    Synchronous, for the follower's thread.
    """

    def __init__(self, settings: RedisSettings, ttl_s: int, max_bytes: int) -> None:
        self._redis = redis.Redis.from_url(
            settings.url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            # A connection may be of the time before a restart. One that hangs is not tried twice.
            retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
        )
        self._save = self._redis.register_script(_SAVE)
        self._refused = RepeatCounter()
        self._limits = (ttl_s, max_bytes, RECEIPT_BYTES, OPERATION_PREFIX, _MAX_FIELDS, _UNSETTLED)

    def save(self, receipts: Sequence[CommandReceipt]) -> None:
        """Write a batch in one call. Raises PolystreamError with STORE_UNAVAILABLE: repeat the batch then.

        A receipt whose key holds somebody else's value is left out, and counted: memory and the event log have it.
        """
        if not receipts:
            return
        try:
            self._save_all(receipts)
        except redis.RedisError as error:
            if classify_redis(error).waits:
                raise _unavailable(error) from error
            if len(receipts) > 1:
                for receipt in receipts:
                    self.save([receipt])
                return
            if times := self._refused.count():
                log.error("redis cannot take receipts: they are left out", times=times, error=describe(error))

    def _save_all(self, receipts: Sequence[CommandReceipt]) -> None:
        arguments: list[Any] = [*self._limits]
        for receipt in receipts:
            arguments += (_field(receipt), receipt.SerializeToString())
        keys = [operation_key(receipt.correlation_id) for receipt in receipts]
        self._save(keys=[OPERATIONS, OPERATIONS_BYTES, *keys], args=arguments)

    def close(self) -> None:
        """Close the connection."""
        self._redis.close()


class RedisOperationStore:
    """Reads receipts, and claims request IDs, the newest of them within `max_claims_bytes`.

    Claims live a day longer than the marks that stores keep, for `marks_ttl_s` seconds: as a command may be applied
    that much later than it was accepted. Belongs to the event loop. Redis answers within a second, or counts as away.
    """

    def __init__(self, client: redis.asyncio.Redis, marks_ttl_s: int, max_claims_bytes: int) -> None:
        self._redis = client
        self._claim = client.register_script(_CLAIM)
        self._limits = (marks_ttl_s + _LATE_S, max_claims_bytes, CLAIM_BYTES, REQUEST_PREFIX)
        self._marks_ttl_ms = (marks_ttl_s + _LATE_S) * 1000
        self._claims_here: OrderedDict[str, bytes] = OrderedDict()  # made while Redis took none

    async def receipts(self, correlation_id: str) -> list[CommandReceipt]:
        """Return the operation's receipts. Raises PolystreamError with STORE_UNAVAILABLE."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                values = await self._redis.hvals(operation_key(correlation_id))
        except (redis.RedisError, TimeoutError) as error:
            raise _unavailable(error) from error
        return [receipt for receipt in map(_parsed, values) if receipt is not None]

    async def is_claimed(self, correlation_id: str) -> bool:
        """Whether a client's request ID has been used; False while Redis is away."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                return bool(await self._redis.exists(request_key(correlation_id)))
        except (redis.RedisError, TimeoutError):
            return False

    async def claim(self, correlation_id: str, fingerprint: bytes, *, insists: bool = False) -> Claim:
        """Take a request ID for a request, or tell who has it.

        Nothing is taken where Redis may have forgotten who had the ID: UNCERTAIN; nor where it takes nothing: UNKNOWN.
        Whoever has asked the stores then `insists`, or claims it here.

        A server that is full, or a replica, still tells who has an ID. What it could not be told is known here, of the
        last claims.

        `correlation_id` is the one derived from the request ID, `fingerprint` what tells one request from another.
        """
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                keys = (REQUESTS, REQUESTS_BYTES, request_key(correlation_id), REQUESTS_SINCE, REQUESTS_GONE)
                now_ms = time.time_ns() // 1_000_000
                arguments = (*self._limits, fingerprint, now_ms, self._marks_ttl_ms, int(insists))
                holder = await self._claim(keys=keys, args=arguments)
        except (redis.ConnectionError, redis.TimeoutError, TimeoutError):
            return self._claimed_here(correlation_id, fingerprint)
        except redis.RedisError:
            holder = await self._holder(correlation_id)
            if holder is None:
                return self._claimed_here(correlation_id, fingerprint)
        if holder is None:
            return Claim.NEW
        if holder == 0:
            return Claim.UNCERTAIN
        return Claim.SAME if agree(holder, fingerprint) else Claim.OTHER

    async def all_are_here(self) -> None:
        """Note that there were no request IDs before those that are noted. Does nothing while Redis is away."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._redis.set(REQUESTS_SINCE, 0, xx=True)
        except (redis.RedisError, TimeoutError) as error:
            log.info("redis cannot be told that no request ID is missing", error=describe(error))

    def claim_here(self, correlation_id: str, fingerprint: bytes) -> Claim:
        """Take a request ID for a request while Redis takes none, or tell who has it; UNKNOWN where nobody knows."""
        claim = self._claimed_here(correlation_id, fingerprint)
        if claim is not Claim.UNKNOWN:
            return claim
        self._claims_here[correlation_id] = fingerprint
        if len(self._claims_here) > _MAX_CLAIMS_HERE:
            self._claims_here.popitem(last=False)
        return Claim.UNKNOWN

    def _claimed_here(self, correlation_id: str, fingerprint: bytes) -> Claim:
        holder = self._claims_here.get(correlation_id)
        if holder is None:
            return Claim.UNKNOWN
        return Claim.SAME if agree(holder, fingerprint) else Claim.OTHER

    async def _holder(self, correlation_id: str) -> bytes | None:
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                holder = await self._redis.get(request_key(correlation_id))
        except (redis.RedisError, TimeoutError):
            return None
        return holder.encode() if isinstance(holder, str) else holder


def _field(receipt: CommandReceipt) -> str:
    name = Store.Name(receipt.store)
    if not is_unsettled(receipt):
        return name
    return f"{name}{_UNSETTLED}:{answered_position(receipt) or ''}{receipt.waits_behind}"


def _parsed(value: bytes | str) -> CommandReceipt | None:
    try:
        return CommandReceipt.FromString(value if isinstance(value, bytes) else value.encode())
    except DecodeError:
        return None  # somebody else's field: the operation is told without it


def _unavailable(error: redis.RedisError | TimeoutError) -> PolystreamError:
    cause = classify_redis(error).cause if isinstance(error, redis.RedisError) else "the server does not answer in time"
    return PolystreamError(Reason.STORE_UNAVAILABLE, metadata={"store": _STORE, "error": cause})
