"""The gRPC server: every RPC of the gateway, health, reflection, and the order in which it all stops."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NoReturn

import grpc
import pygrpc_native.aio
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from polystream.v1.system_pb2 import GetHealthRequest, Health

from gateway.calls import Caller, CallError, Calls, Rpc, RpcKind, answer_by_s, until
from gateway.doors.native import EventServer, misfit, read_trace
from gateway.doors.reflection import add_reflection
from gateway.doors.statuses import CORRELATION_ID, STATUS_DETAILS, unknown_method
from gateway.operations.accepted import Serializable
from gateway.queries.health import HealthQueries
from mesh.errors import PolystreamError
from mesh.hosts import host_and_port
from mesh.ids import new_correlation_id
from mesh.settings import GatewaySettings

# The largest request that grpcio reads: what is above max_request_bytes and below this is refused in full form.
_READ_FACTOR = 16
_FLUSH_S = 0.1  # a hundred times what it takes; nothing tells that it is done
_PLATFORM = "polystream"
_LOOK_INTERVAL_S = 1.0  # of somebody who watches a part
_NO_DEADLINE_S = 10 * 365 * 86_400.0  # a server in C tells the largest number where there is no deadline
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_CODES = {code.value[0]: code for code in grpc.StatusCode}

log = structlog.stdlib.get_logger(__name__)


class GrpcServer:
    """The gateway's gRPC port. The constructor raises OSError where it cannot be had; `start` where it is shared.

    An RPC that `calls` does not have is UNIMPLEMENTED.
    """

    def __init__(self, calls: Calls, settings: GatewaySettings, platform: HealthQueries) -> None:
        """`platform` tells how each of its parts is."""
        self._calls = calls
        self.kind = _fitting(settings.server)  # which server it is
        self._server = _new_server(self.kind, calls, settings)
        self._health = _Health(calls, platform)
        for service in calls.services:
            self._register(service)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = ["", *(service.full_name for service in calls.services)]
        add_reflection((*self._names[1:], "grpc.health.v1.Health"), self._server)
        self._server.add_generic_rpc_handlers((_UnknownMethods(),))
        self._address = host_and_port(settings.host, settings.port)
        # The servers listen as they bind: the system would deal out connections to a gateway that takes none yet.
        self._binds_late = settings.shares_ports
        self.port = settings.port if self._binds_late else _bind(self._server, self._address)

    async def start(self) -> None:
        """Listen. Health says NOT_SERVING until `serve`."""
        for name in self._names:
            await self._health.set(name, _NOT_SERVING)
        if self._binds_late:
            _bind(self._server, self._address)
        await self._server.start()

    async def serve(self) -> None:
        """Say that everything works."""
        for name in self._names:
            await self._health.set(name, _SERVING)

    async def leave(self) -> None:
        """Say, for good, that no more calls should come."""
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Close the port, once every call has its answer. What runs still gets `grace_s` seconds."""
        # The native server hands answers to threads of its own, and drops what they have not written when it closes.
        await asyncio.sleep(_FLUSH_S)
        await self._server.stop(grace_s)

    def _register(self, service: ServiceDescriptor) -> None:
        """Add a service as generated code does: registered handlers are the ones that the native server takes."""
        found = {method.name: self._handler(method) for method in service.methods}
        handlers = {name: handler for name, handler in found.items() if handler is not None}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))
        self._server.add_registered_method_handlers(service.full_name, handlers)

    def _handler(self, method: MethodDescriptor) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Return what answers a method; None where nothing does."""
        rpc = self._calls.rpcs.get(f"{method.containing_service.full_name}/{method.name}")
        if rpc is None:
            return None
        answers: dict[RpcKind, Callable[[Calls, Rpc], Callable[[Any, Any], Any]]] = {
            RpcKind.COMMAND: _command,
            RpcKind.QUERY: _query,
            RpcKind.STREAM: _stream,
        }
        kind = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        return kind(
            answers[rpc.kind](self._calls, rpc),
            request_deserializer=rpc.admission.decode,
            response_serializer=_serialized,
        )


class _AnswerFuture:
    """Keeps a command's answer for the task that waits for it."""

    def __init__(self) -> None:
        self.future: asyncio.Future[tuple[str, Serializable]] = asyncio.get_running_loop().create_future()

    def succeed(self, correlation_id: str, response: Serializable) -> None:
        """Take the answer. A task that was cancelled waits no more."""
        if not self.future.done():
            self.future.set_result((correlation_id, response))

    def fail(self, correlation_id: str, status: status_pb2.Status) -> None:
        """Take the error."""
        if not self.future.done():
            self.future.set_exception(CallError(status, correlation_id))


def _command(calls: Calls, rpc: Rpc) -> Callable[[Any, Any], Awaitable[Serializable]]:
    """Return what answers a command on a server that has a task for each call."""

    async def answer(decoded: Any, context: Any) -> Serializable:
        answer = _AnswerFuture()
        calls.command(rpc, decoded, _caller(context), answer)
        return await _respond(answer.future, context)

    return answer


def _query(calls: Calls, rpc: Rpc) -> Callable[[Any, Any], Awaitable[Serializable]]:
    async def answer(decoded: Any, context: Any) -> Serializable:
        return await _respond(calls.query(rpc, decoded, _caller(context)), context)

    return answer


def _stream(calls: Calls, rpc: Rpc) -> Callable[[Any, Any], AsyncIterator[Message]]:
    async def answer(decoded: Any, context: Any) -> AsyncIterator[Message]:
        begun = False
        try:
            async for correlation_id, response in calls.stream(rpc, decoded, _caller(context)):
                if not begun:
                    await context.send_initial_metadata(((CORRELATION_ID, correlation_id),))
                    begun = True
                yield response
        except CallError as error:
            await _refuse(context, error.status, error.correlation_id)

    return answer


async def _respond(answer: Awaitable[tuple[str, Serializable]], context: Any) -> Serializable:
    try:
        correlation_id, response = await answer
    except CallError as error:
        await _refuse(context, error.status, error.correlation_id)
    await context.send_initial_metadata(((CORRELATION_ID, correlation_id),))
    return response


def _caller(context: Any) -> Caller:
    """Return what a servicer's context knows of the caller."""
    traceparent, tracestate = read_trace(context.invocation_metadata())
    remaining_s: float | None = context.time_remaining()
    if remaining_s is None or remaining_s > _NO_DEADLINE_S:
        return Caller(traceparent, tracestate)
    return Caller(traceparent, tracestate, time.monotonic() + remaining_s)


def _serialized(response: Serializable) -> bytes:
    return response.SerializeToString()


async def _refuse(context: Any, status: status_pb2.Status, correlation_id: str) -> NoReturn:
    """Abort a call with its status in full, in the trailing metadata `grpc-status-details-bin`.

    `context` is a grpc.aio.ServicerContext, whose `abort` raises: this never returns.
    """
    await context.abort(
        _CODES[status.code],
        status.message,
        ((STATUS_DETAILS, status.SerializeToString()), (CORRELATION_ID, correlation_id)),
    )
    raise AssertionError("abort never returns")


class _Health(health_aio.HealthServicer):
    """`grpc.health.v1.Health`, whose watchers are bounded as all streams are.

    The empty name and those of the services are about this gateway. `polystream` is the whole platform, which serves
    while it is HEALTHY, and so does each of its parts, under the name that it has in `GetHealth`.
    """

    def __init__(self, calls: Calls, platform: HealthQueries) -> None:
        super().__init__()
        self._calls = calls
        self._platform = platform
        self._platform_names = frozenset({_PLATFORM, *platform.component_names})
        self._leaves = False

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> Any:  # noqa: N802 - the proto's
        """Tell a service's state."""
        if request.service in self._platform_names:
            return health_pb2.HealthCheckResponse(status=await self._platform_status(request.service))
        return await super().Check(request, context)

    async def enter_graceful_shutdown(self) -> None:
        """Say of everything, for good, that no more calls should come."""
        self._leaves = True
        await super().enter_graceful_shutdown()

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802 - the proto's
        """Tell a service's state and every change of it."""
        try:
            with self._calls.streaming():
                is_own = request.service not in self._platform_names
                watching = super().Watch(request, context) if is_own else self._watch_part(request.service, context)
                await until(answer_by_s(_caller(context)), watching)
        except PolystreamError as error:
            await _refuse(context, error.to_status(), new_correlation_id())

    async def _watch_part(self, name: str, context: Any) -> None:
        told = None
        while True:
            status = await self._platform_status(name)
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
            told = status
            await asyncio.sleep(_LOOK_INTERVAL_S)

    async def _platform_status(self, name: str) -> Any:
        health = await self._platform.get_health(GetHealthRequest(), None)
        of_parts = {component.name: component.status for component in health.components}
        is_well = of_parts.get(name, health.status) == Health.HEALTHY
        return _SERVING if is_well and not self._leaves else _NOT_SERVING


class _UnknownMethods(grpc.GenericRpcHandler):
    """Answers what no service declares, in the form of every other error."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":  # noqa: ARG002 - whatever it is
        """Return a handler that refuses any call."""
        error = unknown_method()

        async def answer(_requests: Any, context: Any) -> None:
            await _refuse(context, error.to_status(), new_correlation_id())

        return grpc.stream_stream_rpc_method_handler(answer)


def _fitting(kind: str) -> str:
    """Return the kind of server that can be run in the place of the one that is asked for."""
    if kind == "native" and (reason := misfit()) is not None:
        log.warning("commands are taken in tasks", reason=reason)
        return "native-tasks"
    return kind


def _new_server(kind: str, calls: Calls, settings: GatewaySettings) -> Any:
    options: list[tuple[str, Any]] = [("grpc.so_reuseport", int(settings.shares_ports))]
    if kind == "grpcio":
        options.append(("grpc.max_receive_message_length", settings.max_request_bytes * _READ_FACTOR))
        return grpc.aio.server(options=options)
    # The native server reads and unpacks a message whole before anybody may judge its size: a bound here would only
    # change the words, and what it has read is refused in full form.
    options.append(("grpc.max_receive_message_length", -1))
    # Where processors are few, a second thread costs more than it reads.
    io_threads = 1 if (os.cpu_count() or 1) <= 2 else 2
    if kind == "native-tasks":
        return pygrpc_native.aio.Server(options=options, io_threads=io_threads)
    commands = {name: rpc for name, rpc in calls.rpcs.items() if rpc.kind is RpcKind.COMMAND}
    return EventServer(calls, commands, options=options, io_threads=io_threads)


def _bind(server: Any, address: str) -> int:
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError as error:  # both servers' word for it
        raise OSError(f"{address} cannot be listened on: is something else listening there?") from error
    return port
