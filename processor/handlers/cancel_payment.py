"""CancelPayment: a row of `pagamentos` is taken back."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from google.type.money_pb2 import Money
from polystream.v1.payments_pb2 import CancelPaymentRequest, Payment

from mesh.errors import Reason
from mesh.texts import PAYMENT_METHODS
from processor.handling import refuse, requests_of, timestamp
from processor.model import Delivery, Outcome

_NANOS_A_CENT = 10_000_000

_CANCEL = """
UPDATE pagamentos p
   SET status = 'estornado'
  FROM unnest(%s::bigint[], %s::bigint[]) AS pedido (user_id, id)
 WHERE p.id = pedido.id
   AND p.user_id = pedido.user_id
   AND p.status = 'aprovado'
RETURNING p.user_id, p.valor, p.forma_pagamento, p.data_pagamento
"""

_FIND = """
SELECT pedido.user_id, u.user_id IS NOT NULL, p.id IS NOT NULL
  FROM unnest(%s::bigint[], %s::bigint[]) AS pedido (user_id, id)
  LEFT JOIN usuarios u ON u.user_id = pedido.user_id
  LEFT JOIN pagamentos p ON p.id = pedido.id AND p.user_id = pedido.user_id
"""

_Canceled = tuple[Decimal, str, datetime]  # valor, forma_pagamento, data_pagamento


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Take back the payments that are approved."""
    requests = requests_of(batch, CancelPaymentRequest)
    db.execute(_CANCEL, _columns(requests))
    canceled: dict[int, _Canceled] = {user_id: (valor, forma, paid) for user_id, valor, forma, paid in db.fetchall()}
    others = [request for request in requests if request.user_id not in canceled]
    refusals: dict[int, Outcome] = {}
    if others:
        db.execute(_FIND, _columns(others))
        refusals = {user_id: _refusal(has_user, has_row) for user_id, has_user, has_row in db.fetchall()}
    return [
        _canceled(request, canceled[request.user_id]) if request.user_id in canceled else refusals[request.user_id]
        for request in requests
    ]


def _canceled(request: CancelPaymentRequest, row: _Canceled) -> Outcome:
    valor, forma_pagamento, data_pagamento = row
    cents = int(valor * 100)
    return Outcome(
        result=Payment(
            payment_id=request.payment_id,
            user_id=request.user_id,
            amount=Money(currency_code="BRL", units=cents // 100, nanos=cents % 100 * _NANOS_A_CENT),
            method=PAYMENT_METHODS.value(forma_pagamento),
            state=Payment.State.CANCELED,
            pay_time=timestamp(data_pagamento),
        )
    )


def _refusal(has_user: bool, has_row: bool) -> Outcome:
    if not has_user:
        return refuse(Reason.USER_NOT_FOUND, "user_id")
    if not has_row:
        return refuse(Reason.PAYMENT_NOT_FOUND, "payment_id")
    return refuse(Reason.PAYMENT_NOT_APPROVED, "payment_id")


def _columns(requests: Sequence[CancelPaymentRequest]) -> tuple[list[int], list[int]]:
    return [request.user_id for request in requests], [request.payment_id for request in requests]
