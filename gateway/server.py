"""The gRPC server: every RPC of the catalog, health, reflection, and the order in which it all stops."""

import asyncio
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
import pygrpc_native.aio
import structlog
from google.longrunning import operations_proto_pb2
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

from gateway.admission import Admission, Admissions
from gateway.commands import CommandPath
from gateway.interceptor import CallInterceptor, Query, refuse
from gateway.reflection import add_reflection
from mesh.catalog import Catalog
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.settings import GatewaySettings

LONG_RUNNING: ServiceDescriptor = operations_proto_pb2.DESCRIPTOR.services_by_name["Operations"]

# The largest request that is read at all: what is above max_request_bytes and below this is refused in full form.
_READ_FACTOR = 16
_FLUSH_S = 0.1  # a hundred times what it takes; nothing tells that it is done
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

log = structlog.stdlib.get_logger(__name__)


class GatewayServer:
    """The gateway's port. The constructor raises OSError where it cannot be had.

    `queries` are by package.Service/Method; an RPC that is neither a command nor a query is UNIMPLEMENTED.
    """

    def __init__(
        self,
        catalog: Catalog,
        commands: CommandPath,
        queries: Mapping[str, Query],
        interceptor: CallInterceptor,
        settings: GatewaySettings,
    ) -> None:
        self._command_path = commands
        self._queries = queries
        self._interceptor = interceptor
        self._admissions = Admissions(max_request_bytes=settings.max_request_bytes, demo_data=settings.demo_data)
        self._commands = {f"{command.service}/{command.name}": command for command in catalog.commands.values()}
        self._server = _new_server(settings)
        self._health = health_aio.HealthServicer()
        services = list(catalog.services)
        if any(name.startswith(f"{LONG_RUNNING.full_name}/") for name in queries):
            services.append(LONG_RUNNING)
        for service in services:
            self._register(service)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self._names = ["", *(service.full_name for service in services)]
        add_reflection((*self._names[1:], "grpc.health.v1.Health"), self._server)
        self._server.add_generic_rpc_handlers((_UnknownMethods(),))
        self.port = _bind(self._server, f"{settings.host}:{settings.port}")

    async def start(self) -> None:
        """Listen. Health says NOT_SERVING until `serve`."""
        for name in self._names:
            await self._health.set(name, _NOT_SERVING)
        await self._server.start()

    async def serve(self) -> None:
        """Say that everything works."""
        for name in self._names:
            await self._health.set(name, _SERVING)

    async def leave(self) -> None:
        """Say, for good, that no more calls should come, and refuse commands that come all the same."""
        self._interceptor.refuse_commands()
        await self._health.enter_graceful_shutdown()

    async def stop(self, grace_s: float) -> None:
        """Close the port. Queries that still run are told that the gateway stops.

        Answers get `grace_s` seconds to be made, and as many again to be sent.
        """
        self._interceptor.interrupt_queries()
        await self._interceptor.quiet(grace_s)
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
        """Return what answers a method: decode → intercept → admit → handle. None where nothing does."""
        name = f"{method.containing_service.full_name}/{method.name}"
        admission: Admission
        answer: Callable[[Any, Any], Any]
        if (command := self._commands.get(name)) is not None:
            admission = self._admissions.of_command(command)
            answer = self._interceptor.command(name, functools.partial(self._command_path.handle, command), admission)
        elif (query := self._queries.get(name)) is not None:
            admission = self._admissions.of_query(GetMessageClass(method.input_type))
            wrap = self._interceptor.stream if method.server_streaming else self._interceptor.query
            answer = wrap(name, query, admission)
        else:
            return None
        kind = grpc.unary_stream_rpc_method_handler if method.server_streaming else grpc.unary_unary_rpc_method_handler
        return kind(
            answer,
            request_deserializer=admission.decode,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )


class _UnknownMethods(grpc.GenericRpcHandler):
    """Answers what no service declares, in the form of every other error."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":  # noqa: ARG002 - whatever it is
        """Return a handler that refuses any call."""
        error = PolystreamError(
            Reason.UNIMPLEMENTED, "there is no such method; list the services and their methods by reflection"
        )

        async def answer(_requests: Any, context: Any) -> None:
            await refuse(context, error.to_status(), new_correlation_id())

        return grpc.stream_stream_rpc_method_handler(answer)


def _new_server(settings: GatewaySettings) -> Any:
    options: Sequence[tuple[str, Any]] = (
        ("grpc.max_receive_message_length", settings.max_request_bytes * _READ_FACTOR),
        ("grpc.so_reuseport", 0),
    )
    if settings.server == "native":
        # `server()` takes no number of threads. Where processors are few, a second one costs more than it reads.
        return pygrpc_native.aio.Server(options=options, io_threads=1 if (os.cpu_count() or 1) <= 2 else 2)
    return grpc.aio.server(options=options)


def _bind(server: Any, address: str) -> int:
    try:
        port: int = server.add_insecure_port(address)
    except RuntimeError as error:  # both servers' word for it
        raise OSError(f"{address} cannot be listened on: is something else listening there?") from error
    return port
