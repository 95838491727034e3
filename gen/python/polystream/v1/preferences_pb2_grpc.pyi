# Types of the gRPC module beside this file. Generated: do not edit.
import collections.abc
import typing

import grpc
import grpc.aio

import polystream.v1.operations_pb2
import polystream.v1.preferences_pb2

class _Context(grpc.ServicerContext, grpc.aio.ServicerContext):  # type: ignore[misc] # either one is given
    ...

class PreferencesServiceStub:
    @typing.overload
    def __new__(cls, channel: grpc.Channel) -> PreferencesServiceStub: ...
    @typing.overload
    def __new__(cls, channel: grpc.aio.Channel) -> PreferencesServiceAsyncStub: ...
    UpdatePreferences: grpc.UnaryUnaryMultiCallable[polystream.v1.preferences_pb2.UpdatePreferencesRequest, polystream.v1.operations_pb2.Operation]
    GetPreferences: grpc.UnaryUnaryMultiCallable[polystream.v1.preferences_pb2.GetPreferencesRequest, polystream.v1.preferences_pb2.Preferences]

@typing.type_check_only
class PreferencesServiceAsyncStub(PreferencesServiceStub):
    UpdatePreferences: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.preferences_pb2.UpdatePreferencesRequest, polystream.v1.operations_pb2.Operation]  # type: ignore[assignment]
    GetPreferences: grpc.aio.UnaryUnaryMultiCallable[polystream.v1.preferences_pb2.GetPreferencesRequest, polystream.v1.preferences_pb2.Preferences]  # type: ignore[assignment]

class PreferencesServiceServicer:
    def UpdatePreferences(
        self, request: polystream.v1.preferences_pb2.UpdatePreferencesRequest, context: _Context
    ) -> polystream.v1.operations_pb2.Operation | collections.abc.Awaitable[polystream.v1.operations_pb2.Operation]: ...
    def GetPreferences(
        self, request: polystream.v1.preferences_pb2.GetPreferencesRequest, context: _Context
    ) -> polystream.v1.preferences_pb2.Preferences | collections.abc.Awaitable[polystream.v1.preferences_pb2.Preferences]: ...

def add_PreferencesServiceServicer_to_server(
    servicer: PreferencesServiceServicer, server: grpc.Server | grpc.aio.Server
) -> None: ...

