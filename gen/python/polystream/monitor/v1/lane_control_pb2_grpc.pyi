# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.monitor.v1.lane_control_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class LaneControlServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> LaneControlServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> LaneControlServiceAsyncStub: ...
    PauseLane: grpc.UnaryUnaryMultiCallable[polystream.monitor.v1.lane_control_pb2.PauseLaneRequest, polystream.monitor.v1.lane_control_pb2.LaneControl]
    ResumeLane: grpc.UnaryUnaryMultiCallable[polystream.monitor.v1.lane_control_pb2.ResumeLaneRequest, polystream.monitor.v1.lane_control_pb2.LaneControl]
    ListLaneControls: grpc.UnaryUnaryMultiCallable[polystream.monitor.v1.lane_control_pb2.ListLaneControlsRequest, polystream.monitor.v1.lane_control_pb2.ListLaneControlsResponse]

@typing.type_check_only
class LaneControlServiceAsyncStub(LaneControlServiceStub):
    PauseLane: grpc.aio.UnaryUnaryMultiCallable[polystream.monitor.v1.lane_control_pb2.PauseLaneRequest, polystream.monitor.v1.lane_control_pb2.LaneControl]  # type: ignore[assignment]
    ResumeLane: grpc.aio.UnaryUnaryMultiCallable[polystream.monitor.v1.lane_control_pb2.ResumeLaneRequest, polystream.monitor.v1.lane_control_pb2.LaneControl]  # type: ignore[assignment]
    ListLaneControls: grpc.aio.UnaryUnaryMultiCallable[polystream.monitor.v1.lane_control_pb2.ListLaneControlsRequest, polystream.monitor.v1.lane_control_pb2.ListLaneControlsResponse]  # type: ignore[assignment]

class LaneControlServiceServicer:
    def PauseLane(
        self, request: polystream.monitor.v1.lane_control_pb2.PauseLaneRequest, context: _Context
    ) -> polystream.monitor.v1.lane_control_pb2.LaneControl | collections.abc.Awaitable[polystream.monitor.v1.lane_control_pb2.LaneControl]: ...
    def ResumeLane(
        self, request: polystream.monitor.v1.lane_control_pb2.ResumeLaneRequest, context: _Context
    ) -> polystream.monitor.v1.lane_control_pb2.LaneControl | collections.abc.Awaitable[polystream.monitor.v1.lane_control_pb2.LaneControl]: ...
    def ListLaneControls(
        self, request: polystream.monitor.v1.lane_control_pb2.ListLaneControlsRequest, context: _Context
    ) -> polystream.monitor.v1.lane_control_pb2.ListLaneControlsResponse | collections.abc.Awaitable[polystream.monitor.v1.lane_control_pb2.ListLaneControlsResponse]: ...

def add_LaneControlServiceServicer_to_server(
    servicer: LaneControlServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

