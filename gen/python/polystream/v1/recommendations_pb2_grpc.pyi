# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2
import polystream.v1.recommendations_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class RecommendationServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> RecommendationServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> RecommendationServiceAsyncStub: ...
    GenerateRecommendations: grpc.UnaryUnaryMultiCallable[polystream.v1.recommendations_pb2.GenerateRecommendationsRequest, polystream.v1.operations_pb2.Operation]
    GetRecommendations: grpc.UnaryUnaryMultiCallable[polystream.v1.recommendations_pb2.GetRecommendationsRequest, polystream.v1.recommendations_pb2.Recommendations]

@typing.type_check_only
class RecommendationServiceAsyncStub(RecommendationServiceStub):
    GenerateRecommendations: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.recommendations_pb2.GenerateRecommendationsRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetRecommendations: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.recommendations_pb2.GetRecommendationsRequest, polystream.v1.recommendations_pb2.Recommendations]  # type: ignore[assignment]

class RecommendationServiceServicer:
    def GenerateRecommendations(
        self, request: polystream.v1.recommendations_pb2.GenerateRecommendationsRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetRecommendations(
        self, request: polystream.v1.recommendations_pb2.GetRecommendationsRequest, context: _Context
    ) -> polystream.v1.recommendations_pb2.Recommendations | collections.abc.Awaitable[polystream.v1.recommendations_pb2.Recommendations]: ...

def add_RecommendationServiceServicer_to_server(
    servicer: RecommendationServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

