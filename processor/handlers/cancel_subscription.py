"""CancelSubscription: a row of `assinaturas` ends at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from polystream.v1.subscriptions_pb2 import CancelSubscriptionRequest, Subscription

from mesh.errors import Reason
from mesh.texts import PLANS
from processor.handling import refuse, requests_of, timestamp
from processor.model import Delivery, Outcome

# `ativa` alone does not mean in force: a row past its term is marked `expirada` only now and then.
_CANCEL = """
UPDATE assinaturas a
   SET status = 'cancelada', fim = statement_timestamp()
  FROM unnest(%s::bigint[], %s::bigint[]) AS pedido (user_id, id)
 WHERE a.id = pedido.id
   AND a.user_id = pedido.user_id
   AND a.status = 'ativa'
   AND a.fim > statement_timestamp()
RETURNING a.user_id, a.plano, a.inicio, a.fim
"""

_FIND = """
SELECT pedido.user_id, u.user_id IS NOT NULL, a.id IS NOT NULL
  FROM unnest(%s::bigint[], %s::bigint[]) AS pedido (user_id, id)
  LEFT JOIN usuarios u ON u.user_id = pedido.user_id
  LEFT JOIN assinaturas a ON a.id = pedido.id AND a.user_id = pedido.user_id
"""

_Canceled = tuple[str, datetime, datetime]  # plano, inicio, fim


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Cancel the subscriptions that are in force."""
    requests = requests_of(batch, CancelSubscriptionRequest)
    db.execute(_CANCEL, _columns(requests))
    canceled: dict[int, _Canceled] = {user_id: (plano, inicio, fim) for user_id, plano, inicio, fim in db.fetchall()}
    others = [request for request in requests if request.user_id not in canceled]
    refusals: dict[int, Outcome] = {}
    if others:
        db.execute(_FIND, _columns(others))
        refusals = {user_id: _refusal(has_user, has_row) for user_id, has_user, has_row in db.fetchall()}
    return [
        _canceled(request, canceled[request.user_id]) if request.user_id in canceled else refusals[request.user_id]
        for request in requests
    ]


def _canceled(request: CancelSubscriptionRequest, row: _Canceled) -> Outcome:
    plano, inicio, fim = row
    return Outcome(
        result=Subscription(
            subscription_id=request.subscription_id,
            user_id=request.user_id,
            plan=PLANS.value(plano),
            start_time=timestamp(inicio),
            end_time=timestamp(fim),
            state=Subscription.State.CANCELED,
        )
    )


def _refusal(has_user: bool, has_row: bool) -> Outcome:
    if not has_user:
        return refuse(Reason.USER_NOT_FOUND, "user_id")
    if not has_row:
        return refuse(Reason.SUBSCRIPTION_NOT_FOUND, "subscription_id")
    return refuse(Reason.SUBSCRIPTION_NOT_ACTIVE, "subscription_id")


def _columns(requests: Sequence[CancelSubscriptionRequest]) -> tuple[list[int], list[int]]:
    return [request.user_id for request in requests], [request.subscription_id for request in requests]
