# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2
import polystream.v1.sessions_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class SessionServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> SessionServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> SessionServiceAsyncStub: ...
    CreateSession: grpc.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.CreateSessionRequest, polystream.v1.operations_pb2.Operation]
    GetSession: grpc.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.GetSessionRequest, polystream.v1.sessions_pb2.Session]
    ListSessions: grpc.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.ListSessionsRequest, polystream.v1.sessions_pb2.ListSessionsResponse]
    UpdateSession: grpc.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.UpdateSessionRequest, polystream.v1.operations_pb2.Operation]
    DeleteSession: grpc.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.DeleteSessionRequest, polystream.v1.operations_pb2.Operation]

@typing.type_check_only
class SessionServiceAsyncStub(SessionServiceStub):
    CreateSession: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.CreateSessionRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetSession: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.GetSessionRequest, polystream.v1.sessions_pb2.Session]  # type: ignore[assignment]
    ListSessions: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.ListSessionsRequest, polystream.v1.sessions_pb2.ListSessionsResponse]  # type: ignore[assignment]
    UpdateSession: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.UpdateSessionRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    DeleteSession: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.sessions_pb2.DeleteSessionRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]

class SessionServiceServicer:
    def CreateSession(
        self, request: polystream.v1.sessions_pb2.CreateSessionRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetSession(
        self, request: polystream.v1.sessions_pb2.GetSessionRequest, context: _Context
    ) -> polystream.v1.sessions_pb2.Session | collections.abc.Awaitable[polystream.v1.sessions_pb2.Session]: ...
    def ListSessions(
        self, request: polystream.v1.sessions_pb2.ListSessionsRequest, context: _Context
    ) -> polystream.v1.sessions_pb2.ListSessionsResponse | collections.abc.Awaitable[polystream.v1.sessions_pb2.ListSessionsResponse]: ...
    def UpdateSession(
        self, request: polystream.v1.sessions_pb2.UpdateSessionRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def DeleteSession(
        self, request: polystream.v1.sessions_pb2.DeleteSessionRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...

def add_SessionServiceServicer_to_server(
    servicer: SessionServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

