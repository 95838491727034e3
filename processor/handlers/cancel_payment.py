"""CancelPayment: a row of `pagamentos` is taken back."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
from google.type.money_pb2 import Money
from polystream.v1.payments_pb2 import CancelPaymentRequest, Payment

from mesh.errors import Reason
from mesh.stored_enums import PAYMENT_METHODS
from processor.model import Delivery, Outcome, requests_of, timestamp
from processor.stores.postgresql_cancellation import Cancellation

_NANOS_A_CENT = 10_000_000

_CANCEL = """
UPDATE pagamentos p
   SET status = 'estornado',
       hash_conteudo = hash_seguinte(
           p.hash_conteudo,
           hash_pagamento(p.user_id, p.valor, p.forma_pagamento, p.status, p.data_pagamento),
           hash_pagamento(p.user_id, p.valor, p.forma_pagamento, 'estornado', p.data_pagamento)
       )
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

_CANCELLATION = Cancellation(
    cancel=_CANCEL,
    find=_FIND,
    field="payment_id",
    not_found=Reason.PAYMENT_NOT_FOUND,
    not_cancelable=Reason.PAYMENT_NOT_APPROVED,
)


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Take back the payments that are approved."""
    requests = requests_of(batch, CancelPaymentRequest)
    canceled, refusals = _CANCELLATION.run([r.user_id for r in requests], [r.payment_id for r in requests], db)
    return [refusals.get(r.user_id) or _canceled(r, *canceled[r.user_id]) for r in requests]


def _canceled(request: CancelPaymentRequest, valor: Decimal, forma_pagamento: str, data_pagamento: datetime) -> Outcome:
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
