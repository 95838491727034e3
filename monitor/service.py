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
from mesh.pages import page_of
from monitor.store.port import EventStore, OperationFilter, Position
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

    def page(self, request: pb.ListOperationsRequest) -> pb.ListOperationsResponse:
        """Return a page of operations, newest first. Raises PolystreamError: INVALID_PAGE_TOKEN."""
        only = OperationFilter(request.state, request.command, request.user_id)
        page = page_of(request, int, str)
        after = Position(*page.after) if page.after is not None else None  # type: ignore[arg-type] # of those types
        operations, has_more = page.cut(self._store.operations(only, after, page.size + 1))
        token = (
            page.token(operations[-1].accept_time.ToMicroseconds(), operations[-1].correlation_id) if has_more else ""
        )
        return pb.ListOperationsResponse(operations=operations, next_page_token=token)


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
        return await answer(context, asyncio.to_thread(self._log.page, request))

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
