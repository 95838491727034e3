"""What the queries about Redis's hashes have in common."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp
from redis.asyncio import Redis

Hash = Mapping[str, str]
Entry = tuple[int, str]  # score and name

# A hash that has expired leaves its name in the index. The hash may have come back in between, hence one step.
# KEYS: the index. ARGV: what the hashes' names begin with, then the index's entries.
_FORGET: Final = """
for i = 2, #ARGV do
  if redis.call('EXISTS', ARGV[1] .. ARGV[i]) == 0 then
    redis.call('ZREM', KEYS[1], ARGV[i])
  end
end
"""


def text_hash(raw: Any) -> Hash:
    """Return HGETALL's answer as text, in whichever form the client or a script gave it."""
    pairs = raw.items() if isinstance(raw, Mapping) else zip(raw[::2], raw[1::2], strict=True)
    return {_text(name): _text(value) for name, value in pairs}


def timestamp(milliseconds: str | None) -> Timestamp | None:
    """Return a field's time; None where the field is empty or missing."""
    if not milliseconds:
        return None
    moment = Timestamp()
    moment.FromMilliseconds(int(milliseconds))
    return moment


async def read_index(client: Redis, index: str, begin: str, end: str, count: int, *, newest: bool) -> list[Entry]:
    """Return up to `count` entries of an index between two scores, `newest` for descending order.

    `begin` and `end` are as ZRANGE BYSCORE takes them; entries with equal scores stand in the order of their names.
    """
    found: list[Any] = await client.zrange(
        index, begin, end, desc=newest, byscore=True, withscores=True, offset=0, num=count
    )
    return [(int(score), _text(name)) for name, score in found]


async def read_hashes(client: Redis, prefix: str, index: str, entries: Sequence[str]) -> dict[str, Hash]:
    """Return the hashes of an index's entries, by entry, and take those that have expired out of the index."""
    async with client.pipeline(transaction=False) as pipeline:
        for entry in entries:
            pipeline.hgetall(f"{prefix}{entry}")
        found = [text_hash(raw) for raw in await pipeline.execute()]
    gone = [entry for entry, fields in zip(entries, found, strict=True) if not fields]
    if gone:
        await client.register_script(_FORGET)(keys=[index], args=[prefix, *gone])
    return {entry: fields for entry, fields in zip(entries, found, strict=True) if fields}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
