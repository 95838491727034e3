# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class EventLogServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> EventLogServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> EventLogServiceAsyncStub: ...
    GetOperation: grpc.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.GetOperationRequest, polystream.v1.operations_pb2.Operation]
    ListOperations: grpc.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ListOperationsRequest, polystream.v1.operations_pb2.ListOperationsResponse]
    ListEvents: grpc.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ListEventsRequest, polystream.v1.operations_pb2.ListEventsResponse]
    ListSpans: grpc.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ListSpansRequest, polystream.v1.operations_pb2.ListSpansResponse]
    ExplainOperation: grpc.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ExplainOperationRequest, polystream.v1.operations_pb2.OperationStory]

@typing.type_check_only
class EventLogServiceAsyncStub(EventLogServiceStub):
    GetOperation: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.GetOperationRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    ListOperations: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ListOperationsRequest, polystream.v1.operations_pb2.ListOperationsResponse]  # type: ignore[assignment]
    ListEvents: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ListEventsRequest, polystream.v1.operations_pb2.ListEventsResponse]  # type: ignore[assignment]
    ListSpans: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ListSpansRequest, polystream.v1.operations_pb2.ListSpansResponse]  # type: ignore[assignment]
    ExplainOperation: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.operations_pb2.ExplainOperationRequest, polystream.v1.operations_pb2.OperationStory]  # type: ignore[assignment]

class EventLogServiceServicer:
    def GetOperation(
        self, request: polystream.v1.operations_pb2.GetOperationRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def ListOperations(
        self, request: polystream.v1.operations_pb2.ListOperationsRequest, context: _Context
    ) -> polystream.v1.operations_pb2.ListOperationsResponse | collections.abc.Awaitable[polystream.v1.operations_pb2.ListOperationsResponse]: ...
    def ListEvents(
        self, request: polystream.v1.operations_pb2.ListEventsRequest, context: _Context
    ) -> polystream.v1.operations_pb2.ListEventsResponse | collections.abc.Awaitable[polystream.v1.operations_pb2.ListEventsResponse]: ...
    def ListSpans(
        self, request: polystream.v1.operations_pb2.ListSpansRequest, context: _Context
    ) -> polystream.v1.operations_pb2.ListSpansResponse | collections.abc.Awaitable[polystream.v1.operations_pb2.ListSpansResponse]: ...
    def ExplainOperation(
        self, request: polystream.v1.operations_pb2.ExplainOperationRequest, context: _Context
    ) -> polystream.v1.operations_pb2.OperationStory | collections.abc.Awaitable[polystream.v1.operations_pb2.OperationStory]: ...

def add_EventLogServiceServicer_to_server(
    servicer: EventLogServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

