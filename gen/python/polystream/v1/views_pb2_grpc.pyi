# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2
import polystream.v1.views_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class ViewServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> ViewServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> ViewServiceAsyncStub: ...
    RecordView: grpc.UnaryUnaryMultiCallable[polystream.v1.views_pb2.RecordViewRequest, polystream.v1.operations_pb2.Operation]
    GetView: grpc.UnaryUnaryMultiCallable[polystream.v1.views_pb2.GetViewRequest, polystream.v1.views_pb2.View]
    ListViews: grpc.UnaryUnaryMultiCallable[polystream.v1.views_pb2.ListViewsRequest, polystream.v1.views_pb2.ListViewsResponse]
    DeleteView: grpc.UnaryUnaryMultiCallable[polystream.v1.views_pb2.DeleteViewRequest, polystream.v1.operations_pb2.Operation]

@typing.type_check_only
class ViewServiceAsyncStub(ViewServiceStub):
    RecordView: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.views_pb2.RecordViewRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetView: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.views_pb2.GetViewRequest, polystream.v1.views_pb2.View]  # type: ignore[assignment]
    ListViews: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.views_pb2.ListViewsRequest, polystream.v1.views_pb2.ListViewsResponse]  # type: ignore[assignment]
    DeleteView: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.views_pb2.DeleteViewRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]

class ViewServiceServicer:
    def RecordView(
        self, request: polystream.v1.views_pb2.RecordViewRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetView(
        self, request: polystream.v1.views_pb2.GetViewRequest, context: _Context
    ) -> polystream.v1.views_pb2.View | collections.abc.Awaitable[polystream.v1.views_pb2.View]: ...
    def ListViews(
        self, request: polystream.v1.views_pb2.ListViewsRequest, context: _Context
    ) -> polystream.v1.views_pb2.ListViewsResponse | collections.abc.Awaitable[polystream.v1.views_pb2.ListViewsResponse]: ...
    def DeleteView(
        self, request: polystream.v1.views_pb2.DeleteViewRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...

def add_ViewServiceServicer_to_server(
    servicer: ViewServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

