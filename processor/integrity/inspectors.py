"""What each store can tell of itself, for a comparison with the others and with Kafka."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from typing import Any, Final, LiteralString, Protocol

import psycopg
from bson.int64 import Int64
from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.payments_pb2 import Payment
from polystream.v1.subscriptions_pb2 import Subscription

from mesh.envelope import parse_number
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from mesh.store_names import redis as keys
from mesh.store_names.mongodb import INBOX, KNOWN_USERS, PARKED_RECORDS, RECOMMENDATIONS, VIEWS
from processor.integrity.store_errors import under_its_name
from processor.stores import mongodb, postgresql, redis
from processor.stores.mongodb_documents import chunks, find_by_id
from processor.stores.redis_parking import RedisParking

_APPLIED = """
SELECT correlation_id::text FROM inbox WHERE correlation_id = ANY(%(ids)s::uuid[])
 UNION
SELECT correlation_id FROM parked_records WHERE correlation_id = ANY(%(ids)s::text[])
"""
_EXISTING = "SELECT user_id FROM usuarios WHERE user_id = ANY(%(user_ids)s::bigint[])"
# What a result says of a row is what was told of it when it was made: by then another one may have the number.
_THERE: Final[Mapping[type[Payment] | type[Subscription], LiteralString]] = {
    Payment: "SELECT id FROM pagamentos WHERE id = %s AND user_id = %s AND data_pagamento = %s",
    Subscription: "SELECT id FROM assinaturas WHERE id = %s AND user_id = %s AND inicio = %s",
}
_STATEMENT_TIMEOUT_MS: Final = 20_000
_PARKED_MAX: Final = 50_000  # records: more than a store may park
_SCAN_COUNT: Final = 1000  # keys that Redis looks at in one call


class StoreInspector(Protocol):
    """A store, as somebody from outside sees it. Its methods raise PolystreamError with STORE_UNAVAILABLE."""

    name: str

    def applied(self, correlation_ids: Sequence[str]) -> set[str]:
        """Return which of the commands the store has applied, refused or parked, as it remembers."""
        ...

    def remembers_since_ms(self) -> int:
        """Return from when on it knows of every command, in milliseconds since the epoch.

        That is 0, but where marks gave way to newer ones. That each is kept only so long is not in this.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class UserDataInspector(StoreInspector, Protocol):
    """A store that has what is a user's, and not the users."""

    def users(self) -> Iterator[int]:
        """Yield the users that it has something of, or takes for existing; some of them more than once."""
        ...

    def holders(self) -> Iterator[int]:
        """Yield of those the users that it has something of."""
        ...

    def parked_users(self) -> set[int]:
        """Return the users of whom commands are parked: a DeleteUser may be among them."""
        ...

    def erase(self, user_ids: Collection[int]) -> None:
        """Delete what is these users', and forget that they existed."""
        ...


class PostgresInspector:
    """PostgreSQL: the users are its rows."""

    name = "POSTGRESQL"

    def __init__(self, settings: PostgresSettings) -> None:
        with under_its_name(self.name, postgresql.store_errors):
            self._connection = psycopg.connect(
                settings.dsn,
                autocommit=True,
                application_name="polystream-integrity",
                options=f"-c statement_timeout={_STATEMENT_TIMEOUT_MS} -c default_transaction_read_only=on",
            )

    def applied(self, correlation_ids: Sequence[str]) -> set[str]:
        """Return which of the commands have a row in the inbox, or are parked."""
        return set(self._column(_APPLIED, {"ids": list(correlation_ids)}))

    def remembers_since_ms(self) -> int:
        """Return 0: rows go in time alone."""
        return 0

    def existing(self, user_ids: Collection[int]) -> set[int]:
        """Return which of the users there are."""
        return set(self._column(_EXISTING, {"user_ids": list(user_ids)}))

    def has_row(self, receipt: CommandReceipt) -> bool:
        """Whether the payment or the subscription that a receipt tells of is there."""
        for kind, statement in _THERE.items():
            result = kind()
            if receipt.result.type_url.rpartition("/")[2] != result.DESCRIPTOR.full_name:
                continue
            result.ParseFromString(receipt.result.value)
            if isinstance(result, Payment):
                row = (result.payment_id, result.user_id, result.pay_time.ToDatetime(UTC))
            else:
                row = (result.subscription_id, result.user_id, result.start_time.ToDatetime(UTC))
            with under_its_name(self.name, postgresql.store_errors):
                return self._connection.execute(statement, row).fetchone() is not None
        return False

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _column(self, statement: LiteralString, arguments: Mapping[str, Any]) -> list[Any]:
        with under_its_name(self.name, postgresql.store_errors):
            return [row[0] for row in self._connection.execute(statement, arguments).fetchall()]


class MongoInspector:
    """MongoDB: views and recommendations."""

    name = "MONGODB"

    def __init__(self, settings: MongoSettings) -> None:
        self._client = mongodb.connect(settings)
        self._db = mongodb.database_of(self._client)

    def applied(self, correlation_ids: Sequence[str]) -> set[str]:
        """Return which of the commands have a receipt, or are parked."""
        with under_its_name(self.name, mongodb.store_errors):
            applied = {document["_id"] for document in find_by_id(self._db[INBOX], correlation_ids, ["_id"])}
            parked = {document["correlation_id"] for document in self._db[PARKED_RECORDS].find({}, ["correlation_id"])}
        return applied | parked.intersection(correlation_ids)

    def remembers_since_ms(self) -> int:
        """Return 0: documents go in time alone."""
        return 0

    def holders(self) -> Iterator[int]:
        """Yield the users with views, or with recommendations."""
        with under_its_name(self.name, mongodb.store_errors):
            for collection in (VIEWS, RECOMMENDATIONS):
                yield from self._users_in(collection)

    def users(self) -> Iterator[int]:
        """Yield the users with views, with recommendations, or remembered and not erased."""
        yield from self.holders()
        with under_its_name(self.name, mongodb.store_errors):
            for document in self._db[KNOWN_USERS].find({"excluido_em": {"$exists": False}}, ["_id"]):
                yield int(document["_id"])

    def parked_users(self) -> set[int]:
        """Return the users of whom commands are parked."""
        with under_its_name(self.name, mongodb.store_errors):
            return _users_of(bytes(key) for key in self._db[PARKED_RECORDS].distinct("chave"))

    def erase(self, user_ids: Collection[int]) -> None:
        """Delete their documents, and what is remembered of them but that they were erased."""
        with under_its_name(self.name, mongodb.store_errors):
            for chunk in chunks([Int64(user_id) for user_id in user_ids]):
                for collection in (VIEWS, RECOMMENDATIONS):
                    self._db[collection].delete_many({"user_id": {"$in": chunk}})
                self._db[KNOWN_USERS].delete_many({"_id": {"$in": chunk}, "excluido_em": {"$exists": False}})

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _users_in(self, collection: str) -> Iterator[int]:
        """Yield each user once, by the index: from one to the next. A document that names none is nobody's."""
        wanted: dict[str, Any] = {"user_id": {"$gte": 0}}
        while True:
            found = self._db[collection].find(wanted, ["user_id"]).sort("user_id", 1).limit(1)
            document = next(iter(found), None)
            if document is None:
                return
            yield int(document["user_id"])
            wanted = {"user_id": {"$gt": document["user_id"]}}


class RedisInspector:
    """Redis: sessions."""

    name = "REDIS"

    def __init__(self, settings: RedisSettings) -> None:
        self._client = redis.connect(settings)

    def applied(self, correlation_ids: Sequence[str]) -> set[str]:
        """Return which of the commands have a marker, or are parked."""
        with under_its_name(self.name, redis.store_errors):
            pipeline = self._client.pipeline(transaction=False)
            for correlation_id in correlation_ids:
                pipeline.exists(keys.marker_key(correlation_id))
            applied = {id_ for id_, there in zip(correlation_ids, pipeline.execute(), strict=True) if there}
            parked = {one.correlation_id for one in RedisParking(self._client).all_records(_PARKED_MAX)}
        return applied | parked.intersection(correlation_ids)

    def remembers_since_ms(self) -> int:
        """Return when the newest marker was written that gave way to others."""
        with under_its_name(self.name, redis.store_errors):
            told: Any = self._client.get(keys.MARKERS_GONE)
        return int(told) if told and told.isdigit() else 0

    def holders(self) -> Iterator[int]:
        """Yield the users with sessions."""
        prefix = keys.USER_SESSIONS_PREFIX
        with under_its_name(self.name, redis.store_errors):
            for key in self._client.scan_iter(match=f"{prefix}*", count=_SCAN_COUNT):
                user_id = key.decode().removeprefix(prefix)
                if user_id.isdigit():
                    yield int(user_id)

    def users(self) -> Iterator[int]:
        """Yield the users with sessions, or remembered and not erased."""
        yield from self.holders()
        with under_its_name(self.name, redis.store_errors):
            for field, erasure in self._client.hscan_iter(keys.KNOWN_USERS, count=_SCAN_COUNT):
                if not erasure:
                    yield int(field)

    def parked_users(self) -> set[int]:
        """Return the users of whom commands are parked."""
        with under_its_name(self.name, redis.store_errors):
            parked: Any = self._client.hkeys(keys.PARKED)
        return _users_of(parked)

    def erase(self, user_ids: Collection[int]) -> None:
        """Delete their sessions, and what is remembered of them but that they were erased."""
        with under_its_name(self.name, redis.store_errors):
            for user_id in user_ids:
                index = keys.user_sessions_key(user_id)
                members: list[Any] = self._client.zrange(index, 0, -1)
                sessions = [keys.session_key(member.decode()) for member in members]
                self._client.delete(index, *sessions)
                if self._client.hget(keys.KNOWN_USERS, str(user_id)) == b"":
                    self._client.hdel(keys.KNOWN_USERS, str(user_id))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _users_of(parked: Iterable[bytes]) -> set[int]:
    """Return the users whose IDs are keys. A content's or another's may be taken for one: it is left alone as well."""
    return {user_id for user_id in map(parse_number, parked) if user_id is not None}
