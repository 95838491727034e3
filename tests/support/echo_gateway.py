"""A gateway that knows no store: it answers every RPC of `polystream.v1` from the request itself.

A client steers it by headers, which reach it as metadata: `x-echo-error: NOT_FOUND` makes it abort with that code and
rich details, `x-echo-late-error` the same after a stream's messages, `x-echo-plain-error` with the code alone, and
`x-echo-hang: 1` makes it wait until the call is cancelled. Run as a program (`python -m tests.support.echo_gateway
PORT`), it is the upstream of the edge's benchmark.
"""

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, NoReturn

import grpc
import pygrpc_native.aio
import uvloop
from google.protobuf import any_pb2, descriptor, message, message_factory
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from polystream.v1 import (
    contents_pb2,
    contents_pb2_grpc,
    operations_pb2,
    operations_pb2_grpc,
    payments_pb2,
    payments_pb2_grpc,
    preferences_pb2,
    preferences_pb2_grpc,
    recommendations_pb2,
    recommendations_pb2_grpc,
    sessions_pb2,
    sessions_pb2_grpc,
    subscriptions_pb2,
    subscriptions_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    users_pb2,
    users_pb2_grpc,
    views_pb2,
    views_pb2_grpc,
)

from mesh.errors import FieldFault, build_status

CORRELATION_ID = "0190a5c4-0000-7000-8000-000000000001"
MAX_CALLS_KEPT = 100

_SERVICES: tuple[tuple[ModuleType, ModuleType], ...] = (
    (contents_pb2, contents_pb2_grpc),
    (operations_pb2, operations_pb2_grpc),
    (payments_pb2, payments_pb2_grpc),
    (preferences_pb2, preferences_pb2_grpc),
    (recommendations_pb2, recommendations_pb2_grpc),
    (sessions_pb2, sessions_pb2_grpc),
    (subscriptions_pb2, subscriptions_pb2_grpc),
    (system_pb2, system_pb2_grpc),
    (users_pb2, users_pb2_grpc),
    (views_pb2, views_pb2_grpc),
)


@dataclass(frozen=True, slots=True)
class Call:
    """One call as it arrived."""

    method: str  # the RPC's name
    request: message.Message
    metadata: dict[str, str]
    time_remaining_s: float | None  # until the call's deadline, None without one


class EchoGateway:
    """The servicers of every service, and a record of the latest calls."""

    def __init__(self, name: str = "echo") -> None:
        self.name = name
        self.calls: deque[Call] = deque(maxlen=MAX_CALLS_KEPT)
        self.health = health_aio.HealthServicer()
        self.hanging = 0  # calls that wait for their cancellation now

    def register(self, server: Any) -> list[str]:
        """Add every service to `server`, a grpc.aio server or its like; return the services' full names."""
        names: list[str] = []
        for messages, stubs in _SERVICES:
            for service in messages.DESCRIPTOR.services_by_name.values():
                base = getattr(stubs, f"{service.name}Servicer")
                methods = {method.name: self._handler(method) for method in service.methods}
                servicer = type(f"Echo{service.name}", (base,), methods)()
                getattr(stubs, f"add_{service.name}Servicer_to_server")(servicer, server)
                names.append(service.full_name)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        return names

    async def set_serving(self, serving: bool) -> None:
        """Change what the health service answers."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self.health.set("", status)

    def _handler(self, method: descriptor.MethodDescriptor) -> Callable[..., Any]:
        async def unary(_: Any, request: message.Message, context: Any) -> message.Message:
            await self._obey(method, request, context)
            await context.send_initial_metadata(
                (("x-correlation-id", CORRELATION_ID), ("x-echo-gateway", self.name)),
            )
            return _answer(method, request)

        async def stream(_: Any, request: message.Message, context: Any) -> AsyncIterator[message.Message]:
            await self._obey(method, request, context)
            for _state in range(2):
                yield _answer(method, request)
            if name := self.calls[-1].metadata.get("x-echo-late-error"):
                await _refuse(context, name)

        return stream if method.server_streaming else unary

    async def _obey(self, method: descriptor.MethodDescriptor, request: message.Message, context: Any) -> None:
        metadata = {entry.key: entry.value for entry in context.invocation_metadata()}
        self.calls.append(Call(method.name, request, metadata, context.time_remaining()))
        if name := metadata.get("x-echo-error"):
            await _refuse(context, name)
        if name := metadata.get("x-echo-plain-error"):
            await context.abort(grpc.StatusCode[name], "plain words")
        if "x-echo-hang" in metadata:
            self.hanging += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.hanging -= 1


async def _refuse(context: Any, name: str) -> NoReturn:
    status = build_status(
        code_pb2.Code.Value(name),
        "ECHO_REFUSAL",
        "refused, as asked",
        faults=[FieldFault("user_id", "is not liked")],
        retry_delay_s=1.5,
    )
    trailing = (*rpc_status.to_status(status).trailing_metadata, ("retry-after", "2"))
    await context.abort(grpc.StatusCode[name], status.message, trailing)
    raise AssertionError("abort returns never")


def _answer(method: descriptor.MethodDescriptor, request: message.Message) -> message.Message:
    answer = message_factory.GetMessageClass(method.output_type)()
    if isinstance(answer, operations_pb2.Operation):
        packed = any_pb2.Any()
        packed.Pack(request)
        answer.CopyFrom(
            operations_pb2.Operation(
                name=f"operations/{CORRELATION_ID}",
                correlation_id=CORRELATION_ID,
                command=method.name,
                state=operations_pb2.Operation.State.ACCEPTED,
                user_id=getattr(request, "user_id", 0) or None,
                result=packed,
            )
        )
        return answer
    for field in answer.DESCRIPTOR.fields:
        same = request.DESCRIPTOR.fields_by_name.get(field.name)
        if same is not None and same.type == field.type and not field.message_type:
            setattr(answer, field.name, getattr(request, field.name))
    return answer


async def start(echo: EchoGateway, port: int = 0, *, native: bool = False) -> tuple[Any, int]:
    """Serve `echo` on the loopback interface; return the server, to be stopped by the caller, and its port."""
    server = pygrpc_native.aio.server() if native else grpc.aio.server()
    names = echo.register(server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    reflection.enable_server_reflection((*names, health_name, reflection.SERVICE_NAME), server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await echo.set_serving(True)
    await server.start()
    return server, bound


async def _serve(port: int) -> None:
    server, _ = await start(EchoGateway(), port, native=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
