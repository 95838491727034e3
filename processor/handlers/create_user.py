"""CreateUser: a row in `usuarios`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from polystream.v1.users_pb2 import CreateUserRequest, User

from mesh.errors import Reason
from mesh.ids import derived_user_id
from processor.model import Delivery, Outcome, refuse, requests_of, timestamp

# Also passes over a row that would collide with another row of the same statement: the first one wins.
_INSERT = """
INSERT INTO usuarios (user_id, nome, email, cpf, data_criacao, hash_conteudo)
SELECT user_id, nome, email, cpf, now(), hash_usuario(user_id, nome, email, cpf, now())
  FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[])
       WITH ORDINALITY AS novo (user_id, nome, email, cpf, ordem)
 ORDER BY ordem
    ON CONFLICT DO NOTHING
RETURNING user_id, data_criacao
"""

_COLLISIONS = """
SELECT EXISTS (SELECT FROM usuarios u WHERE u.user_id = novo.user_id),
       EXISTS (SELECT FROM usuarios u WHERE lower(u.email) = lower(novo.email)),
       EXISTS (SELECT FROM usuarios u WHERE u.cpf = novo.cpf)
  FROM unnest(%s::bigint[], %s::text[], %s::text[]) WITH ORDINALITY AS novo (user_id, email, cpf, ordem)
 ORDER BY ordem
"""

_Row = tuple[int, str, str, str]  # user_id, nome, email, cpf


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Insert the users whose user_id, e-mail address and CPF nobody has."""
    rows: list[_Row] = [
        (
            request.user_id or derived_user_id(delivery.correlation_id),
            request.name,
            request.email,
            request.cpf.replace(".", "").replace("-", ""),
        )
        for delivery, request in zip(batch, requests_of(batch, CreateUserRequest), strict=True)
    ]
    db.execute(_INSERT, _columns(rows))
    created: dict[int, datetime] = dict(db.fetchall())
    outcomes = [_created(row[0], created.pop(row[0], None)) for row in rows]
    refused = [position for position, outcome in enumerate(outcomes) if outcome is None]
    refusals = iter(_refusals([rows[position] for position in refused], db))
    return [outcome or next(refusals) for outcome in outcomes]


def _created(user_id: int, data_criacao: datetime | None) -> Outcome | None:
    if data_criacao is None:
        return None
    return Outcome(result=User(user_id=user_id, create_time=timestamp(data_criacao)))


def _refusals(rows: Sequence[_Row], db: psycopg.Cursor[Any]) -> list[Outcome]:
    """Say for each row which of its values somebody has."""
    if not rows:
        return []
    user_ids, _, emails, cpfs = _columns(rows)
    db.execute(_COLLISIONS, (user_ids, emails, cpfs))
    return [_refusal(*taken) for taken in db.fetchall()]


def _refusal(user_id_taken: bool, email_taken: bool, cpf_taken: bool) -> Outcome:
    if user_id_taken:
        return refuse(Reason.USER_ALREADY_EXISTS, "user_id")
    if email_taken:
        return refuse(Reason.EMAIL_ALREADY_EXISTS, "email")
    if cpf_taken:
        return refuse(Reason.CPF_ALREADY_EXISTS, "cpf")
    # Whoever had the value has been deleted by another lane in this instant: the batch is to be repeated.
    raise psycopg.errors.SerializationFailure("the row in the way of a new user is gone")


def _columns(rows: Sequence[_Row]) -> tuple[list[int], list[str], list[str], list[str]]:
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows], [r[3] for r in rows]
