"""UpdateUser: other values in a row of `usuarios`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from polystream.v1.users_pb2 import UpdateUserRequest, User

from mesh.errors import Reason
from processor.model import Delivery, Outcome, refuse, requests_of, timestamp

# `livre` holds the changes whose e-mail address nobody has, and of several that want the same one the first.
_UPDATE = """
WITH mudanca AS (
    SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[])
                  WITH ORDINALITY AS mudanca (user_id, nome, email, ordem)
), livre AS (
    SELECT DISTINCT ON (coalesce(lower(m.email), m.user_id::text)) m.user_id, m.nome, m.email
      FROM mudanca m
      JOIN usuarios USING (user_id)
     WHERE NOT EXISTS (
               SELECT FROM usuarios outro WHERE lower(outro.email) = lower(m.email) AND outro.user_id <> m.user_id
           )
     ORDER BY coalesce(lower(m.email), m.user_id::text), m.ordem
)
UPDATE usuarios u
   SET nome = coalesce(livre.nome, u.nome),
       email = coalesce(livre.email, u.email),
       hash_conteudo = hash_seguinte(
           u.hash_conteudo,
           hash_usuario(u.user_id, u.nome, u.email, u.cpf, u.data_criacao),
           hash_usuario(
               u.user_id, coalesce(livre.nome, u.nome), coalesce(livre.email, u.email), u.cpf, u.data_criacao
           )
       )
  FROM livre
 WHERE u.user_id = livre.user_id
RETURNING u.user_id, u.data_criacao
"""

_EXISTING = "SELECT user_id FROM usuarios WHERE user_id = ANY(%s::bigint[])"


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Change the users that exist, where nobody else has the new e-mail address."""
    requests = requests_of(batch, UpdateUserRequest)
    user_ids = [request.user_id for request in requests]
    db.execute(
        _UPDATE,
        (
            user_ids,
            [request.name if request.HasField("name") else None for request in requests],
            [request.email if request.HasField("email") else None for request in requests],
        ),
    )
    changed: dict[int, datetime] = dict(db.fetchall())
    others = [user_id for user_id in user_ids if user_id not in changed]
    existing: set[int] = set()
    if others:
        db.execute(_EXISTING, (others,))
        existing = {user_id for (user_id,) in db.fetchall()}
    return [_outcome(user_id, changed.get(user_id), user_id in existing) for user_id in user_ids]


def _outcome(user_id: int, data_criacao: datetime | None, exists: bool) -> Outcome:
    if data_criacao is not None:
        return Outcome(result=User(user_id=user_id, create_time=timestamp(data_criacao)))
    if exists:
        return refuse(Reason.EMAIL_ALREADY_EXISTS, "email")
    return refuse(Reason.USER_NOT_FOUND, "user_id")
