# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.admin.v1.dead_letters_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class DeadLetterServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> DeadLetterServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> DeadLetterServiceAsyncStub: ...
    ListDeadLetters: grpc.UnaryUnaryMultiCallable[polystream.admin.v1.dead_letters_pb2.ListDeadLettersRequest, polystream.admin.v1.dead_letters_pb2.ListDeadLettersResponse]
    GetDeadLetter: grpc.UnaryUnaryMultiCallable[polystream.admin.v1.dead_letters_pb2.GetDeadLetterRequest, polystream.admin.v1.dead_letters_pb2.DeadLetter]
    RedriveDeadLetters: grpc.UnaryStreamMultiCallable[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersRequest, polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse]
    DiscardDeadLetters: grpc.UnaryStreamMultiCallable[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersRequest, polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse]

@typing.type_check_only
class DeadLetterServiceAsyncStub(DeadLetterServiceStub):
    ListDeadLetters: grpc.aio.UnaryUnaryMultiCallable[polystream.admin.v1.dead_letters_pb2.ListDeadLettersRequest, polystream.admin.v1.dead_letters_pb2.ListDeadLettersResponse]  # type: ignore[assignment]
    GetDeadLetter: grpc.aio.UnaryUnaryMultiCallable[polystream.admin.v1.dead_letters_pb2.GetDeadLetterRequest, polystream.admin.v1.dead_letters_pb2.DeadLetter]  # type: ignore[assignment]
    RedriveDeadLetters: grpc.aio.UnaryStreamMultiCallable[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersRequest, polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse]  # type: ignore[assignment]
    DiscardDeadLetters: grpc.aio.UnaryStreamMultiCallable[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersRequest, polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse]  # type: ignore[assignment]

class DeadLetterServiceServicer:
    def ListDeadLetters(
        self, request: polystream.admin.v1.dead_letters_pb2.ListDeadLettersRequest, context: _Context
    ) -> polystream.admin.v1.dead_letters_pb2.ListDeadLettersResponse | collections.abc.Awaitable[polystream.admin.v1.dead_letters_pb2.ListDeadLettersResponse]: ...
    def GetDeadLetter(
        self, request: polystream.admin.v1.dead_letters_pb2.GetDeadLetterRequest, context: _Context
    ) -> polystream.admin.v1.dead_letters_pb2.DeadLetter | collections.abc.Awaitable[polystream.admin.v1.dead_letters_pb2.DeadLetter]: ...
    def RedriveDeadLetters(
        self, request: polystream.admin.v1.dead_letters_pb2.SettleDeadLettersRequest, context: _Context
    ) -> collections.abc.Iterator[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse] | collections.abc.AsyncIterator[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse]: ...
    def DiscardDeadLetters(
        self, request: polystream.admin.v1.dead_letters_pb2.SettleDeadLettersRequest, context: _Context
    ) -> collections.abc.Iterator[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse] | collections.abc.AsyncIterator[polystream.admin.v1.dead_letters_pb2.SettleDeadLettersResponse]: ...

def add_DeadLetterServiceServicer_to_server(
    servicer: DeadLetterServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

