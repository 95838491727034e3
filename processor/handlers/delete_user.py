"""DeleteUser: a person is erased from every store, each by its own lane."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from polystream.v1.users_pb2 import DeleteUserRequest, User

from mesh.errors import Reason
from mesh.store_names.mongodb import RECOMMENDATIONS, VIEWS
from mesh.store_names.redis import SESSION_PREFIX, user_sessions_key
from processor.model import Delivery, Outcome, refuse, requests_of, timestamp
from processor.stores.redis_plans import RedisPlan, delete_indexed

# Each lane loads the client of its own store alone: the others' would take memory for nothing.
if TYPE_CHECKING:
    import psycopg
    from pymongo.database import Database
    from redis import Redis

# What refers to the user (`assinaturas`, `pagamentos`, `preferencias`) goes with it: ON DELETE CASCADE.
_DELETE = "DELETE FROM usuarios WHERE user_id = ANY(%s::bigint[]) RETURNING user_id, data_criacao"


def postgresql(batch: Sequence[Delivery], db: "psycopg.Cursor[Any]") -> Sequence[Outcome]:
    """Delete the users and everything that is theirs."""
    user_ids = [request.user_id for request in requests_of(batch, DeleteUserRequest)]
    db.execute(_DELETE, (user_ids,))
    deleted: dict[int, datetime] = dict(db.fetchall())
    return [_outcome(user_id, deleted.get(user_id)) for user_id in user_ids]


def mongodb(batch: Sequence[Delivery], db: "Database[dict[str, Any]]") -> Sequence[Outcome]:
    """Delete the users' views and recommendations. Whether they had any is not told: PostgreSQL knows the users."""
    from processor.stores.mongodb_documents import chunks  # noqa: PLC0415 - see above

    user_ids = [request.user_id for request in requests_of(batch, DeleteUserRequest)]
    for collection in (VIEWS, RECOMMENDATIONS):
        for chunk in chunks(user_ids):
            db[collection].delete_many({"user_id": {"$in": chunk}})
    return [Outcome(result=User(user_id=user_id)) for user_id in user_ids]


def redis(batch: Sequence[Delivery], _db: "Redis") -> Sequence[RedisPlan]:
    """Plan the end of the users' sessions."""
    return [
        RedisPlan(
            outcome=Outcome(result=User(user_id=request.user_id)),
            writes=(delete_indexed(user_sessions_key(request.user_id), SESSION_PREFIX),),
        )
        for request in requests_of(batch, DeleteUserRequest)
    ]


def _outcome(user_id: int, data_criacao: datetime | None) -> Outcome:
    if data_criacao is None:
        return refuse(Reason.USER_NOT_FOUND, "user_id")
    return Outcome(result=User(user_id=user_id, create_time=timestamp(data_criacao)))
