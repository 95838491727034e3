# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2
import polystream.v1.users_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class UserServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> UserServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> UserServiceAsyncStub: ...
    CreateUser: grpc.UnaryUnaryMultiCallable[polystream.v1.users_pb2.CreateUserRequest, polystream.v1.operations_pb2.Operation]
    GetUser: grpc.UnaryUnaryMultiCallable[polystream.v1.users_pb2.GetUserRequest, polystream.v1.users_pb2.User]
    ListUsers: grpc.UnaryUnaryMultiCallable[polystream.v1.users_pb2.ListUsersRequest, polystream.v1.users_pb2.ListUsersResponse]
    UpdateUser: grpc.UnaryUnaryMultiCallable[polystream.v1.users_pb2.UpdateUserRequest, polystream.v1.operations_pb2.Operation]
    DeleteUser: grpc.UnaryUnaryMultiCallable[polystream.v1.users_pb2.DeleteUserRequest, polystream.v1.operations_pb2.Operation]

@typing.type_check_only
class UserServiceAsyncStub(UserServiceStub):
    CreateUser: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.users_pb2.CreateUserRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetUser: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.users_pb2.GetUserRequest, polystream.v1.users_pb2.User]  # type: ignore[assignment]
    ListUsers: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.users_pb2.ListUsersRequest, polystream.v1.users_pb2.ListUsersResponse]  # type: ignore[assignment]
    UpdateUser: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.users_pb2.UpdateUserRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    DeleteUser: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.users_pb2.DeleteUserRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]

class UserServiceServicer:
    def CreateUser(
        self, request: polystream.v1.users_pb2.CreateUserRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetUser(
        self, request: polystream.v1.users_pb2.GetUserRequest, context: _Context
    ) -> polystream.v1.users_pb2.User | collections.abc.Awaitable[polystream.v1.users_pb2.User]: ...
    def ListUsers(
        self, request: polystream.v1.users_pb2.ListUsersRequest, context: _Context
    ) -> polystream.v1.users_pb2.ListUsersResponse | collections.abc.Awaitable[polystream.v1.users_pb2.ListUsersResponse]: ...
    def UpdateUser(
        self, request: polystream.v1.users_pb2.UpdateUserRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def DeleteUser(
        self, request: polystream.v1.users_pb2.DeleteUserRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...

def add_UserServiceServicer_to_server(
    servicer: UserServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

