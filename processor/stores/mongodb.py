"""MongoDB as a lane's store: effects that recognise themselves, then receipts, one batch after the other.

No transaction spans a batch, so every point at which the lane or the server may die has been thought through. What a
repetition of the batch then meets:

- Before the effect: nothing was done, and all is done now.
- Between effect and receipt (`comandos_aplicados`): the handler runs again on its own effect, and answers the same.
  RecordView finds its view by `_id`, the correlation ID, or the mark of who deleted it, and its answer follows from
  the command alone. DeleteView finds its own mark. GenerateRecommendations finds the document of its `_id`, and
  answers from that instead of computing anew. DeleteUser deletes what is not there any more, and its answer follows
  from the command.
- In the middle of either insertion: documents that are there already are left as they are.
- Between the verdict on a user and the receipt: the verdict is reached anew, and may be another one only where
  PostgreSQL has changed in between. Nobody has seen the first.
- After the receipt: the receipt is found, and repeated as a duplicate.

The same holds for two lanes that apply the same batch at the same time, as happens when partitions move.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from bson.binary import Binary
from bson.int64 import Int64
from polystream.v1.events_pb2 import CommandReceipt
from pymongo import ASCENDING, DESCENDING, IndexModel, MongoClient, UpdateOne, WriteConcern
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from mesh.error_classes.mongodb import classify_mongodb
from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, PostgresSettings
from mesh.store_names.mongodb import INBOX, KNOWN_USERS, RECOMMENDATIONS, VIEWS
from processor.application import Decided, apply_in_batches, park_given_up, refusals_of, run_handlers
from processor.handlers import AnyHandler
from processor.model import Answer, Delivery, GivenUp, Outcome, ParkedRecord
from processor.parking import Known, ParkingBounds, may_be_marked, waiting_record
from processor.receipts import make_receipt
from processor.stores.mongodb_documents import Document, chunks, find_by_id, insert_absent
from processor.stores.mongodb_parking import MongoParking, MongoPositions, ensure_parking_indexes
from processor.user_lookup import PostgresUsers
from processor.users import BatchUsers, Erasure, UserDirectory, user_of

_SERVER_SELECTION_TIMEOUT_MS = 2000
_CONNECT_TIMEOUT_MS = 2000
_SOCKET_TIMEOUT_MS = 15_000
_WRITE_TIMEOUT_MS = 5000
_RECORD_INTERVAL_S: Final = 1.0
_INDEX_DIFFERS: Final = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict


def connect(settings: MongoSettings) -> MongoClient[Document]:
    """Return a client that connects when it is first used, and whose calls are bounded in time."""
    return MongoClient(
        settings.url,
        connect=False,
        tz_aware=True,
        appname="polystream-lane-mongodb",
        serverSelectionTimeoutMS=_SERVER_SELECTION_TIMEOUT_MS,
        connectTimeoutMS=_CONNECT_TIMEOUT_MS,
        socketTimeoutMS=_SOCKET_TIMEOUT_MS,
    )


def database_of(client: MongoClient[Document]) -> Database[Document]:
    """Return the database that the URL names; what is written to it is in the journal before it is acknowledged."""
    # Without the journal, the embedded server was seen to lose acknowledged documents in a SIGKILL.
    return client.get_default_database(write_concern=WriteConcern(w="majority", j=True, wtimeout=_WRITE_TIMEOUT_MS))


def ensure_indexes(db: Database[Document], marker_ttl_s: int) -> None:
    """Create what indexes are missing. Safe to repeat, with another time to live too. Raises PyMongoError."""
    db[VIEWS].create_indexes(
        [
            IndexModel([("user_id", ASCENDING), ("data", DESCENDING)], name="por_usuario"),
            IndexModel([("conteudo_id", ASCENDING), ("data", DESCENDING)], name="por_conteudo"),
        ]
    )
    db[RECOMMENDATIONS].create_indexes(
        [IndexModel([("user_id", ASCENDING), ("data_geracao", DESCENDING)], name="por_usuario")]
    )
    ensure_parking_indexes(db)
    _ensure_ttl(db, INBOX, "em", marker_ttl_s)
    _ensure_ttl(db, KNOWN_USERS, "excluido_em.data", marker_ttl_s)


def _ensure_ttl(db: Database[Document], collection: str, field: str, ttl_s: int) -> None:
    index = IndexModel([(field, ASCENDING)], name="validade", expireAfterSeconds=ttl_s, sparse=True)
    try:
        db[collection].create_indexes([index])
    except OperationFailure as error:
        if error.code not in _INDEX_DIFFERS:
            raise
        db.command("collMod", collection, index={"name": "validade", "expireAfterSeconds": ttl_s})


class MongoStore:
    """The MongoDB lane's store. One caller at a time."""

    name = "MONGODB"

    def __init__(
        self,
        settings: MongoSettings,
        users_in: PostgresSettings,
        handlers: Mapping[str, AnyHandler],
        incarnation: Callable[[], str],
        parking_bounds: ParkingBounds = ParkingBounds(),  # noqa: B008 - it cannot be changed
    ) -> None:
        self.parking_bounds = parking_bounds
        self._client = connect(settings)
        self._db = database_of(self._client)
        self._incarnation = incarnation
        self._parking = MongoParking(self._db)
        self._positions = MongoPositions(self._db)
        self._next_record_s = 0.0  # on the monotonic clock
        self._inbox = self._db[INBOX]
        self._handlers = handlers
        self._users = UserDirectory(MongoUserMemory(self._db), PostgresUsers(users_in), incarnation)

    def ping(self) -> None:
        """Ask the server for a sign of life. Raises PolystreamError."""
        with store_errors():
            self._db.command("ping")

    def apply(self, batch: Sequence[Delivery], overdue: AbstractSet[str]) -> Sequence[Answer]:
        """Apply a batch, as `processor.model.Store` has it."""
        if not batch:
            return []
        with store_errors():
            return apply_in_batches(batch, overdue, self._users, self)

    def park(self, given_up: Sequence[GivenUp]) -> Sequence[Answer]:
        """Note that records are given up, one after the other: a repetition finds those that it had come to."""
        with store_errors():
            return park_given_up(given_up, self, self._parking)

    def parked(self, key: bytes) -> Sequence[ParkedRecord]:
        """Return what is parked under a key."""
        with store_errors():
            return self._parking.records(key)

    def discard(self, parked: ParkedRecord) -> None:
        """Let go of a record that was given up: its answer is its mark from now on."""
        key = parked.key
        with store_errors():
            if may_be_marked(parked, self._parking.records(key)) and parked.receipt is not None:
                insert_absent(self._inbox, [inbox_document(parked.receipt, datetime.now(UTC))])
            self._parking.remove([parked.id])

    def count_parked(self) -> tuple[int, int]:
        """Return how many keys are parked, and how many records."""
        with store_errors():
            return self._parking.count()

    def record_positions(self, next_offsets: Mapping[int, int]) -> None:
        """Note how far the lane has come, once a second: marks tell of what is above."""
        now_s = time.monotonic()
        if not next_offsets or now_s < self._next_record_s:
            return
        with store_errors():
            self._positions.write(self._incarnation(), next_offsets)
        self._next_record_s = now_s + _RECORD_INTERVAL_S

    def close(self) -> None:
        """Close the connections."""
        self._users.close()
        self._client.close()

    def topic_id(self) -> str:
        """Return which incarnation of the topic the offsets belong to."""
        return self._incarnation()

    def read_known(
        self, topic_id: str, correlation_ids: Sequence[str], keys: Collection[bytes], partitions: Collection[int]
    ) -> Known:
        """Return the receipts of what was applied before, what is parked, and how far the lane has come."""
        queues = self._parking.queues(keys)
        waiting = [entry.correlation_id for queue in queues.values() for entry in queue]
        found = find_by_id(self._inbox, [*correlation_ids, *waiting], ["recibo"])
        receipts = {document["_id"]: CommandReceipt.FromString(document["recibo"]) for document in found}
        room = self.parking_bounds.records_max - self._parking.count()[1] if queues else 0
        return Known(receipts, queues, self._positions.read(topic_id, partitions), room)

    def park_waiting(self, waiting: Sequence[tuple[str, Delivery]]) -> None:
        """Put deliveries behind what is parked under their keys."""
        for id_, delivery in waiting:
            self._parking.add(waiting_record(id_, delivery))

    def remove_parked(self, key: bytes, ids: Sequence[str]) -> None:
        """Let go of records that were parked: their marks are there."""
        del key
        with store_errors():
            self._parking.remove(ids)

    def apply_decided(self, batch: Sequence[Decided], users: BatchUsers) -> dict[str, CommandReceipt]:
        """Write the effects, then the receipts."""
        outcomes: dict[str, Outcome] = refusals_of(batch) | run_handlers(batch, users, self._handlers, self._db)
        self._take_back([decided.delivery for decided in batch if decided.refusal is None])
        complete_time_ns = time.time_ns()
        receipts = {
            decided.delivery.correlation_id: make_receipt(
                decided.delivery, outcomes[decided.delivery.correlation_id], self.name, complete_time_ns
            )
            for decided in batch
        }
        now = datetime.now(UTC)
        insert_absent(self._inbox, [inbox_document(receipt, now) for receipt in receipts.values()])
        return receipts

    def _take_back(self, applied: Sequence[Delivery]) -> None:
        """Delete what was written about users whom another lane has erased since.

        A lane that stood still may go on behind one that has applied its commands, and a DeleteUser after them. That
        one's mark of the erasure was there before it deleted anything: whatever came too late for that finds it here.
        """
        checked = [delivery for delivery in applied if delivery.command.checks_user]
        if not checked:
            return
        erasures = MongoUserMemory(self._db).last_erasures(sorted({user_of(delivery) for delivery in checked}))
        topic_id = self._incarnation()
        late = [
            delivery.correlation_id
            for delivery in checked
            if (erasure := erasures.get(user_of(delivery))) is not None and erasure.is_after(delivery, topic_id)
        ]
        for collection in (VIEWS, RECOMMENDATIONS) if late else ():
            for chunk in chunks(late):
                self._db[collection].delete_many({"_id": {"$in": chunk}})


class MongoUserMemory:
    """What the MongoDB lane remembers of users: `usuarios_conhecidos`."""

    def __init__(self, db: Database[Document]) -> None:
        self._known: MongoCollection[Document] = db[KNOWN_USERS]

    def read(self, user_ids: Sequence[int]) -> dict[int, Erasure | None]:
        """Return the users that are remembered, the erased ones with their erasure."""
        found = find_by_id(self._known, [Int64(user_id) for user_id in user_ids])
        return {int(document["_id"]): _erasure(document.get("excluido_em")) for document in found}

    def last_erasures(self, user_ids: Sequence[int]) -> dict[int, Erasure]:
        """Return the last erasure of each user who has ever been erased, be there such a user again."""
        found = find_by_id(self._known, [Int64(user_id) for user_id in user_ids], ["ultima_exclusao"])
        told = {int(document["_id"]): _erasure(document.get("ultima_exclusao")) for document in found}
        return {user_id: erasure for user_id, erasure in told.items() if erasure is not None}

    def remember(self, user_ids: Sequence[int]) -> None:
        """Remember that the users exist."""
        ids = [Int64(user_id) for user_id in user_ids]
        insert_absent(self._known, [{"_id": id_} for id_ in ids])
        for chunk in chunks(ids):
            self._known.update_many(
                {"_id": {"$in": chunk}, "excluido_em": {"$exists": True}}, {"$unset": {"excluido_em": ""}}
            )

    def erase(self, erasures: Mapping[int, Erasure]) -> None:
        """Remember that the users were erased; PostgreSQL cannot be behind by more than the index's time to live."""
        now = datetime.now(UTC)
        self._known.bulk_write(
            [
                UpdateOne({"_id": Int64(user_id)}, {"$set": _excluded(erasure, now)}, upsert=True)
                for user_id, erasure in erasures.items()
            ],
            ordered=False,
        )


def _erasure(excluido_em: Document | None) -> Erasure | None:
    if excluido_em is None:
        return None
    return Erasure(excluido_em["topico"], excluido_em["particao"], excluido_em["offset"])


def _excluded(erasure: Erasure, now: datetime) -> Document:
    place = {"topico": erasure.topic_id, "particao": erasure.partition, "offset": Int64(erasure.offset)}
    return {"excluido_em": {**place, "data": now}, "ultima_exclusao": place}


def inbox_document(receipt: CommandReceipt, now: datetime) -> Document:
    """Return the mark of a command that was applied."""
    return {
        "_id": receipt.correlation_id,
        "comando": receipt.command,
        "recibo": Binary(receipt.SerializeToString()),
        "em": now,
    }


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise an error of the server's, or of the way to it, as STORE_UNAVAILABLE."""
    try:
        yield
    except PyMongoError as error:
        verdict = classify_mongodb(error)
        if not verdict.waits:
            raise
        raise PolystreamError(
            Reason.STORE_UNAVAILABLE, metadata={"store": MongoStore.name, "error": verdict.cause}
        ) from error
