"""What is parked in Redis, and how far the lane has come.

`estacionados` is a hash of the keys that are parked, with how many records each has. `estacionados:chave:{key}` is the
list of their IDs, in order, and `estacionados:registros:{key}` a hash of the records by their IDs. `posicoes` is a hash
of positions by the topic's ID and the partition. The script that applies commands reads and writes them too.
"""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from polystream.v1.events_pb2 import CommandReceipt
from redis import Redis

from mesh.packed_records import pack_record, unpack_record
from mesh.store_names.redis import (
    PARKED,
    POSITIONS,
    marker_key,
    parked_key,
    parked_records_key,
)
from processor.model import ParkedRecord
from processor.parking import ParkedEntry

# KEYS: 1 the hash of parked keys, 2 the list, 3 the hash of records, 4 the command's marker. ARGV: 1 the key, 2 the
# record's ID, 3 the record. What another lane has applied meanwhile is not parked.
_ADD: Final = """
if redis.call('EXISTS', KEYS[4]) == 0 and redis.call('HSETNX', KEYS[3], ARGV[2], ARGV[3]) == 1 then
  redis.call('RPUSH', KEYS[2], ARGV[2])
  redis.call('HSET', KEYS[1], ARGV[1], redis.call('LLEN', KEYS[2]))
end
"""
# As above, without a record.
_REMOVE: Final = """
if redis.call('HDEL', KEYS[3], ARGV[2]) == 1 then
  redis.call('LREM', KEYS[2], 1, ARGV[2])
  local left = redis.call('LLEN', KEYS[2])
  if left == 0 then
    redis.call('HDEL', KEYS[1], ARGV[1])
  else
    redis.call('HSET', KEYS[1], ARGV[1], left)
  end
end
"""
_GIVE_UP: Final = """
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 1 then
  redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
end
"""
# KEYS: 1 the hash of positions. ARGV: fields and offsets by turns.
_WRITE_POSITIONS: Final = """
for i = 1, #ARGV, 2 do
  if tonumber(redis.call('HGET', KEYS[1], ARGV[i]) or '0') < tonumber(ARGV[i + 1]) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
  end
end
"""


class RedisParking:
    """What is parked. Its methods raise what the client raises."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._add = client.register_script(_ADD)
        self._remove = client.register_script(_REMOVE)
        self._give_up = client.register_script(_GIVE_UP)

    def queues(self, keys: Collection[bytes]) -> dict[bytes, list[ParkedEntry]]:
        """Return what is parked under these keys, in order."""
        return {key: [_entry(one) for one in self.records(key)] for key in sorted(keys)}

    def add(self, parked: ParkedRecord) -> None:
        """Put a record behind those of its key; leave one that is there already."""
        keys = [*_keys(parked.key), marker_key(parked.correlation_id)]
        self._add(keys=keys, args=[parked.key, parked.id, _packed(parked)])

    def give_up(self, key: bytes, id_: str, receipt: CommandReceipt) -> None:
        """Note of a record that is parked that it is given up, and with what answer."""
        for one in self.records(key):
            if one.id == id_:
                self._give_up(keys=_keys(key), args=[key, id_, _packed(replace(one, receipt=receipt))])

    def remove(self, key: bytes, ids: Sequence[str]) -> None:
        """Let go of records of a key."""
        for id_ in ids:
            self._remove(keys=_keys(key), args=[key, id_])

    def records(self, key: bytes) -> list[ParkedRecord]:
        """Return what is parked under a key, in order."""
        pipeline = self._client.pipeline(transaction=True)
        pipeline.lrange(parked_key(key), 0, -1)
        pipeline.hgetall(parked_records_key(key))
        ids, packed = pipeline.execute()
        return [_unpacked(id_.decode(), key, packed[id_]) for id_ in ids if id_ in packed]

    def all_records(self, records_max: int) -> list[ParkedRecord]:
        """Return what is parked, `records_max` at the most, in order within a key."""
        found: list[ParkedRecord] = []
        keys: Any = self._client.hkeys(PARKED)
        for key in sorted(keys):
            found += self.records(key)
            if len(found) >= records_max:
                break
        return found[:records_max]

    def count(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        counts: Any = self._client.hvals(PARKED)
        return len(counts), sum(map(int, counts))


class RedisPositions:
    """How far the store has come, by the topic's ID and the partition."""

    def __init__(self, client: Redis) -> None:
        self._write = client.register_script(_WRITE_POSITIONS)

    def write(self, topic_id: str, next_offsets: Mapping[int, int]) -> None:
        """Note positions; one that is further stays."""
        arguments = [word for p, offset in next_offsets.items() for word in (position_field(topic_id, p), offset)]
        self._write(keys=[POSITIONS], args=arguments)


def position_field(topic_id: str, partition: int) -> str:
    """Return the field of a partition's position."""
    return f"{topic_id}:{partition}"


def _keys(key: bytes) -> list[str | bytes]:
    return [PARKED, parked_key(key), parked_records_key(key)]


def _entry(one: ParkedRecord) -> ParkedEntry:
    return ParkedEntry(one.id, one.correlation_id, one.receipt)


def _packed(one: ParkedRecord) -> str:
    receipt = None if one.receipt is None else base64.b64encode(one.receipt.SerializeToString()).decode()
    fields = {
        "correlation_id": one.correlation_id,
        "command": one.command,
        "record": pack_record(one.record).decode(),
        "receipt": receipt,
    }
    return json.dumps(fields)


def _unpacked(id_: str, key: bytes, packed: bytes) -> ParkedRecord:
    fields: dict[str, Any] = json.loads(packed)
    receipt = None if fields["receipt"] is None else CommandReceipt.FromString(base64.b64decode(fields["receipt"]))
    record = unpack_record(fields["record"].encode())
    return ParkedRecord(id_, key, record, fields["correlation_id"], fields["command"], receipt)
