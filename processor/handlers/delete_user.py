"""DeleteUser: a person is erased from every store, each by its own lane."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from polystream.v1.users_pb2 import DeleteUserRequest, User

from mesh.errors import Reason
from processor.handling import refuse, requests_of, timestamp
from processor.model import Delivery, Outcome

# What refers to the user (`assinaturas`, `pagamentos`, `preferencias`) goes with it: ON DELETE CASCADE.
_DELETE = "DELETE FROM usuarios WHERE user_id = ANY(%s::bigint[]) RETURNING user_id, data_criacao"


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Delete the users and everything that is theirs."""
    user_ids = [request.user_id for request in requests_of(batch, DeleteUserRequest)]
    db.execute(_DELETE, (user_ids,))
    deleted: dict[int, datetime] = dict(db.fetchall())
    return [_outcome(user_id, deleted.get(user_id)) for user_id in user_ids]


def _outcome(user_id: int, data_criacao: datetime | None) -> Outcome:
    if data_criacao is None:
        return refuse(Reason.USER_NOT_FOUND, "user_id")
    return Outcome(result=User(user_id=user_id, create_time=timestamp(data_criacao)))
