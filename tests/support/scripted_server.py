"""A gRPC server that answers as a test tells it, call after call, and keeps what it was asked.

    async with ScriptedServer() as server:
        server.answers += [PolystreamError(Reason.KAFKA_UNAVAILABLE), Operation(correlation_id="…")]
        ...
        assert server.calls[0].method == "CreateUser"

An answer is a message, an error, `server.silence`, or a list of these for a stream, which an error breaks off. Where
the answers have run out, a call fails as UNIMPLEMENTED.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NoReturn, Self, TypeAlias

import grpc
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_status import rpc_status
from polystream.v1 import (
    contents_pb2,
    operations_pb2,
    payments_pb2,
    preferences_pb2,
    recommendations_pb2,
    sessions_pb2,
    subscriptions_pb2,
    system_pb2,
    users_pb2,
    views_pb2,
)

from mesh.errors import PolystreamError

_FILES = (
    contents_pb2,
    operations_pb2,
    payments_pb2,
    preferences_pb2,
    recommendations_pb2,
    sessions_pb2,
    subscriptions_pb2,
    system_pb2,
    users_pb2,
    views_pb2,
)
Error: TypeAlias = PolystreamError | status_pb2.Status | grpc.StatusCode
Answer: TypeAlias = Message | Error | asyncio.Event | list[Message | Error | asyncio.Event]


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asked."""

    method: str
    request: Any
    metadata: dict[str, str | bytes]
    timeout_s: float | None


class ScriptedServer(grpc.GenericRpcHandler):
    """Serves every RPC of the API on a free port of the loopback interface."""

    def __init__(self, credentials: grpc.ServerCredentials | None = None) -> None:
        """`credentials` turn TLS on."""
        self._credentials = credentials
        self.answers: deque[Answer] = deque()
        self.silence = asyncio.Event()  # as an answer: none, until it is set
        self.calls: list[Call] = []
        self.target = ""
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start, again on its port if it ran before."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers((self,))
        address = self.target or "127.0.0.1:0"
        if self._credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, self._credentials)
        self.target = f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        """Stop at once: calls under way break."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        """Return how a call is answered."""
        service_name, name = handler_call_details.method.strip("/").split("/")
        services = {s.full_name: s for file in _FILES for s in file.DESCRIPTOR.services_by_name.values()}
        method = services[service_name].methods_by_name[name]
        codec = {
            "request_deserializer": method.input_type._concrete_class.FromString,
            "response_serializer": type(method.output_type._concrete_class()).SerializeToString,
        }

        async def unary(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Message:
            answer = self._next(name, request, context)
            return answer if isinstance(answer, Message) and not _is_status(answer) else await _abort(context, answer)

        async def stream(request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Message]:
            answer = self._next(name, request, context)
            for each in answer if isinstance(answer, list) else [answer]:
                yield each if isinstance(each, Message) and not _is_status(each) else await _abort(context, each)

        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(stream, **codec)
        return grpc.unary_unary_rpc_method_handler(unary, **codec)

    def _next(self, name: str, request: Message, context: grpc.aio.ServicerContext[Any, Any]) -> Answer:
        metadata = dict(context.invocation_metadata() or ())
        self.calls.append(Call(name, request, metadata, context.time_remaining()))
        return self.answers.popleft() if self.answers else grpc.StatusCode.UNIMPLEMENTED


def _is_status(answer: object) -> bool:
    return isinstance(answer, status_pb2.Status)


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: object) -> NoReturn:
    if isinstance(error, asyncio.Event):
        await error.wait()
        error = grpc.StatusCode.CANCELLED
    if isinstance(error, grpc.StatusCode):
        await context.abort(error, "told to")
    status = rpc_status.to_status(error.to_status() if isinstance(error, PolystreamError) else error)
    await context.abort(status.code, status.details, status.trailing_metadata)
