"""The databases that a replay fills: each is empty of the platform's, or is emptied, and is never the live one."""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC
from itertools import islice
from typing import Any, Final, Protocol

from bson.binary import Binary
from polystream.v1.events_pb2 import CommandReceipt
from pymongo import UpdateOne

from mesh.errors import PolystreamError
from mesh.settings import LaneSettings, MongoSettings, RedisSettings
from mesh.store_names import mongodb as collections
from mesh.store_names import redis as keys
from processor.integrity.inspectors import MongoInspector, RedisInspector, UserDataInspector
from processor.integrity.mongodb_door import MongoDoor
from processor.integrity.redis_door import RedisDoor
from processor.integrity.store_errors import under_its_name
from processor.stores import mongodb, redis
from processor.stores.redis_markers import MarkerBounds

_COLLECTIONS: Final = (
    collections.VIEWS,
    collections.DELETED_VIEWS,
    collections.RECOMMENDATIONS,
    collections.POPULAR,
    collections.INBOX,
    collections.KNOWN_USERS,
    collections.PARKED_RECORDS,
    collections.POSITIONS,
)
_PREFIXES: Final = tuple(
    prefix.encode()
    for prefix in (
        keys.CONTENT_PREFIX,
        keys.SESSION_PREFIX,
        keys.USER_SESSIONS_PREFIX,
        keys.MARKER_PREFIX,
        keys.PARKED_PREFIX,
        keys.PARKED_RECORDS_PREFIX,
        keys.OPERATION_PREFIX,
        keys.REQUEST_PREFIX,
    )
)
_NAMES: Final = frozenset(
    name.encode()
    for name in (
        keys.CONTENTS, keys.CACHE_HITS, keys.CACHE_MISSES, keys.MARKERS, keys.MARKERS_BYTES, keys.MARKERS_GONE,
        keys.OPERATIONS, keys.OPERATIONS_BYTES, keys.REQUESTS, keys.REQUESTS_BYTES, keys.REQUESTS_SINCE,
        keys.REQUESTS_GONE, keys.KNOWN_USERS, keys.PARKED, keys.POSITIONS,
    )
)  # fmt: skip
_PROBE: Final = "replay_target"  # what is written for a moment, to see whether the live database has it too
_PROBE_TTL_MS: Final = 10_000
_BATCH_KEYS: Final = 1000


class ReplayTarget(Protocol):
    """A database to fill. Its methods raise PolystreamError with STORE_UNAVAILABLE."""

    cannot: Sequence[str]  # what comes out otherwise than in the live store, in sentences
    inspector: UserDataInspector

    @property
    def door(self) -> MongoDoor | RedisDoor:
        """Its back door, for the validator."""
        ...

    def is_live(self) -> bool:
        """Whether what is written here is in the live database."""
        ...

    def is_empty(self) -> bool:
        """Whether the platform has nothing here."""
        ...

    def clear(self) -> None:
        """Delete what the platform has here, and nothing else."""
        ...

    def prepare(self) -> None:
        """Make what has to be there before the first command is applied."""
        ...

    def keep_answers(self, receipts: Sequence[CommandReceipt]) -> None:
        """Let the marks of commands hold what the live store has answered."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class MongoTarget:
    """A database of MongoDB."""

    cannot: Sequence[str] = (
        "the times of marks are to the microsecond, and those from which marks and erasures are kept are the replay's",
        f"{collections.POPULAR} is not filled: the next recommendations count it anew",
    )

    def __init__(self, settings: MongoSettings, live: MongoSettings, marker_ttl_s: int) -> None:
        self.door = MongoDoor(settings)
        self.inspector: UserDataInspector = MongoInspector(settings)
        self._live = mongodb.connect(live)
        self._marker_ttl_s = marker_ttl_s

    def is_live(self) -> bool:
        """Whether what is written here is in the live database; not where that is not reached."""
        probe = {"_id": uuid.uuid4().hex}
        with self._errors():
            self.door.db[_PROBE].insert_one(probe)
        try:
            with mongodb.store_errors():
                return mongodb.database_of(self._live)[_PROBE].find_one(probe) is not None
        except PolystreamError:
            return False
        finally:
            with self._errors():
                self.door.db[_PROBE].delete_one(probe)
                if self.door.db[_PROBE].find_one({}, ["_id"]) is None:
                    self.door.db.drop_collection(_PROBE)

    def is_empty(self) -> bool:
        """Whether the platform has nothing here."""
        with self._errors():
            return all(self.door.db[name].find_one({}, ["_id"]) is None for name in _COLLECTIONS)

    def clear(self) -> None:
        """Delete the platform's collections."""
        with self._errors():
            for name in _COLLECTIONS:
                self.door.db.drop_collection(name)

    def prepare(self) -> None:
        """Make the indexes."""
        with self._errors():
            mongodb.ensure_indexes(self.door.db, self._marker_ttl_s)

    def keep_answers(self, receipts: Sequence[CommandReceipt]) -> None:
        """Let the marks hold the live store's answers, and be forgotten when those are."""
        changes = [
            UpdateOne(
                {"_id": one.correlation_id},
                {"$set": {"recibo": Binary(one.SerializeToString()), "em": one.complete_time.ToDatetime(UTC)}},
            )
            for one in receipts
        ]
        if changes:
            with self._errors():
                self.door.db[collections.INBOX].bulk_write(changes, ordered=False)

    def close(self) -> None:
        """Close the connections."""
        self.door.close()
        self.inspector.close()
        self._live.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with under_its_name("MONGODB", mongodb.store_errors):
            yield


class RedisTarget:
    """A database of Redis."""

    cannot: Sequence[str] = (
        "what has expired by now is not there, nor in any index",
        "the times of marks are to the microsecond, and marks are kept anew for their whole time",
        "operations, request IDs and the counters of the cache are the gateways': they are not in the log of commands",
    )

    def __init__(self, settings: RedisSettings, live: RedisSettings, markers: MarkerBounds) -> None:
        self.door = RedisDoor(settings, markers)
        self.inspector: UserDataInspector = RedisInspector(settings)
        self._live = redis.connect(live)

    def is_live(self) -> bool:
        """Whether what is written here is in the live database; not where that is not reached."""
        probe = f"{_PROBE}:{uuid.uuid4().hex}"
        with self._errors():
            self.door.client.set(probe, b"", px=_PROBE_TTL_MS)
        try:
            with redis.store_errors():
                return bool(self._live.exists(probe))
        except PolystreamError:
            return False
        finally:
            with self._errors():
                self.door.client.delete(probe)

    def is_empty(self) -> bool:
        """Whether the platform has nothing here."""
        with self._errors():
            return next(self._own(), None) is None

    def clear(self) -> None:
        """Delete the platform's keys."""
        with self._errors():
            own = self._own()
            while batch := list(islice(own, _BATCH_KEYS)):
                self.door.client.unlink(*batch)

    def prepare(self) -> None:
        """Make nothing: keys come with what they hold."""

    def keep_answers(self, receipts: Sequence[CommandReceipt]) -> None:
        """Let the markers hold the live store's answers."""
        with self._errors():
            pipeline = self.door.client.pipeline(transaction=False)
            for one in receipts:
                pipeline.set(keys.marker_key(one.correlation_id), one.SerializeToString(), xx=True, keepttl=True)
            pipeline.execute()

    def close(self) -> None:
        """Close the connections."""
        self.door.close()
        self.inspector.close()
        self._live.close()

    def _own(self) -> Iterator[bytes]:
        found: Any = self.door.client.scan_iter(count=_BATCH_KEYS)
        return (name for name in found if name in _NAMES or name.startswith(_PREFIXES))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with under_its_name("REDIS", redis.store_errors):
            yield


def open_target(url: str, live: MongoSettings | RedisSettings, lane: LaneSettings) -> ReplayTarget:
    """Return the target that a URL names, of the kind that the live database is.

    Raises SettingsError where it is no such URL.
    """
    if isinstance(live, MongoSettings):
        return MongoTarget(MongoSettings(url=url), live, lane.marker_ttl_s)
    markers = MarkerBounds(lane.marker_ttl_s, lane.redis_marks_max_bytes)
    return RedisTarget(RedisSettings(url=url), live, markers)
