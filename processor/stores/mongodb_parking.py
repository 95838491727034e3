"""What is parked in MongoDB: the collection `registros_estacionados`; and how far the lane has come: `posicoes`."""

import time
from collections.abc import Collection as Items
from collections.abc import Mapping, Sequence
from typing import Any

from bson.binary import Binary
from bson.int64 import Int64
from polystream.v1.events_pb2 import CommandReceipt
from pymongo import ASCENDING, IndexModel, UpdateOne, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database

from mesh.packed_records import pack_record, unpack_record
from mesh.store_names.mongodb import INBOX, PARKED_RECORDS, POSITIONS
from processor.model import ParkedRecord
from processor.parking import ParkedEntry
from processor.stores.mongodb_documents import Document, chunks, insert_absent

_ENTRY_FIELDS = ("chave", "correlation_id", "recibo")


def ensure_parking_indexes(db: Database[Document]) -> None:
    """Create what index is missing. Raises PyMongoError."""
    db[PARKED_RECORDS].create_indexes([IndexModel([("chave", ASCENDING), ("ordem", ASCENDING)], name="por_chave")])


class MongoParking:
    """What is parked. Its methods raise what the client raises."""

    def __init__(self, db: Database[Document]) -> None:
        self._parked: Collection[Document] = db[PARKED_RECORDS]
        self._inbox: Collection[Document] = db[INBOX]
        self._last_order = 0

    def queues(self, keys: Items[bytes]) -> dict[bytes, list[ParkedEntry]]:
        """Return what is parked under these keys, in order."""
        # Mostly nothing is, and an empty collection answers at once.
        if self._parked.find_one({}, ["_id"]) is None:
            return {}
        queues: dict[bytes, list[ParkedEntry]] = {}
        for chunk in chunks([Binary(key) for key in keys]):
            for found in self._parked.find({"chave": {"$in": chunk}}, _ENTRY_FIELDS).sort("ordem", 1):
                entry = ParkedEntry(found["_id"], found["correlation_id"], _receipt(found))
                queues.setdefault(bytes(found["chave"]), []).append(entry)
        return queues

    def add(self, parked: ParkedRecord) -> None:
        """Put a record behind those of its key; leave one that is there already."""
        document = {
            "_id": parked.id,
            "chave": Binary(parked.key),
            "ordem": Int64(self._next_order(parked.key)),
            "correlation_id": parked.correlation_id,
            "comando": parked.command,
            "registro": Binary(pack_record(parked.record)),
        }
        insert_absent(self._parked, [document | _given_up(parked.receipt)])
        # Looked for afterwards: another lane may have applied it meanwhile, and its mark comes before it takes it out.
        if self._inbox.find_one({"_id": parked.correlation_id}, ["_id"]) is not None:
            self.remove([parked.id])

    def give_up(self, key: bytes, id_: str, receipt: CommandReceipt) -> None:
        """Note of a record that is parked that it is given up, and with what answer."""
        del key
        self._parked.update_one({"_id": id_}, {"$set": _given_up(receipt)})

    def remove(self, ids: Sequence[str]) -> None:
        """Let go of records."""
        for chunk in chunks(ids):
            self._parked.delete_many({"_id": {"$in": chunk}})

    def records(self, key: bytes) -> list[ParkedRecord]:
        """Return what is parked under a key, in order."""
        return [_record(found) for found in self._parked.find({"chave": Binary(key)}).sort("ordem", 1)]

    def all_records(self, records_max: int) -> list[ParkedRecord]:
        """Return what is parked, the oldest first, `records_max` at the most."""
        return [_record(found) for found in self._parked.find({}).sort("ordem", 1).limit(records_max)]

    def count(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        if self._parked.find_one({}, ["_id"]) is None:
            return 0, 0
        return len(self._parked.distinct("chave")), self._parked.count_documents({})

    def _next_order(self, key: bytes) -> int:
        """Return a number above those of the key's records: the clock of the lane that parked them may be ahead."""
        newest = next(iter(self._parked.find({"chave": Binary(key)}, ["ordem"]).sort("ordem", -1).limit(1)), None)
        last = 0 if newest is None else int(newest["ordem"])
        self._last_order = max(last + 1, self._last_order + 1, time.time_ns())
        return self._last_order


class MongoPositions:
    """How far the store has come: a document for each partition of an incarnation of the topic."""

    def __init__(self, db: Database[Document]) -> None:
        self._positions = db[POSITIONS]
        # One that is lost with the server is behind: the marks tell of what is above it.
        self._unjournaled = self._positions.with_options(write_concern=WriteConcern(w=1))

    def read(self, topic_id: str, partitions: Items[int]) -> dict[int, int]:
        """Return the position in each of these partitions that has one."""
        ids = [f"{topic_id}:{partition}" for partition in sorted(partitions)]
        found = self._positions.find({"_id": {"$in": ids}})
        return {int(position["_id"].rpartition(":")[2]): int(position["proximo_offset"]) for position in found}

    def write(self, topic_id: str, next_offsets: Mapping[int, int]) -> None:
        """Note positions; one that is further stays."""
        updates = [
            UpdateOne({"_id": f"{topic_id}:{partition}"}, {"$max": {"proximo_offset": Int64(offset)}}, upsert=True)
            for partition, offset in next_offsets.items()
        ]
        self._unjournaled.bulk_write(updates, ordered=False)


def _record(found: Mapping[str, Any]) -> ParkedRecord:
    record = unpack_record(bytes(found["registro"]))
    return ParkedRecord(
        found["_id"], bytes(found["chave"]), record, found["correlation_id"], found["comando"], _receipt(found)
    )


def _given_up(receipt: CommandReceipt | None) -> Document:
    return {} if receipt is None else {"recibo": Binary(receipt.SerializeToString())}


def _receipt(found: Mapping[str, Any]) -> CommandReceipt | None:
    content = found.get("recibo")
    return None if content is None else CommandReceipt.FromString(bytes(content))
