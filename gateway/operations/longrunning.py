"""`google.longrunning.Operations`: the same operations, for clients that know the standard alone.

The standard is AIP-151 (https://google.aip.dev/151) and google/longrunning/operations.proto.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from google.longrunning import operations_proto_pb2 as longrunning
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from polystream.v1.operations_pb2 import ListOperationsRequest, Operation

from gateway.operations.event_log import EventLogClient
from gateway.operations.tracker import OperationTracker, wait_timeout_s
from mesh.errors import FieldFault, PolystreamError, Reason, not_found
from mesh.operation import is_done

_COLLECTION: Final = "operations"
_PREFIX: Final = f"{_COLLECTION}/"
_CORRELATION_ID_LENGTH: Final = 36
_MAX_PAGE_SIZE: Final = 1000


class LongRunningOperations:
    """The standard's methods. Each error is a PolystreamError of the reason that the method names, as queries' are."""

    def __init__(self, tracker: OperationTracker, event_log: EventLogClient) -> None:
        self._tracker = tracker
        self._event_log = event_log

    def handlers(self) -> Mapping[str, Callable[[Any, Any], Awaitable[Message]]]:
        """Return the methods by package.Service/Method."""
        service = longrunning.DESCRIPTOR.services_by_name["Operations"].full_name
        return {
            f"{service}/ListOperations": self.list_operations,
            f"{service}/GetOperation": self.get_operation,
            f"{service}/WaitOperation": self.wait_operation,
            f"{service}/DeleteOperation": self.delete_operation,
            f"{service}/CancelOperation": self.cancel_operation,
        }

    async def get_operation(self, request: longrunning.GetOperationRequest, _context: Any) -> longrunning.Operation:
        """Return the operation `operations/{correlation_id}`. Raises INVALID_FIELD, OPERATION_NOT_FOUND."""
        return to_longrunning(_found(await self._tracker.find(_correlation_id(request.name))))

    async def wait_operation(self, request: longrunning.WaitOperationRequest, context: Any) -> longrunning.Operation:
        """Return the operation once it is done, or as it stands after the timeout. Raises as `get_operation` does."""
        correlation_id = _correlation_id(request.name)
        asked_s = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else None
        operation = await self._tracker.wait(correlation_id, wait_timeout_s(asked_s, context))
        return to_longrunning(_found(operation))

    async def list_operations(
        self, request: longrunning.ListOperationsRequest, _context: Any
    ) -> longrunning.ListOperationsResponse:
        """Return a page of operations, newest first, without their responses.

        Raises INVALID_FIELD, INVALID_PAGE_TOKEN, EVENT_LOG_UNAVAILABLE.
        """
        if request.name not in {"", _COLLECTION}:
            raise _invalid("name", f"must be {_COLLECTION}")
        if request.filter:
            raise _invalid("filter", "is not supported: polystream.v1.OperationService/ListOperations has filters")
        if not 0 <= request.page_size <= _MAX_PAGE_SIZE:
            raise _invalid("page_size", f"must be 0 to {_MAX_PAGE_SIZE}")
        page = await self._event_log.list(
            ListOperationsRequest(page_size=request.page_size, page_token=request.page_token)
        )
        return longrunning.ListOperationsResponse(
            operations=[to_longrunning(operation) for operation in page.operations],
            next_page_token=page.next_page_token,
        )

    async def delete_operation(self, _request: longrunning.DeleteOperationRequest, _context: Any) -> Empty:
        """Refuse: operations are forgotten by themselves. Raises UNIMPLEMENTED, as the standard asks."""
        raise PolystreamError(Reason.UNIMPLEMENTED, "operations cannot be deleted; they are forgotten after a time")

    async def cancel_operation(self, _request: longrunning.CancelOperationRequest, _context: Any) -> Empty:
        """Refuse: Kafka has the command. Raises UNIMPLEMENTED, as the standard asks."""
        raise PolystreamError(
            Reason.UNIMPLEMENTED, "an accepted command cannot be canceled; send the command that undoes it"
        )


def to_longrunning(operation: Operation) -> longrunning.Operation:
    """Return an operation in the standard's form: its result as the response, all else as the metadata."""
    metadata = Operation()
    metadata.CopyFrom(operation)
    metadata.ClearField("result")
    answer = longrunning.Operation(name=operation.name, done=is_done(operation))
    answer.metadata.Pack(metadata)
    if operation.state == Operation.FAILED:
        answer.error.CopyFrom(operation.error)
    elif operation.state == Operation.SUCCEEDED:
        answer.response.CopyFrom(operation.result if operation.HasField("result") else _empty())
    return answer


def _empty() -> AnyMessage:
    """Return the response of an operation whose result is remembered no more."""
    packed = AnyMessage()
    packed.Pack(Empty())
    return packed


def _correlation_id(name: str) -> str:
    correlation_id = name.removeprefix(_PREFIX)
    if not name.startswith(_PREFIX) or len(correlation_id) != _CORRELATION_ID_LENGTH:
        raise _invalid("name", "must be operations/ and a correlation ID")
    return correlation_id


def _found(operation: Operation | None) -> Operation:
    if operation is None:
        raise not_found(Reason.OPERATION_NOT_FOUND, "name")
    return operation


def _invalid(field: str, description: str) -> PolystreamError:
    return PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault(field, description)])
