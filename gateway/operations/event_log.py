"""The monitor, asked by gRPC: for operations that memory and Redis have forgotten, and for how each part is."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from grpc_status import rpc_status
from polystream.monitor.v1.event_log_pb2_grpc import EventLogServiceStub
from polystream.monitor.v1.part_health_pb2 import ListPartHealthRequest, ListPartHealthResponse
from polystream.monitor.v1.part_health_pb2_grpc import PartHealthServiceStub
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
)

from mesh.direct import GRPC_OPTIONS
from mesh.errors import PolystreamError, Reason

if TYPE_CHECKING:
    # There for their types alone.
    from polystream.monitor.v1.event_log_pb2_grpc import EventLogServiceAsyncStub
    from polystream.monitor.v1.part_health_pb2_grpc import PartHealthServiceAsyncStub

T = TypeVar("T")

_TIMEOUT_S: Final = 2.0
_CHANNEL_OPTIONS: Final = (
    *GRPC_OPTIONS,
    # A monitor that comes back must be found within a second, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)


class EventLogClient:
    """A client of the monitor's services. Connects when it is first asked.

    Every method raises PolystreamError with EVENT_LOG_UNAVAILABLE when the monitor does not answer within two
    seconds.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._channel: grpc.aio.Channel | None = None

    async def get(self, correlation_id: str) -> Operation | None:
        """Return an operation as the events tell it; None when there are none of it."""
        call = self._stub().GetOperation(GetOperationRequest(correlation_id=correlation_id), timeout=_TIMEOUT_S)
        try:
            return await _answer(call)
        except PolystreamError as error:
            if error.reason is Reason.OPERATION_NOT_FOUND:
                return None
            raise

    async def list(self, request: ListOperationsRequest) -> ListOperationsResponse:
        """Return a page of operations. Raises PolystreamError: INVALID_FIELD, INVALID_PAGE_TOKEN."""
        return await _answer(self._stub().ListOperations(request, timeout=_TIMEOUT_S))

    async def list_events(self, request: ListEventsRequest) -> ListEventsResponse:
        """Return a page of events. Raises PolystreamError: INVALID_FIELD, INVALID_PAGE_TOKEN."""
        return await _answer(self._stub().ListEvents(request, timeout=_TIMEOUT_S))

    async def list_spans(self, request: ListSpansRequest) -> ListSpansResponse:
        """Return a page of spans. Raises PolystreamError: INVALID_FIELD, INVALID_PAGE_TOKEN."""
        return await _answer(self._stub().ListSpans(request, timeout=_TIMEOUT_S))

    async def explain(self, correlation_id: str) -> OperationStory | None:
        """Return an operation's story; None when there are no events of it."""
        call = self._stub().ExplainOperation(ExplainOperationRequest(correlation_id=correlation_id), timeout=_TIMEOUT_S)
        try:
            return await _answer(call)
        except PolystreamError as error:
            if error.reason is Reason.OPERATION_NOT_FOUND:
                return None
            raise

    async def parts(self) -> ListPartHealthResponse:
        """Return how each part of the platform is, as the monitor has heard."""
        stub: PartHealthServiceAsyncStub = PartHealthServiceStub(self._open())
        return await _answer(stub.ListPartHealth(ListPartHealthRequest(), timeout=_TIMEOUT_S))

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close()
            self._channel = None

    def _stub(self) -> "EventLogServiceAsyncStub":
        return EventLogServiceStub(self._open())

    def _open(self) -> grpc.aio.Channel:
        if self._channel is None:
            self._channel = grpc.aio.insecure_channel(self._address, options=_CHANNEL_OPTIONS)
        return self._channel


async def _answer(call: Awaitable[T]) -> T:
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        raise _translated(error) from error


def _translated(error: grpc.aio.AioRpcError) -> PolystreamError:
    """Return the monitor's error as the gateway's own: what is the caller's fault stays so."""
    if error.code() == grpc.StatusCode.NOT_FOUND:
        return PolystreamError(Reason.OPERATION_NOT_FOUND)
    if error.code() != grpc.StatusCode.INVALID_ARGUMENT:
        return PolystreamError(Reason.EVENT_LOG_UNAVAILABLE)
    status = rpc_status.from_call(error)  # type: ignore[arg-type] # it asks for the two methods that the error has
    if status is None:
        return PolystreamError(Reason.INVALID_FIELD, error.details() or "")
    return PolystreamError.from_status(status, unknown=Reason.INVALID_FIELD)
