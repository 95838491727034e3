# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.system_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class SystemServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> SystemServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> SystemServiceAsyncStub: ...
    GetHealth: grpc.UnaryUnaryMultiCallable[polystream.v1.system_pb2.GetHealthRequest, polystream.v1.system_pb2.Health]

@typing.type_check_only
class SystemServiceAsyncStub(SystemServiceStub):
    GetHealth: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.system_pb2.GetHealthRequest, polystream.v1.system_pb2.Health]  # type: ignore[assignment]

class SystemServiceServicer:
    def GetHealth(
        self, request: polystream.v1.system_pb2.GetHealthRequest, context: _Context
    ) -> polystream.v1.system_pb2.Health | collections.abc.Awaitable[polystream.v1.system_pb2.Health]: ...

def add_SystemServiceServicer_to_server(
    servicer: SystemServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

