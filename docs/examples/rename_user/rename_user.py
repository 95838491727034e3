"""RenameUser: gives a user a nickname."""

from collections.abc import Sequence
from typing import Any

import psycopg
from polystream.v1.users_pb2 import RenameUserRequest, User

from mesh.errors import Reason
from processor.model import Delivery, Outcome, refuse, requests_of

_UPDATE = """
UPDATE usuarios u
   SET nome = novo.nome,
       hash_conteudo = hash_seguinte(
           u.hash_conteudo,
           hash_usuario(u.user_id, u.nome, u.email, u.cpf, u.data_criacao),
           hash_usuario(u.user_id, novo.nome, u.email, u.cpf, u.data_criacao)
       )
  FROM unnest(%s::bigint[], %s::text[]) AS novo (user_id, nome)
 WHERE u.user_id = novo.user_id
RETURNING u.user_id
"""


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Rename the users that exist."""
    requests = requests_of(batch, RenameUserRequest)
    user_ids = [request.user_id for request in requests]
    db.execute(_UPDATE, (user_ids, [request.name for request in requests]))
    renamed = {user_id for (user_id,) in db.fetchall()}
    return [
        Outcome(result=User(user_id=user_id)) if user_id in renamed else refuse(Reason.USER_NOT_FOUND, "user_id")
        for user_id in user_ids
    ]
