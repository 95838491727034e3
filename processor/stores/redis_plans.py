"""What a handler of the Redis store returns: writes that are prepared outside, and applied inside in one step."""

import time
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from processor.model import Outcome

Word = str | int | bytes
# A Redis command and its arguments; or one of the script's own, below.
Write = tuple[Word, ...]

CONTENTS: Final = "conteudos"  # sorted set: content IDs, scored by themselves
CONTENT_PREFIX: Final = "conteudo:"
SESSION_PREFIX: Final = "sessao:"


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


def content_key(content_id: int) -> str:
    """Return the key of a content's hash."""
    return f"{CONTENT_PREFIX}{content_id}"


def session_key(session_id: str) -> str:
    """Return the key of a session's hash."""
    return f"{SESSION_PREFIX}{session_id}"


def user_sessions_key(user_id: int) -> str:
    """Return the key of the sorted set of a user's sessions: session IDs by their creation, in milliseconds."""
    return f"sessoes:{user_id}"


def trim_index(index_key: str, key_prefix: str, max_members: int) -> Write:
    """Return the script's own write that takes members out of a sorted set whose own key has expired.

    It looks at `max_members` members drawn at random: a writer that looks at more than it adds keeps the set from
    growing without an end.
    """
    return ("TRIMINDEX", index_key, key_prefix, max_members)


def delete_indexed(index_key: str, key_prefix: str) -> Write:
    """Return the script's own write that deletes a sorted set and the key of each of its members."""
    return ("DELINDEXED", index_key, key_prefix)


def now_ms() -> int:
    """Return the time in milliseconds since the epoch: lifetimes count from when the store has the key."""
    return time.time_ns() // 1_000_000


def timestamp_ms(since_epoch_ms: int) -> Timestamp:
    """Return a time as a message."""
    message = Timestamp()
    message.FromMilliseconds(since_epoch_ms)
    return message
