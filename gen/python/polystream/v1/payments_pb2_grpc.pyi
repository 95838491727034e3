# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2
import polystream.v1.payments_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class PaymentServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> PaymentServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> PaymentServiceAsyncStub: ...
    CreatePayment: grpc.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.CreatePaymentRequest, polystream.v1.operations_pb2.Operation]
    GetPayment: grpc.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.GetPaymentRequest, polystream.v1.payments_pb2.Payment]
    ListPayments: grpc.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.ListPaymentsRequest, polystream.v1.payments_pb2.ListPaymentsResponse]
    CancelPayment: grpc.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.CancelPaymentRequest, polystream.v1.operations_pb2.Operation]

@typing.type_check_only
class PaymentServiceAsyncStub(PaymentServiceStub):
    CreatePayment: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.CreatePaymentRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetPayment: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.GetPaymentRequest, polystream.v1.payments_pb2.Payment]  # type: ignore[assignment]
    ListPayments: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.ListPaymentsRequest, polystream.v1.payments_pb2.ListPaymentsResponse]  # type: ignore[assignment]
    CancelPayment: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.payments_pb2.CancelPaymentRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]

class PaymentServiceServicer:
    def CreatePayment(
        self, request: polystream.v1.payments_pb2.CreatePaymentRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetPayment(
        self, request: polystream.v1.payments_pb2.GetPaymentRequest, context: _Context
    ) -> polystream.v1.payments_pb2.Payment | collections.abc.Awaitable[polystream.v1.payments_pb2.Payment]: ...
    def ListPayments(
        self, request: polystream.v1.payments_pb2.ListPaymentsRequest, context: _Context
    ) -> polystream.v1.payments_pb2.ListPaymentsResponse | collections.abc.Awaitable[polystream.v1.payments_pb2.ListPaymentsResponse]: ...
    def CancelPayment(
        self, request: polystream.v1.payments_pb2.CancelPaymentRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...

def add_PaymentServiceServicer_to_server(
    servicer: PaymentServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

