# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2
import polystream.v1.subscriptions_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class SubscriptionServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> SubscriptionServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> SubscriptionServiceAsyncStub: ...
    CreateSubscription: grpc.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.CreateSubscriptionRequest, polystream.v1.operations_pb2.Operation]
    GetSubscription: grpc.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.GetSubscriptionRequest, polystream.v1.subscriptions_pb2.Subscription]
    ListSubscriptions: grpc.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.ListSubscriptionsRequest, polystream.v1.subscriptions_pb2.ListSubscriptionsResponse]
    CancelSubscription: grpc.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.CancelSubscriptionRequest, polystream.v1.operations_pb2.Operation]

@typing.type_check_only
class SubscriptionServiceAsyncStub(SubscriptionServiceStub):
    CreateSubscription: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.CreateSubscriptionRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetSubscription: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.GetSubscriptionRequest, polystream.v1.subscriptions_pb2.Subscription]  # type: ignore[assignment]
    ListSubscriptions: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.ListSubscriptionsRequest, polystream.v1.subscriptions_pb2.ListSubscriptionsResponse]  # type: ignore[assignment]
    CancelSubscription: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.subscriptions_pb2.CancelSubscriptionRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]

class SubscriptionServiceServicer:
    def CreateSubscription(
        self, request: polystream.v1.subscriptions_pb2.CreateSubscriptionRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetSubscription(
        self, request: polystream.v1.subscriptions_pb2.GetSubscriptionRequest, context: _Context
    ) -> polystream.v1.subscriptions_pb2.Subscription | collections.abc.Awaitable[polystream.v1.subscriptions_pb2.Subscription]: ...
    def ListSubscriptions(
        self, request: polystream.v1.subscriptions_pb2.ListSubscriptionsRequest, context: _Context
    ) -> polystream.v1.subscriptions_pb2.ListSubscriptionsResponse | collections.abc.Awaitable[polystream.v1.subscriptions_pb2.ListSubscriptionsResponse]: ...
    def CancelSubscription(
        self, request: polystream.v1.subscriptions_pb2.CancelSubscriptionRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...

def add_SubscriptionServiceServicer_to_server(
    servicer: SubscriptionServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

