"""`polystream.monitor.v1.EventLogService`: the event log, for the gateway."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import grpc
from grpc_status import rpc_status
from polystream.monitor.v1.event_log_pb2_grpc import EventLogServiceServicer
from polystream.v1 import operations_pb2 as pb

from mesh.catalog import Catalog
from mesh.errors import FieldFault, PolystreamError, Reason
from monitor.listing.checking import conditions_of
from monitor.listing.conditions import All, Condition, Equals
from monitor.listing.fields import EVENTS, OPERATIONS, SPANS, event_values, operation_values, span_values
from monitor.listing.paging import page_for
from monitor.store.port import EventStore
from monitor.store.selection import EVENTS_MAX
from monitor.story import fold, tell

T = TypeVar("T")
Context = grpc.aio.ServicerContext[Any, Any]


class EventLog:
    """What the event store knows, as operations and stories."""

    def __init__(self, store: EventStore, catalog: Catalog) -> None:
        self._store = store
        self._catalog = catalog

    def operation(self, correlation_id: str) -> pb.Operation:
        """Return an operation. Raises PolystreamError: OPERATION_NOT_FOUND, EVENT_LOG_UNAVAILABLE."""
        events = self._store.events_of(correlation_id)
        if not events:
            raise _not_found()
        return fold([traced.event for traced in events], self._catalog)

    def story(self, correlation_id: str) -> pb.OperationStory:
        """Return an operation's story. Raises PolystreamError: OPERATION_NOT_FOUND, EVENT_LOG_UNAVAILABLE."""
        traced = self._store.events_of(correlation_id)
        if not traced:
            raise _not_found()
        is_cut = len(traced) >= EVENTS_MAX
        events_left_out = max(0, self._store.count_events(correlation_id) - len(traced)) if is_cut else 0
        found = self._store.spans_of(correlation_id)
        return tell(
            [item.event for item in traced],
            found.spans,
            self._catalog,
            sampled=any(item.sampled for item in traced),
            events_left_out=events_left_out,
            spans_left_out=found.left_out,
        )

    def operations_page(self, request: pb.ListOperationsRequest) -> pb.ListOperationsResponse:
        """Return a page of operations. Raises PolystreamError: INVALID_FIELD, INVALID_PAGE_TOKEN."""
        only: list[Condition] = [conditions_of(request.filter, OPERATIONS)]
        if request.state:
            only.append(Equals("state", pb.Operation.State.Name(request.state)))
        if request.command:
            only.append(Equals("command", request.command))
        if request.user_id:
            only.append(Equals("user_id", request.user_id))
        page = page_for(request, All(tuple(only)), OPERATIONS, self._store.operations, operation_values)
        return pb.ListOperationsResponse(
            operations=page.entries, next_page_token=page.next_token, previous_page_token=page.previous_token
        )

    def events_page(self, request: pb.ListEventsRequest) -> pb.ListEventsResponse:
        """Return a page of events. Raises PolystreamError: INVALID_FIELD, INVALID_PAGE_TOKEN."""
        page = page_for(request, conditions_of(request.filter, EVENTS), EVENTS, self._store.events, event_values)
        return pb.ListEventsResponse(
            events=page.entries, next_page_token=page.next_token, previous_page_token=page.previous_token
        )

    def spans_page(self, request: pb.ListSpansRequest) -> pb.ListSpansResponse:
        """Return a page of spans. Raises PolystreamError: INVALID_FIELD, INVALID_PAGE_TOKEN."""
        page = page_for(request, conditions_of(request.filter, SPANS), SPANS, self._store.spans, span_values)
        return pb.ListSpansResponse(
            spans=page.entries, next_page_token=page.next_token, previous_page_token=page.previous_token
        )


class EventLogServicer(EventLogServiceServicer):
    """The service's RPCs. The store is read in a thread, so that spans keep coming in meanwhile."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    async def GetOperation(  # noqa: N802 # the service's own name
        self, request: pb.GetOperationRequest, context: Context
    ) -> pb.Operation:
        """Read an operation as the events tell it."""
        return await answer(context, asyncio.to_thread(self._log.operation, request.correlation_id))

    async def ListOperations(  # noqa: N802 # the service's own name
        self, request: pb.ListOperationsRequest, context: Context
    ) -> pb.ListOperationsResponse:
        """List operations, newest first."""
        return await answer(context, asyncio.to_thread(self._log.operations_page, request))

    async def ListEvents(  # noqa: N802 # the service's own name
        self, request: pb.ListEventsRequest, context: Context
    ) -> pb.ListEventsResponse:
        """List events, newest first."""
        return await answer(context, asyncio.to_thread(self._log.events_page, request))

    async def ListSpans(  # noqa: N802 # the service's own name
        self, request: pb.ListSpansRequest, context: Context
    ) -> pb.ListSpansResponse:
        """List spans, newest first."""
        return await answer(context, asyncio.to_thread(self._log.spans_page, request))

    async def ExplainOperation(  # noqa: N802 # the service's own name
        self, request: pb.ExplainOperationRequest, context: Context
    ) -> pb.OperationStory:
        """Tell an operation's whole story."""
        return await answer(context, asyncio.to_thread(self._log.story, request.correlation_id))


async def answer(context: Context, result: Awaitable[T]) -> T:
    """Return the result of a call, or end it with the status of its error."""
    try:
        return await result
    except PolystreamError as error:
        await context.abort_with_status(rpc_status.to_status(error.to_status()))
        raise  # not reached: abort_with_status raises


def _not_found() -> PolystreamError:
    return PolystreamError(
        Reason.OPERATION_NOT_FOUND, faults=[FieldFault("correlation_id", "no operation has this correlation ID")]
    )
