"""Queries about payments: table `pagamentos`."""

from decimal import Decimal
from typing import Any, Final

from google.type.money_pb2 import Money
from polystream.v1.payments_pb2 import GetPaymentRequest, ListPaymentsRequest, ListPaymentsResponse, Payment

from gateway.queries.stores import Row, Stores
from mesh.errors import Reason, not_found
from mesh.pages import page_of
from mesh.stored_enums import PAYMENT_METHODS, PAYMENT_STATES

_GET: Final = """
SELECT id, user_id, valor, forma_pagamento, status, data_pagamento
  FROM pagamentos
 WHERE user_id = %s AND id = %s
"""
_LIST: Final = """
SELECT id, user_id, valor, forma_pagamento, status, data_pagamento
  FROM pagamentos
 WHERE user_id = %s AND id < %s
 ORDER BY id DESC
 LIMIT %s
"""
_NEWEST: Final = 2**63 - 1
_CURRENCY: Final = "BRL"  # the table holds no other
_NANOS: Final = 1_000_000_000


class PaymentQueries:
    """`polystream.v1.PaymentService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_payment(self, request: GetPaymentRequest, _context: Any) -> Payment:
        """Return one payment. Raises PolystreamError PAYMENT_NOT_FOUND."""
        rows = await self._stores.rows(_GET, (request.user_id, request.payment_id))
        if not rows:
            raise not_found(Reason.PAYMENT_NOT_FOUND, "payment_id")
        return _payment(rows[0])

    async def list_payments(self, request: ListPaymentsRequest, _context: Any) -> ListPaymentsResponse:
        """Return a page of a user's payments, the newest first."""
        page = page_of(request, int)
        (before,) = page.after or (_NEWEST,)
        rows, more = page.cut(await self._stores.rows(_LIST, (request.user_id, before, page.size + 1)))
        return ListPaymentsResponse(
            payments=[_payment(row) for row in rows], next_page_token=page.token(rows[-1][0]) if more else ""
        )


def _payment(row: Row) -> Payment:
    payment_id, user_id, valor, forma_pagamento, status, data_pagamento = row
    return Payment(
        payment_id=payment_id,
        user_id=user_id,
        amount=_money(valor),
        method=PAYMENT_METHODS.value(forma_pagamento),
        state=PAYMENT_STATES.value(status),
        pay_time=data_pagamento,
    )


def _money(valor: Decimal) -> Money:
    units = int(valor)
    return Money(currency_code=_CURRENCY, units=units, nanos=int((valor - units) * _NANOS))
