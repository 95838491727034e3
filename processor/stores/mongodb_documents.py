"""What the MongoDB store and its handlers share: bounded reads, and writes that may be repeated."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

Document = dict[str, Any]

# A long `$in` costs some servers the product of its length and of what it finds.
_MAX_IDS_A_QUERY = 64
_DUPLICATE_KEY = 11000


def insert_absent(collection: Collection[Document], documents: Sequence[Mapping[str, Any]]) -> None:
    """Insert those documents whose `_id` is not there yet. Raises what the client raises."""
    if not documents:
        return
    try:
        collection.insert_many(cast(Sequence[Document], documents), ordered=False)
    except BulkWriteError as error:
        if error.details.get("writeConcernErrors") or any(
            failure["code"] != _DUPLICATE_KEY for failure in error.details["writeErrors"]
        ):
            raise


def insert_whole(collection: Collection[Document], documents: Sequence[Mapping[str, Any]]) -> None:
    """Insert as `insert_absent` does, or leave none of them where the server refuses one.

    Raises what the client raises. They are of commands that have no mark: one of before, which a crash has left, is
    inserted again by its repetition.
    """
    try:
        insert_absent(collection, documents)
    except BulkWriteError:
        for chunk in chunks([document["_id"] for document in documents]):
            collection.delete_many({"_id": {"$in": chunk}})
        raise


def find_by_id(
    collection: Collection[Document], ids: Sequence[Any], projection: Sequence[str] | None = None
) -> Iterator[Document]:
    """Yield the documents with these `_id`s, with the named fields only where some are named."""
    for chunk in chunks(ids):
        yield from collection.find({"_id": {"$in": chunk}}, projection)


def chunks(ids: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the IDs in pieces that a `$in` may hold."""
    for start in range(0, len(ids), _MAX_IDS_A_QUERY):
        yield ids[start : start + _MAX_IDS_A_QUERY]


def date_of(since_epoch_ms: int) -> datetime:
    """Return a time as the store has it: to the millisecond."""
    seconds, milliseconds = divmod(since_epoch_ms, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
