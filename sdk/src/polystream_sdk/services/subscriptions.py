"""SubscriptionService of the API. Generated from the protos: do not edit."""

from polystream_api.polystream.v1 import (
    CancelSubscriptionRequest,
    CreateSubscriptionRequest,
    GetSubscriptionRequest,
    ListSubscriptionsRequest,
    ListSubscriptionsResponse,
    Operation,
    Subscription,
    SubscriptionPlan,
    SubscriptionServiceStub,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.pages import Pager
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import (
    CANCEL_SUBSCRIPTION_REQUEST_FIELDS,
    CREATE_SUBSCRIPTION_REQUEST_FIELDS,
    GET_SUBSCRIPTION_REQUEST_FIELDS,
    LIST_SUBSCRIPTIONS_REQUEST_FIELDS,
)


class SubscriptionService:
    """Subscriptions to a plan. Stored in PostgreSQL, table `assinaturas`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> SubscriptionServiceStub:
        return SubscriptionServiceStub(self._calls.channel)

    async def create_subscription(
        self,
        *,
        user_id: int,
        plan: SubscriptionPlan = SubscriptionPlan(0),
        months: int = 0,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Subscription]:
        """Subscribes a user to a plan. An active subscription ends when the new one begins.

        Args:
            user_id: Identifier of the user.
            plan: The plan.
            months: How long it runs, in months; 1 when 0.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.create_subscription,
            make_command(
                CreateSubscriptionRequest,
                CREATE_SUBSCRIPTION_REQUEST_FIELDS,
                user_id=user_id,
                plan=plan,
                months=months,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Subscription)

    async def get_subscription(
        self,
        *,
        user_id: int,
        subscription_id: int,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Subscription:
        """Reads one subscription.

        Args:
            user_id: Identifier of the user.
            subscription_id: Identifier of the subscription.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_subscription,
            make_request(
                GetSubscriptionRequest,
                GET_SUBSCRIPTION_REQUEST_FIELDS,
                user_id=user_id,
                subscription_id=subscription_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_subscriptions(
        self,
        *,
        user_id: int,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListSubscriptionsResponse, Subscription]:
        """Lists a user's subscriptions, newest first.

        Args:
            user_id: Identifier of the user.
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` of the page before.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_subscriptions,
            make_request(
                ListSubscriptionsRequest,
                LIST_SUBSCRIPTIONS_REQUEST_FIELDS,
                user_id=user_id,
                page_size=page_size,
                page_token=page_token,
            ),
            lambda page: page.subscriptions,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def cancel_subscription(
        self,
        *,
        user_id: int,
        subscription_id: int,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Subscription]:
        """Cancels a subscription at once. Refused with `SUBSCRIPTION_NOT_ACTIVE` where it had already ended.

        Args:
            user_id: Identifier of the user.
            subscription_id: Identifier of the subscription.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.cancel_subscription,
            make_command(
                CancelSubscriptionRequest,
                CANCEL_SUBSCRIPTION_REQUEST_FIELDS,
                user_id=user_id,
                subscription_id=subscription_id,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Subscription)
