"""A walk through MongoDB's collections: whether each document is as the platform has written it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pymongo.database import Database

from mesh.settings import MongoSettings
from mesh.store_names.mongodb import CONTENT_HASH, RECOMMENDATIONS, VIEWS
from processor.integrity.contents import ContentPage, ContentWalk
from processor.stores.mongodb import connect, database_of, store_errors
from processor.stores.mongodb_documents import Document
from processor.stores.mongodb_hashes import content_hash


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


def collection_walks(db: Database[Document]) -> list[ContentWalk]:
    """Return the walks through MongoDB."""
    return [CollectionWalk(db, collection) for collection in (VIEWS, RECOMMENDATIONS)]


def _is_changed(document: Document) -> bool:
    return CONTENT_HASH in document and document[CONTENT_HASH] != content_hash(document)


@contextmanager
def open_collection_walks(settings: MongoSettings) -> Iterator[Sequence[ContentWalk]]:
    """Give the walks on a connection of their own. Raises PolystreamError with STORE_UNAVAILABLE."""
    with store_errors(), connect(settings) as client:
        yield collection_walks(database_of(client))
