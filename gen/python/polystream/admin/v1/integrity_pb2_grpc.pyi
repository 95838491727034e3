# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.admin.v1.integrity_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class IntegrityServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> IntegrityServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> IntegrityServiceAsyncStub: ...
    CheckIntegrity: grpc.UnaryUnaryMultiCallable[polystream.admin.v1.integrity_pb2.CheckIntegrityRequest, polystream.admin.v1.integrity_pb2.IntegrityRun]
    RepairIntegrity: grpc.UnaryUnaryMultiCallable[polystream.admin.v1.integrity_pb2.RepairIntegrityRequest, polystream.admin.v1.integrity_pb2.IntegrityRun]

@typing.type_check_only
class IntegrityServiceAsyncStub(IntegrityServiceStub):
    CheckIntegrity: grpc.aio.UnaryUnaryMultiCallable[polystream.admin.v1.integrity_pb2.CheckIntegrityRequest, polystream.admin.v1.integrity_pb2.IntegrityRun]  # type: ignore[assignment]
    RepairIntegrity: grpc.aio.UnaryUnaryMultiCallable[polystream.admin.v1.integrity_pb2.RepairIntegrityRequest, polystream.admin.v1.integrity_pb2.IntegrityRun]  # type: ignore[assignment]

class IntegrityServiceServicer:
    def CheckIntegrity(
        self, request: polystream.admin.v1.integrity_pb2.CheckIntegrityRequest, context: _Context
    ) -> polystream.admin.v1.integrity_pb2.IntegrityRun | collections.abc.Awaitable[polystream.admin.v1.integrity_pb2.IntegrityRun]: ...
    def RepairIntegrity(
        self, request: polystream.admin.v1.integrity_pb2.RepairIntegrityRequest, context: _Context
    ) -> polystream.admin.v1.integrity_pb2.IntegrityRun | collections.abc.Awaitable[polystream.admin.v1.integrity_pb2.IntegrityRun]: ...

def add_IntegrityServiceServicer_to_server(
    servicer: IntegrityServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

