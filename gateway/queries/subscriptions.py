"""Queries about subscriptions: table `assinaturas`."""

from typing import Any, Final

from polystream.v1.subscriptions_pb2 import (
    GetSubscriptionRequest,
    ListSubscriptionsRequest,
    ListSubscriptionsResponse,
    Subscription,
)

from gateway.queries.stores import Row, Stores
from mesh.errors import Reason, not_found
from mesh.pages import page_of
from mesh.stored_enums import PLANS, SUBSCRIPTION_STATES

# A subscription past its term has ended, whether or not its lane has come to say so in the table.
_GET: Final = """
SELECT id, user_id, plano, inicio, fim, CASE WHEN status = 'ativa' AND fim <= now() THEN 'expirada' ELSE status END
  FROM assinaturas
 WHERE user_id = %s AND id = %s
"""
_LIST: Final = """
SELECT id, user_id, plano, inicio, fim, CASE WHEN status = 'ativa' AND fim <= now() THEN 'expirada' ELSE status END
  FROM assinaturas
 WHERE user_id = %s AND id < %s
 ORDER BY id DESC
 LIMIT %s
"""
_NEWEST: Final = 2**63 - 1


class SubscriptionQueries:
    """`polystream.v1.SubscriptionService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_subscription(self, request: GetSubscriptionRequest, _context: Any) -> Subscription:
        """Return one subscription. Raises PolystreamError SUBSCRIPTION_NOT_FOUND."""
        rows = await self._stores.rows(_GET, (request.user_id, request.subscription_id))
        if not rows:
            raise not_found(Reason.SUBSCRIPTION_NOT_FOUND, "subscription_id")
        return _subscription(rows[0])

    async def list_subscriptions(self, request: ListSubscriptionsRequest, _context: Any) -> ListSubscriptionsResponse:
        """Return a page of a user's subscriptions, the newest first."""
        page = page_of(request, int)
        (before,) = page.after or (_NEWEST,)
        rows, more = page.cut(await self._stores.rows(_LIST, (request.user_id, before, page.size + 1)))
        return ListSubscriptionsResponse(
            subscriptions=[_subscription(row) for row in rows], next_page_token=page.token(rows[-1][0]) if more else ""
        )


def _subscription(row: Row) -> Subscription:
    subscription_id, user_id, plano, inicio, fim, status = row
    return Subscription(
        subscription_id=subscription_id,
        user_id=user_id,
        plan=PLANS.value(plano),
        start_time=inicio,
        end_time=fim,
        state=SUBSCRIPTION_STATES.value(status),
    )
