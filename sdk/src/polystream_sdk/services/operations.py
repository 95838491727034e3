"""OperationService of the API. Generated from the protos: do not edit."""

from collections.abc import AsyncIterator
from datetime import timedelta

from polystream_api.polystream.v1 import (
    Event,
    ExplainOperationRequest,
    GetOperationRequest,
    ListEventsRequest,
    ListEventsResponse,
    ListOperationsRequest,
    ListOperationsResponse,
    ListSpansRequest,
    ListSpansResponse,
    Operation,
    OperationServiceStub,
    OperationState,
    OperationStory,
    Span,
    WaitOperationRequest,
    WatchOperationRequest,
)
from polystream_sdk.calls import ClientCalls
from polystream_sdk.pages import Pager
from polystream_sdk.requests import make_request
from polystream_sdk.services._fields import (
    EXPLAIN_OPERATION_REQUEST_FIELDS,
    GET_OPERATION_REQUEST_FIELDS,
    LIST_EVENTS_REQUEST_FIELDS,
    LIST_OPERATIONS_REQUEST_FIELDS,
    LIST_SPANS_REQUEST_FIELDS,
    WAIT_OPERATION_REQUEST_FIELDS,
    WATCH_OPERATION_REQUEST_FIELDS,
)


class OperationService:
    """What became of a command. The same operations are served to standard clients by
    `google.longrunning.Operations`.
    """

    def __init__(self, calls: ClientCalls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> OperationServiceStub:
        return OperationServiceStub(self._calls.channel)

    async def get_operation(
        self,
        *,
        correlation_id: str,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Operation:
        """Reads an operation.

        Args:
            correlation_id: The operation's correlation ID.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_operation,
            make_request(GetOperationRequest, GET_OPERATION_REQUEST_FIELDS, correlation_id=correlation_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def wait_operation(
        self,
        *,
        correlation_id: str,
        timeout: timedelta | None = None,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Operation:
        """Waits until the operation is done or the timeout has passed, and returns it as it then stands.

        Args:
            correlation_id: The operation's correlation ID.
            timeout: How long to wait at the most; 10 s when not set, 60 s at the most. The call's own deadline
                ends the wait too.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.wait_operation,
            make_request(
                WaitOperationRequest,
                WAIT_OPERATION_REQUEST_FIELDS,
                correlation_id=correlation_id,
                timeout=timeout,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def watch_operation(
        self,
        *,
        correlation_id: str,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> AsyncIterator[Operation]:
        """Sends the operation as it stands, then after every change, and ends when it is done.

        Args:
            correlation_id: The operation's correlation ID.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.stream(
            self._stub.watch_operation,
            make_request(WatchOperationRequest, WATCH_OPERATION_REQUEST_FIELDS, correlation_id=correlation_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_operations(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        state: OperationState = OperationState(0),
        command: str = "",
        user_id: int = 0,
        filter: str = "",
        order_by: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListOperationsResponse, Operation]:
        """Lists operations, newest first, from the event log.

        Args:
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` or `previous_page_token` of another page of this list, with the same
                filter and order.
            state: Only operations in this state.
            command: Only this command.
            user_id: Only operations about this user.
            filter: Only operations of which this is true, as AIP-160 has it: `state = FAILED AND accept_time >=
                '2026-01-31T12:00:00Z'`. Fields: `correlation_id`, `command`, `state`, `user_id`, `store`,
                `store_states.postgresql` (and of the other stores), `reason`, `error`, `accept_time`,
                `complete_time`, `duration_ms`, `trace_id`. A word alone is looked for in the error.
            order_by: `accept_time`, `complete_time` or `duration_ms`, or several of them after a comma, each with
                ` desc` behind it where the largest is to come first. Newest first when empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_operations,
            make_request(
                ListOperationsRequest,
                LIST_OPERATIONS_REQUEST_FIELDS,
                page_size=page_size,
                page_token=page_token,
                state=state,
                command=command,
                user_id=user_id,
                filter=filter,
                order_by=order_by,
            ),
            lambda page: page.operations,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_events(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        filter: str = "",
        order_by: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListEventsResponse, Event]:
        """Lists events of all commands, newest first, from the event log.

        Args:
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` or `previous_page_token` of another page of this list, with the same
                filter and order.
            filter: Only events of which this is true, as AIP-160 has it: `event_type = 'command.failed' AND store
                = MONGODB`. Fields: `correlation_id`, `command`, `user_id`, `event_type`, `status`, `service`,
                `store`, `reason`, `error`, `timestamp`, `duration_ms`, `trace_id`, `waits_behind`, `topic`. A
                word alone is looked for in the error.
            order_by: `timestamp` or `duration_ms`, or both after a comma, each with ` desc` behind it where the
                largest is to come first. Newest first when empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_events,
            make_request(
                ListEventsRequest,
                LIST_EVENTS_REQUEST_FIELDS,
                page_size=page_size,
                page_token=page_token,
                filter=filter,
                order_by=order_by,
            ),
            lambda page: page.events,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_spans(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        filter: str = "",
        order_by: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListSpansResponse, Span]:
        """Lists spans of all traces, newest first, from the event log.

        Args:
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` or `previous_page_token` of another page of this list, with the same
                filter and order.
            filter: Only spans of which this is true, as AIP-160 has it: `service = gateway AND duration_ms >
                100`. Fields: `correlation_id`, `trace_id`, `span_id`, `parent_span_id`, `service`, `name`,
                `kind`, `start_time`, `duration_ms`, `error`, `attributes.rpc.method` (and every other attribute,
                compared as a whole, as text). A word alone is looked for in the name.
            order_by: `start_time` or `duration_ms`, or both after a comma, each with ` desc` behind it where the
                largest is to come first. Newest first when empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_spans,
            make_request(
                ListSpansRequest,
                LIST_SPANS_REQUEST_FIELDS,
                page_size=page_size,
                page_token=page_token,
                filter=filter,
                order_by=order_by,
            ),
            lambda page: page.spans,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def explain_operation(
        self,
        *,
        correlation_id: str,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationStory:
        """Tells the operation's whole story: every hop, each store's receipt, its spans, and what is missing.

        Args:
            correlation_id: The operation's correlation ID.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.explain_operation,
            make_request(ExplainOperationRequest, EXPLAIN_OPERATION_REQUEST_FIELDS, correlation_id=correlation_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
