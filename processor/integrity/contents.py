"""What the stores hold, a page at a time: whether each row, document and hash is as the platform has written it.

A page is read by key, so that a walk neither holds a store up nor misses what was there all the while.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import psycopg
from pymongo.database import Database
from redis import Redis
from redis.exceptions import ResponseError

from mesh.store_names.mongodb import CONTENT_HASH, RECOMMENDATIONS, VIEWS
from mesh.store_names.redis import CONTENT_PREFIX, SESSION_PREFIX
from processor.integrity.postgresql_statements import PAGES
from processor.stores.mongodb_documents import Document
from processor.stores.mongodb_hashes import content_hash as document_hash
from processor.stores.redis_hashes import content_hash as fields_hash

_GONE: Final = -2  # what PEXPIRETIME says of a key that is not there


@dataclass(frozen=True, slots=True)
class ContentPage:
    """What a page has shown."""

    seen: int
    unknown: int  # of them, those without a hash: an earlier version wrote them
    changed: Sequence[str]  # of them, those that are not as they were written
    after: Any  # where the next page begins; None where this was the last one


class ContentWalk(Protocol):
    """A walk through one table, collection or kind of key. Raises what the store's client raises."""

    place: str  # its name

    def page(self, after: Any, records_max: int) -> ContentPage:
        """Return the page behind `after`, which is None at the beginning."""
        ...

    def changed(self, key: str) -> bool:
        """Whether one is there, and is not as it was written: a second look."""
        ...


class TableWalk:
    """A walk through a table of PostgreSQL, by `id`."""

    def __init__(self, connection: psycopg.Connection[Any], table: str) -> None:
        self.place = table
        self._connection = connection

    def page(self, after: Any, records_max: int) -> ContentPage:
        """Return the page behind `after`."""
        rows = self._connection.execute(PAGES[self.place], (after or 0, records_max)).fetchall()
        return ContentPage(
            len(rows),
            sum(known is None for _, known, _ in rows),
            [str(id_) for id_, known, made in rows if known is not None and known != made],
            rows[-1][0] if len(rows) == records_max else None,
        )

    def changed(self, key: str) -> bool:
        """Look at a row once more."""
        return bool(self.page(int(key) - 1, 1).changed == [key])


class CollectionWalk:
    """A walk through a collection of MongoDB, by `_id`."""

    def __init__(self, db: Database[Document], collection: str) -> None:
        self.place = collection
        self._collection = db[collection]

    def page(self, after: Any, records_max: int) -> ContentPage:
        """Return the page behind `after`."""
        # Documents of before the platform have IDs of other types: they have no hash, and come behind none of these.
        found = list(self._collection.find({"_id": {"$gt": after or ""}}).sort("_id", 1).limit(records_max))
        return ContentPage(
            len(found),
            sum(CONTENT_HASH not in document for document in found),
            [str(document["_id"]) for document in found if _is_changed(document)],
            found[-1]["_id"] if len(found) == records_max else None,
        )

    def changed(self, key: str) -> bool:
        """Look at a document once more."""
        document = self._collection.find_one({"_id": key})
        return document is not None and _is_changed(document)


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


def table_walks(connection: psycopg.Connection[Any]) -> list[ContentWalk]:
    """Return the walks through PostgreSQL."""
    return [TableWalk(connection, table) for table in PAGES]


def collection_walks(db: Database[Document]) -> list[ContentWalk]:
    """Return the walks through MongoDB."""
    return [CollectionWalk(db, collection) for collection in (VIEWS, RECOMMENDATIONS)]


def key_walks(client: Redis) -> list[ContentWalk]:
    """Return the walks through Redis."""
    return [KeysWalk(client, prefix) for prefix in (CONTENT_PREFIX, SESSION_PREFIX)]


def _ask(pipeline: Any, key: str | bytes) -> None:
    pipeline.hgetall(key)
    pipeline.pexpiretime(key)


def _is_changed(document: Document) -> bool:
    return CONTENT_HASH in document and document[CONTENT_HASH] != document_hash(document)


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
    return known != fields_hash(key, text) or (is_lasting and text.get("expira_em", "-1") != str(expire_ms))
