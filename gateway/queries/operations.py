"""Queries about operations."""

from collections.abc import AsyncIterator
from typing import Any

from polystream.v1.operations_pb2 import (
    ExplainOperationRequest,
    GetOperationRequest,
    ListEventsRequest,
    ListEventsResponse,
    ListOperationsRequest,
    ListOperationsResponse,
    ListSpansRequest,
    ListSpansResponse,
    Operation,
    OperationStory,
    WaitOperationRequest,
    WatchOperationRequest,
)

from gateway.operations.event_log import EventLogClient
from gateway.operations.tracker import OperationTracker, wait_timeout_s
from mesh.errors import Reason, not_found


class OperationQueries:
    """`polystream.v1.OperationService`. Every method raises PolystreamError as the tracker and the event log do."""

    def __init__(self, tracker: OperationTracker, event_log: EventLogClient) -> None:
        self._tracker = tracker
        self._event_log = event_log

    async def get_operation(self, request: GetOperationRequest, _context: Any) -> Operation:
        """Return one operation. Raises PolystreamError OPERATION_NOT_FOUND."""
        operation = await self._tracker.find(request.correlation_id)
        if operation is None:
            raise not_found(Reason.OPERATION_NOT_FOUND, "correlation_id")
        return operation

    async def wait_operation(self, request: WaitOperationRequest, context: Any) -> Operation:
        """Return one operation once it is done, or as it stands after the timeout."""
        asked_s = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else None
        operation = await self._tracker.wait(request.correlation_id, wait_timeout_s(asked_s, context))
        if operation is None:
            raise not_found(Reason.OPERATION_NOT_FOUND, "correlation_id")
        return operation

    async def watch_operation(self, request: WatchOperationRequest, _context: Any) -> AsyncIterator[Operation]:
        """Give one operation as it stands, then after every change, until it is done."""
        async for operation in self._tracker.watch(request.correlation_id):
            yield operation

    async def list_operations(self, request: ListOperationsRequest, _context: Any) -> ListOperationsResponse:
        """Return a page of operations, the newest first, from the event log."""
        return await self._event_log.list(request)

    async def list_events(self, request: ListEventsRequest, _context: Any) -> ListEventsResponse:
        """Return a page of events, the newest first, from the event log."""
        return await self._event_log.list_events(request)

    async def list_spans(self, request: ListSpansRequest, _context: Any) -> ListSpansResponse:
        """Return a page of spans, the newest first, from the event log."""
        return await self._event_log.list_spans(request)

    async def explain_operation(self, request: ExplainOperationRequest, _context: Any) -> OperationStory:
        """Return an operation's whole story. Raises PolystreamError OPERATION_NOT_FOUND."""
        story = await self._tracker.explain(request.correlation_id)
        if story is None:
            raise not_found(Reason.OPERATION_NOT_FOUND, "correlation_id")
        return story
