# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.monitor.v1.part_health_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class PartHealthServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> PartHealthServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> PartHealthServiceAsyncStub: ...
    ReportHealth: grpc.UnaryUnaryMultiCallable[polystream.monitor.v1.part_health_pb2.ReportHealthRequest, polystream.monitor.v1.part_health_pb2.ReportHealthResponse]
    ListPartHealth: grpc.UnaryUnaryMultiCallable[polystream.monitor.v1.part_health_pb2.ListPartHealthRequest, polystream.monitor.v1.part_health_pb2.ListPartHealthResponse]

@typing.type_check_only
class PartHealthServiceAsyncStub(PartHealthServiceStub):
    ReportHealth: grpc.aio.UnaryUnaryMultiCallable[polystream.monitor.v1.part_health_pb2.ReportHealthRequest, polystream.monitor.v1.part_health_pb2.ReportHealthResponse]  # type: ignore[assignment]
    ListPartHealth: grpc.aio.UnaryUnaryMultiCallable[polystream.monitor.v1.part_health_pb2.ListPartHealthRequest, polystream.monitor.v1.part_health_pb2.ListPartHealthResponse]  # type: ignore[assignment]

class PartHealthServiceServicer:
    def ReportHealth(
        self, request: polystream.monitor.v1.part_health_pb2.ReportHealthRequest, context: _Context
    ) -> polystream.monitor.v1.part_health_pb2.ReportHealthResponse | collections.abc.Awaitable[polystream.monitor.v1.part_health_pb2.ReportHealthResponse]: ...
    def ListPartHealth(
        self, request: polystream.monitor.v1.part_health_pb2.ListPartHealthRequest, context: _Context
    ) -> polystream.monitor.v1.part_health_pb2.ListPartHealthResponse | collections.abc.Awaitable[polystream.monitor.v1.part_health_pb2.ListPartHealthResponse]: ...

def add_PartHealthServiceServicer_to_server(
    servicer: PartHealthServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

