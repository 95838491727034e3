# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.monitor.v1.integrity_runs_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class IntegrityRunServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> IntegrityRunServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> IntegrityRunServiceAsyncStub: ...
    RecordIntegrityRun: grpc.UnaryUnaryMultiCallable[polystream.monitor.v1.integrity_runs_pb2.RecordIntegrityRunRequest, polystream.monitor.v1.integrity_runs_pb2.RecordIntegrityRunResponse]
    ListIntegrityRuns: grpc.UnaryUnaryMultiCallable[polystream.monitor.v1.integrity_runs_pb2.ListIntegrityRunsRequest, polystream.monitor.v1.integrity_runs_pb2.ListIntegrityRunsResponse]

@typing.type_check_only
class IntegrityRunServiceAsyncStub(IntegrityRunServiceStub):
    RecordIntegrityRun: grpc.aio.UnaryUnaryMultiCallable[polystream.monitor.v1.integrity_runs_pb2.RecordIntegrityRunRequest, polystream.monitor.v1.integrity_runs_pb2.RecordIntegrityRunResponse]  # type: ignore[assignment]
    ListIntegrityRuns: grpc.aio.UnaryUnaryMultiCallable[polystream.monitor.v1.integrity_runs_pb2.ListIntegrityRunsRequest, polystream.monitor.v1.integrity_runs_pb2.ListIntegrityRunsResponse]  # type: ignore[assignment]

class IntegrityRunServiceServicer:
    def RecordIntegrityRun(
        self, request: polystream.monitor.v1.integrity_runs_pb2.RecordIntegrityRunRequest, context: _Context
    ) -> polystream.monitor.v1.integrity_runs_pb2.RecordIntegrityRunResponse | collections.abc.Awaitable[polystream.monitor.v1.integrity_runs_pb2.RecordIntegrityRunResponse]: ...
    def ListIntegrityRuns(
        self, request: polystream.monitor.v1.integrity_runs_pb2.ListIntegrityRunsRequest, context: _Context
    ) -> polystream.monitor.v1.integrity_runs_pb2.ListIntegrityRunsResponse | collections.abc.Awaitable[polystream.monitor.v1.integrity_runs_pb2.ListIntegrityRunsResponse]: ...

def add_IntegrityRunServiceServicer_to_server(
    servicer: IntegrityRunServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

