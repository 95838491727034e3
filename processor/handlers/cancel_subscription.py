"""CancelSubscription: a row of `assinaturas` ends at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from polystream.v1.subscriptions_pb2 import CancelSubscriptionRequest, Subscription

from mesh.errors import Reason
from mesh.stored_enums import PLANS
from processor.model import Delivery, Outcome, requests_of, timestamp
from processor.stores.postgresql_cancellation import Cancellation

# `ativa` alone does not mean in force: a row past its term is marked `expirada` only now and then.
_CANCEL = """
UPDATE assinaturas a
   SET status = 'cancelada',
       fim = statement_timestamp(),
       hash_conteudo = hash_seguinte(
           a.hash_conteudo,
           hash_assinatura(a.user_id, a.plano, a.inicio, a.fim, a.status),
           hash_assinatura(a.user_id, a.plano, a.inicio, statement_timestamp(), 'cancelada')
       )
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

_CANCELLATION = Cancellation(
    cancel=_CANCEL,
    find=_FIND,
    field="subscription_id",
    not_found=Reason.SUBSCRIPTION_NOT_FOUND,
    not_cancelable=Reason.SUBSCRIPTION_NOT_ACTIVE,
)


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Cancel the subscriptions that are in force."""
    requests = requests_of(batch, CancelSubscriptionRequest)
    canceled, refusals = _CANCELLATION.run([r.user_id for r in requests], [r.subscription_id for r in requests], db)
    return [refusals.get(r.user_id) or _canceled(r, *canceled[r.user_id]) for r in requests]


def _canceled(request: CancelSubscriptionRequest, plano: str, inicio: datetime, fim: datetime) -> Outcome:
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
