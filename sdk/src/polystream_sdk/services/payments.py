"""PaymentService of the API. Generated from the protos: do not edit."""

from polystream_api.google.type import Money
from polystream_api.polystream.v1 import (
    CancelPaymentRequest,
    CreatePaymentRequest,
    GetPaymentRequest,
    ListPaymentsRequest,
    ListPaymentsResponse,
    Operation,
    Payment,
    PaymentMethod,
    PaymentServiceStub,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.pages import Pager
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import (
    CANCEL_PAYMENT_REQUEST_FIELDS,
    CREATE_PAYMENT_REQUEST_FIELDS,
    GET_PAYMENT_REQUEST_FIELDS,
    LIST_PAYMENTS_REQUEST_FIELDS,
)


class PaymentService:
    """Payments. Stored in PostgreSQL, table `pagamentos`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> PaymentServiceStub:
        return PaymentServiceStub(self._calls.channel)

    async def create_payment(
        self,
        *,
        user_id: int,
        amount: Money | None = None,
        method: PaymentMethod = PaymentMethod(0),
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Payment]:
        """Records a payment.

        Args:
            user_id: Identifier of the user.
            amount: How much: Brazilian reais (BRL), whole cents, more than zero, at most 1,000,000.
            method: How it is paid.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.create_payment,
            make_command(
                CreatePaymentRequest,
                CREATE_PAYMENT_REQUEST_FIELDS,
                user_id=user_id,
                amount=amount,
                method=method,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Payment)

    async def get_payment(
        self,
        *,
        user_id: int,
        payment_id: int,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Payment:
        """Reads one payment.

        Args:
            user_id: Identifier of the user.
            payment_id: Identifier of the payment.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_payment,
            make_request(GetPaymentRequest, GET_PAYMENT_REQUEST_FIELDS, user_id=user_id, payment_id=payment_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_payments(
        self,
        *,
        user_id: int,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListPaymentsResponse, Payment]:
        """Lists a user's payments, newest first.

        Args:
            user_id: Identifier of the user.
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` of the page before.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_payments,
            make_request(
                ListPaymentsRequest,
                LIST_PAYMENTS_REQUEST_FIELDS,
                user_id=user_id,
                page_size=page_size,
                page_token=page_token,
            ),
            lambda page: page.payments,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def cancel_payment(
        self,
        *,
        user_id: int,
        payment_id: int,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Payment]:
        """Takes a payment back. Refused with `PAYMENT_NOT_APPROVED` where it had been taken back already.

        Args:
            user_id: Identifier of the user.
            payment_id: Identifier of the payment.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.cancel_payment,
            make_command(
                CancelPaymentRequest,
                CANCEL_PAYMENT_REQUEST_FIELDS,
                user_id=user_id,
                payment_id=payment_id,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Payment)
