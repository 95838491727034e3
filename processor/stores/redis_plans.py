"""What a handler of the Redis store returns: writes that are prepared outside, and applied inside in one step."""

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from redis import Redis

from processor.model import Outcome

Word = str | int | bytes
# A Redis command and its arguments; or one of the script's own, below.
Write = tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class RedisPlan:
    """What one command does to the store, and what is answered.

    With `requires`, the writes are done and `outcome` is answered only where that key exists at that moment, and
    `refusal` otherwise.
    """

    outcome: Outcome
    writes: tuple[Write, ...] = ()
    requires: str = ""
    refusal: Outcome | None = None


def set_fields(key: str, fields: Mapping[str, object]) -> Write:
    """Return the write that sets fields of a hash, one of those of `mesh.store_names.redis`."""
    return ("HSET", key, *(word for name, value in fields.items() for word in (name, str(value))))


def trim_index(index_key: str, key_prefix: str, max_members: int) -> Write:
    """Return the script's own write that takes members out of a sorted set whose own key has expired.

    It looks at `max_members` members drawn at random: a writer that looks at more than it adds keeps the set from
    growing without an end.
    """
    return ("TRIMINDEX", index_key, key_prefix, max_members)


def delete_indexed(index_key: str, key_prefix: str) -> Write:
    """Return the script's own write that deletes a sorted set and the key of each of its members."""
    return ("DELINDEXED", index_key, key_prefix)


def now_ms(db: Redis) -> int:
    """Return the time in milliseconds since the epoch by the server's clock, which ends the lifetime of its keys.

    A lane whose own clock is wrong would give a session a lifetime that is over at once, or that does not end.
    """
    told: tuple[int, int] = db.time()
    seconds, microseconds = told
    return seconds * 1000 + microseconds // 1000


def timestamp_ms(since_epoch_ms: int) -> Timestamp:
    """Return a time as a message."""
    message = Timestamp()
    message.FromMilliseconds(since_epoch_ms)
    return message
