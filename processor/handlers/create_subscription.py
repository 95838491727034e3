"""CreateSubscription: a row in `assinaturas`, in force at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from polystream.v1.subscriptions_pb2 import CreateSubscriptionRequest, Subscription

from mesh.errors import Reason
from mesh.stored_enums import PLANS
from processor.model import Delivery, Outcome, refuse, requests_of, timestamp

_DEFAULT_MONTHS = 1

_END_ACTIVE = """
UPDATE assinaturas
   SET status = CASE WHEN fim <= statement_timestamp() THEN 'expirada' ELSE 'cancelada' END,
       fim = least(fim, statement_timestamp()),
       hash_conteudo = hash_seguinte(
           hash_conteudo,
           hash_assinatura(user_id, plano, inicio, fim, status),
           hash_assinatura(
               user_id,
               plano,
               inicio,
               least(fim, statement_timestamp()),
               CASE WHEN fim <= statement_timestamp() THEN 'expirada' ELSE 'cancelada' END
           )
       )
 WHERE user_id = ANY(%s::bigint[])
   AND status = 'ativa'
"""

_INSERT = """
INSERT INTO assinaturas (user_id, plano, inicio, fim, status, hash_conteudo)
SELECT user_id,
       nova.plano,
       statement_timestamp(),
       statement_timestamp() + make_interval(months => nova.meses),
       'ativa',
       hash_assinatura(
           user_id,
           nova.plano,
           statement_timestamp(),
           statement_timestamp() + make_interval(months => nova.meses),
           'ativa'
       )
  FROM unnest(%s::bigint[], %s::text[], %s::integer[]) AS nova (user_id, plano, meses)
  JOIN usuarios USING (user_id)
RETURNING user_id, id, inicio, fim
"""

_Inserted = tuple[int, datetime, datetime]  # id, inicio, fim


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """End each user's active subscription, and begin the new one."""
    requests = requests_of(batch, CreateSubscriptionRequest)
    user_ids = [request.user_id for request in requests]
    plans = [PLANS.text(request.plan) for request in requests]
    months = [request.months or _DEFAULT_MONTHS for request in requests]
    db.execute(_END_ACTIVE, (user_ids,))
    db.execute(_INSERT, (user_ids, plans, months))
    inserted: dict[int, _Inserted] = {user_id: (id_, inicio, fim) for user_id, id_, inicio, fim in db.fetchall()}
    return [_outcome(request, inserted.get(request.user_id)) for request in requests]


def _outcome(request: CreateSubscriptionRequest, inserted: _Inserted | None) -> Outcome:
    if inserted is None:
        return refuse(Reason.USER_NOT_FOUND, "user_id")
    subscription_id, inicio, fim = inserted
    return Outcome(
        result=Subscription(
            subscription_id=subscription_id,
            user_id=request.user_id,
            plan=request.plan,
            start_time=timestamp(inicio),
            end_time=timestamp(fim),
            state=Subscription.State.ACTIVE,
        )
    )
