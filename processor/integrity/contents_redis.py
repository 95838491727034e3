"""A walk through Redis's keys: whether each hash is as the platform has written it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from mesh.settings import RedisSettings
from mesh.store_names.redis import CONTENT_PREFIX, SESSION_PREFIX
from processor.integrity.contents import ContentPage, ContentWalk
from processor.stores.redis import connect, store_errors
from processor.stores.redis_hashes import content_hash

_GONE: Final = -2  # what PEXPIRETIME says of a key that is not there


class KeysWalk:
    """A walk through the hashes of Redis whose keys have a prefix, in the server's order."""

    def __init__(self, client: Redis, prefix: str) -> None:
        self.place = prefix
        self._client = client

    def page(self, after: Any, records_max: int) -> ContentPage:
        """Return the page behind `after`, a cursor of the server's. A key may come twice."""
        told: Any = self._client.scan(after or 0, match=f"{self.place}*", count=records_max)
        cursor, keys = told
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            _ask(pipeline, key)
        answers: list[Any] = pipeline.execute(raise_on_error=False) if keys else []
        told_of = list(zip(keys, answers[::2], answers[1::2], strict=True))
        there = [(key.decode("utf-8", "replace"), *answer) for key, *answer in told_of if answer[0]]
        return ContentPage(
            len(there),
            sum(not isinstance(fields, ResponseError) and b"hash_conteudo" not in fields for _, fields, _ in there),
            [key for key, fields, expire_ms in there if _is_other(key, fields, expire_ms)],
            cursor or None,
        )

    def changed(self, key: str) -> bool:
        """Look at a key once more."""
        pipeline = self._client.pipeline(transaction=True)
        _ask(pipeline, key)
        fields, expire_ms = pipeline.execute(raise_on_error=False)
        return bool(fields) and _is_other(key, fields, expire_ms)


def key_walks(client: Redis) -> list[ContentWalk]:
    """Return the walks through Redis."""
    return [KeysWalk(client, prefix) for prefix in (CONTENT_PREFIX, SESSION_PREFIX)]


def _ask(pipeline: Any, key: str | bytes) -> None:
    pipeline.hgetall(key)
    pipeline.pexpiretime(key)


def _is_other(key: str, fields: Any, expire_ms: Any) -> bool:
    """Whether a hash is not as it was written; a key of another type is not, either."""
    if isinstance(fields, ResponseError):
        return True
    text = {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in fields.items()
    }
    known = text.get("hash_conteudo")
    if known is None:
        return False
    # What is past its time is gone in a moment, and tells nothing any more.
    is_lasting = isinstance(expire_ms, int) and expire_ms != _GONE
    return known != content_hash(key, text) or (is_lasting and text.get("expira_em", "-1") != str(expire_ms))


@contextmanager
def open_key_walks(settings: RedisSettings) -> Iterator[Sequence[ContentWalk]]:
    """Give the walks on a connection of their own. Raises PolystreamError with STORE_UNAVAILABLE."""
    with store_errors(), connect(settings) as client:
        yield key_walks(client)
