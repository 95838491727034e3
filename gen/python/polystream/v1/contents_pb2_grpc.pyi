# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.contents_pb2
import polystream.v1.operations_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class ContentServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> ContentServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> ContentServiceAsyncStub: ...
    CacheContent: grpc.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.CacheContentRequest, polystream.v1.operations_pb2.Operation]
    GetContent: grpc.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.GetContentRequest, polystream.v1.contents_pb2.Content]
    ListContents: grpc.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.ListContentsRequest, polystream.v1.contents_pb2.ListContentsResponse]
    DeleteContent: grpc.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.DeleteContentRequest, polystream.v1.operations_pb2.Operation]

@typing.type_check_only
class ContentServiceAsyncStub(ContentServiceStub):
    CacheContent: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.CacheContentRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetContent: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.GetContentRequest, polystream.v1.contents_pb2.Content]  # type: ignore[assignment]
    ListContents: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.ListContentsRequest, polystream.v1.contents_pb2.ListContentsResponse]  # type: ignore[assignment]
    DeleteContent: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.contents_pb2.DeleteContentRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]

class ContentServiceServicer:
    def CacheContent(
        self, request: polystream.v1.contents_pb2.CacheContentRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetContent(
        self, request: polystream.v1.contents_pb2.GetContentRequest, context: _Context
    ) -> polystream.v1.contents_pb2.Content | collections.abc.Awaitable[polystream.v1.contents_pb2.Content]: ...
    def ListContents(
        self, request: polystream.v1.contents_pb2.ListContentsRequest, context: _Context
    ) -> polystream.v1.contents_pb2.ListContentsResponse | collections.abc.Awaitable[polystream.v1.contents_pb2.ListContentsResponse]: ...
    def DeleteContent(
        self, request: polystream.v1.contents_pb2.DeleteContentRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...

def add_ContentServiceServicer_to_server(
    servicer: ContentServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

