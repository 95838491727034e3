"""CreatePayment: a row in `pagamentos`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from google.type.money_pb2 import Money
from polystream.v1.payments_pb2 import CreatePaymentRequest, Payment

from mesh.errors import Reason
from mesh.stored_enums import PAYMENT_METHODS
from processor.model import Delivery, Outcome, refuse, requests_of, timestamp

_NANOS_A_CENT = 10_000_000

_INSERT = """
INSERT INTO pagamentos (user_id, valor, forma_pagamento, status, data_pagamento, hash_conteudo)
SELECT user_id,
       novo.centavos * 0.01,
       novo.forma_pagamento,
       'aprovado',
       statement_timestamp(),
       hash_pagamento(user_id, novo.centavos * 0.01, novo.forma_pagamento, 'aprovado', statement_timestamp())
  FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) AS novo (user_id, centavos, forma_pagamento)
  JOIN usuarios USING (user_id)
RETURNING user_id, id, data_pagamento
"""

_Inserted = tuple[int, datetime]  # id, data_pagamento


def postgresql(batch: Sequence[Delivery], db: psycopg.Cursor[Any]) -> Sequence[Outcome]:
    """Record the payments of users that exist."""
    requests = requests_of(batch, CreatePaymentRequest)
    db.execute(
        _INSERT,
        (
            [request.user_id for request in requests],
            [_cents(request.amount) for request in requests],
            [PAYMENT_METHODS.text(request.method) for request in requests],
        ),
    )
    inserted: dict[int, _Inserted] = {user_id: (id_, paid) for user_id, id_, paid in db.fetchall()}
    return [_outcome(request, inserted.get(request.user_id)) for request in requests]


def _outcome(request: CreatePaymentRequest, inserted: _Inserted | None) -> Outcome:
    if inserted is None:
        return refuse(Reason.USER_NOT_FOUND, "user_id")
    payment_id, data_pagamento = inserted
    return Outcome(
        result=Payment(
            payment_id=payment_id,
            user_id=request.user_id,
            amount=request.amount,
            method=request.method,
            state=Payment.State.APPROVED,
            pay_time=timestamp(data_pagamento),
        )
    )


def _cents(amount: Money) -> int:
    return int(amount.units * 100 + amount.nanos // _NANOS_A_CENT)
