"""MongoDB's back door: its marks, documents and positions, as a check reads them and a repair sets them right."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from bson.int64 import Int64
from google.protobuf.message import Message
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.recommendations_pb2 import Recommendations
from polystream.v1.views_pb2 import View

from mesh.settings import MongoSettings
from mesh.store_names.mongodb import (
    CONTENT_HASH,
    DELETED_VIEWS,
    INBOX,
    KNOWN_USERS,
    POSITIONS,
    VIEWS,
)
from mesh.stored_enums import KINDS
from processor.handlers.generate_recommendations import make_document
from processor.handlers.record_view import document_of
from processor.integrity.contents import ContentWalk
from processor.integrity.contents_mongodb import collection_walks
from processor.integrity.gone import Place
from processor.integrity.kinds import Finding
from processor.integrity.store_errors import under_its_name
from processor.integrity.told_effects import ToldEffect, effect_of, result_of
from processor.stores import mongodb
from processor.stores.mongodb import MongoUserMemory
from processor.stores.mongodb_documents import Document, chunks, find_by_id, insert_absent
from processor.stores.mongodb_hashes import content_hash
from processor.stores.mongodb_recommendations import Recommended

_USERS_A_PAGE: Final = 1000


class MongoDoor:
    """MongoDB. Its methods raise PolystreamError with STORE_UNAVAILABLE."""

    name = "MONGODB"

    def __init__(self, settings: MongoSettings) -> None:
        self._client = mongodb.connect(settings)
        self.db = mongodb.database_of(self._client)
        self._memory = MongoUserMemory(self.db)
        self.walks: Sequence[ContentWalk] = collection_walks(self.db)

    def mark_page(self, after: Any, marks_max: int) -> tuple[Sequence[CommandReceipt], Any]:
        """Return some receipts of what was applied, and where the next page begins."""
        with self._errors():
            found = list(self.db[INBOX].find({"_id": {"$gt": after or ""}}).sort("_id", 1).limit(marks_max))
        receipts = [CommandReceipt.FromString(bytes(document["recibo"])) for document in found]
        return receipts, found[-1]["_id"] if len(found) == marks_max else None

    def absent(self, effects: Sequence[ToldEffect]) -> set[Place]:
        """Return the documents that are not there, and were not deleted."""
        place = effects[0].place
        keys = [effect.key for effect in effects]
        with self._errors():
            there = {found["_id"] for found in find_by_id(self.db[place], keys, ["_id"])}
            if place == VIEWS:
                there |= {found["_id"] for found in find_by_id(self.db[DELETED_VIEWS], keys, ["_id"])}
        return {(place, key) for key in keys if key not in there}

    def holds(self, receipt: CommandReceipt) -> bool:
        """Whether the very document is there that a receipt tells of: its ID is the command's."""
        effect = effect_of(receipt)
        if effect is None or effect.is_end or effect.key != receipt.correlation_id:
            return False
        with self._errors():
            return self.db[effect.place].find_one({"_id": effect.key}, ["_id"]) is not None

    def mark(self, receipts: Sequence[CommandReceipt]) -> None:
        """Put the marks of commands back that were applied."""
        with self._errors():
            now = datetime.now(UTC)
            insert_absent(self.db[INBOX], [mongodb.inbox_document(receipt, now) for receipt in receipts])

    def key_of_marks(self, place: str, key: str) -> str:
        """Return the key that marks have of a document: its own."""
        del place
        return key

    def put(self, finding: Finding, user: object = None, *, is_dry: bool = False) -> bool:
        """Put a document back that is gone. Return whether it is there now, or would be."""
        del user
        document = _document(finding.receipts[-1])
        if document is None or is_dry:
            return document is not None
        with self._errors():
            collection = self.db[finding.place]
            insert_absent(collection, [document])
            # Looked for afterwards: whoever deletes meanwhile leaves a note before.
            user_id = int(document["user_id"])
            deleted = self.db[DELETED_VIEWS].find_one({"_id": finding.key}, ["_id"]) is not None
            if deleted or self._memory.read([user_id]).get(user_id) is not None:
                collection.delete_one({"_id": finding.key})
                return False
            return collection.find_one({"_id": finding.key}, ["_id"]) is not None

    def mend(self, finding: Finding, user: object = None, *, is_dry: bool = False) -> bool:
        """Give a document the content back that its hash tells of. Return whether it was found."""
        del user
        with self._errors():
            collection = self.db[finding.place]
            now = collection.find_one({"_id": finding.key})
            for receipt in reversed(finding.receipts if now is not None else ()):
                document = _document(receipt)
                # Somebody may have changed the hash instead.
                if document is not None and now is not None and _is_told(document, now):
                    seen = {"_id": finding.key, CONTENT_HASH: now[CONTENT_HASH]}
                    return is_dry or bool(collection.replace_one(seen, document).matched_count)
        return False

    def accept(self, finding: Finding) -> None:
        """Take a document as it is: it gets the hash of what it holds."""
        with self._errors():
            collection = self.db[finding.place]
            now = collection.find_one({"_id": finding.key})
            if now is not None:
                collection.update_one(now, {"$set": {CONTENT_HASH: content_hash(now)}})

    def erased(self, user_ids: Collection[int]) -> set[int]:
        """Return of users those whom the store knows to have been erased."""
        with self._errors():
            ids = sorted(user_ids)
            now_erased = {user_id for user_id, erasure in self._memory.read(ids).items() if erasure is not None}
            return now_erased | set(self._memory.last_erasures(ids))

    def known_users(self) -> Iterator[int]:
        """Yield the users who are remembered and not erased, a page at a time."""
        after: Any = Int64(-1)
        while True:
            with self._errors():
                wanted = {"_id": {"$gt": after}, "excluido_em": {"$exists": False}}
                page = list(self.db[KNOWN_USERS].find(wanted, ["_id"]).sort("_id", 1).limit(_USERS_A_PAGE))
            yield from (int(document["_id"]) for document in page)
            if len(page) < _USERS_A_PAGE:
                return
            after = page[-1]["_id"]

    def forget_users(self, user_ids: Collection[int]) -> None:
        """Forget users who are remembered and not erased: PostgreSQL is asked for them the next time."""
        with self._errors():
            for chunk in chunks([Int64(user_id) for user_id in sorted(user_ids)]):
                self.db[KNOWN_USERS].delete_many({"_id": {"$in": chunk}, "excluido_em": {"$exists": False}})

    def unindexed(self) -> Iterator[Place]:
        """Yield nothing: the server keeps its own indexes."""
        return iter(())

    def positions(self, topic_id: str) -> Mapping[int, int]:
        """Return how far the store says that it has come."""
        with self._errors():
            found = self.db[POSITIONS].find({"_id": {"$gt": f"{topic_id}:", "$lt": f"{topic_id};"}})
            return {int(one["_id"].rpartition(":")[2]): int(one["proximo_offset"]) for one in found}

    def set_position(self, topic_id: str, partition: int, offset: int) -> None:
        """Say how far it has come."""
        with self._errors():
            place = {"_id": f"{topic_id}:{partition}"}
            self.db[POSITIONS].update_one(place, {"$set": {"proximo_offset": Int64(offset)}}, upsert=True)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with under_its_name(self.name, mongodb.store_errors):
            yield


def _document(receipt: CommandReceipt) -> Document | None:
    """Return the document that a mark tells of."""
    result: Message | None = result_of(receipt)
    match result:
        case View():
            return dict(document_of(result))
        case Recommendations():
            items = [Recommended(i.content_id, i.title, KINDS.text(i.kind), i.score, i.reason) for i in result.items]
            generated = result.generate_time.ToDatetime(UTC)
            return dict(make_document(receipt.correlation_id, result.user_id, generated, items))
    return None


def _is_told(document: Document, now: Document) -> bool:
    """Whether the hash of what is there tells of a document, or the document is what is there, but for the hash."""
    return document[CONTENT_HASH] in (now.get(CONTENT_HASH), content_hash(now))
