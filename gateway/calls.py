"""What every door calls: a call's trace, correlation ID and admission on the way in, its outcome on the way out.

A door reads a request and answers it; what happens in between is here, and the same for gRPC and REST.
"""

import asyncio
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Protocol

import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2, status_pb2
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from gateway.admission import Admission, Admissions
from gateway.call_metrics import GRPC, CallMetrics
from gateway.commands import CommandPath, PendingCommand
from gateway.operations.accepted import Serializable
from mesh import topics
from mesh.catalog import Catalog, Command
from mesh.errors import PolystreamError, Reason
from mesh.telemetry import names
from mesh.telemetry.context import TraceContext, parse, trace_context, unsampled
from mesh.telemetry.tracing import Tracing, context_of

_MAX_CAUSES: Final = 8  # that the log names
# Kept of a deadline for the answer's way back, or an eighth of a short one: half of what WaitOperation keeps.
_ANSWER_MARGIN_S: Final = 0.05
_WAIT: Final = "WaitOperation"  # of both services of operations
_NO_PLACE: Final = nullcontext()
NOTHING_NAMED: Final[frozenset[str]] = frozenset()

log = structlog.stdlib.get_logger(__name__)

Query = Callable[[Any, Any], Any]  # (request, caller): a coroutine, or an async generator where the RPC streams


@dataclass(slots=True)
class Caller:
    """What a door knows of a call beside its request."""

    traceparent: str | None = None
    tracestate: str | None = None
    deadline_s: float | None = None  # on the monotonic clock; None without one
    named: frozenset[str] = NOTHING_NAMED  # the request's own fields that JSON, path or query named, empty or not
    may_fill: bool = False  # whether demo data may fill a command that says nothing
    attributes: Mapping[str, str | int] | None = None  # of the call's span, beside those that every call has
    door: str = GRPC  # which door it came by, one of gateway.call_metrics

    def time_remaining(self) -> float | None:
        """Return how long the caller waits still, in seconds; None where it names no deadline."""
        return None if self.deadline_s is None else max(0.0, self.deadline_s - time.monotonic())


class Responder(Protocol):
    """How a door answers one command. One of the two is called, once, on the event loop."""

    def succeed(self, correlation_id: str, response: Serializable) -> None:
        """Answer the caller with an operation, serialized or as a message."""

    def fail(self, correlation_id: str, status: status_pb2.Status) -> None:
        """Answer the caller with an error."""


class CallError(Exception):
    """A query that failed, with what its caller is to be told."""

    def __init__(self, status: status_pb2.Status, correlation_id: str, error: PolystreamError | None = None) -> None:
        super().__init__(status.message)
        self.status = status
        self.correlation_id = correlation_id
        self.error = error  # what the status was made of, where that is known


class RpcKind(Enum):
    """How an RPC is answered."""

    COMMAND = "command"  # by an acknowledgement: `Calls.command`
    QUERY = "query"  # by one message: `Calls.query`
    STREAM = "stream"  # by many messages: `Calls.stream`


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC, compiled when the gateway starts."""

    name: str  # package.Service/Method
    kind: RpcKind
    admission: Admission
    command: Command | None = None  # of a command
    handler: Query | None = None  # of all else
    waits: bool = False  # whether an answer may take as long as a stream, and needs a stream's place


class CommandCall(PendingCommand):
    """A command from its arrival to its answer: all that is kept of it meanwhile."""

    __slots__ = ("_began_s", "_calls", "_door", "_responder", "_rpc", "span")

    def __init__(self, calls: "Calls", rpc: Rpc, decoded: Any, caller: Caller, responder: Responder) -> None:
        # All in one: a call of each base's __init__ would take as long as this.
        self.correlation_id, self.fingerprint = rpc.admission.identify(decoded)
        self.deadline_s = caller.deadline_s
        self.send_span = None
        self._began_s = time.perf_counter()
        self._door = caller.door
        self._calls = calls
        self._rpc = rpc
        self._responder = responder
        self.span: Span | None = None  # None where the call is not traced

    def succeed(self, operation: Serializable) -> None:
        """Answer with the operation."""
        self._calls.leave()
        trace = None
        if self.span is not None:
            _end(self.span, "OK")
            trace = self.trace
        self._calls.metrics.succeeded(self._rpc.name, self._door, self._began_s, trace)
        try:
            self._responder.succeed(self.correlation_id, operation)
        except Exception as error:  # noqa: BLE001 - the commands after this one have their answers all the same
            _untold(self._rpc, self.correlation_id, error)

    def fail(self, error: Exception) -> None:
        """Answer with an error; what is no PolystreamError is unexpected."""
        self._calls.leave()
        known = error if isinstance(error, PolystreamError) else _unexpected(self._rpc, self.correlation_id, error)
        status = _refuse(self.span, known)
        trace = self.trace if self.span is not None else None
        self._calls.metrics.failed(self._rpc.name, self._door, self._began_s, known, trace)
        try:
            self._responder.fail(self.correlation_id, status)
        except Exception as fault:  # noqa: BLE001 - as above
            _untold(self._rpc, self.correlation_id, fault)


class Calls:
    """Every RPC of the platform, for whoever serves them. Belongs to the event loop.

    `services` are what is served, and `queries` the handlers of what is no command, by package.Service/Method; an RPC
    that is neither is in `rpcs` not at all. `max_streams` is how many streams may be open at once.
    """

    def __init__(
        self,
        catalog: Catalog,
        services: Sequence[ServiceDescriptor],
        commands: CommandPath,
        queries: Mapping[str, Query],
        *,
        admissions: Admissions,
        tracing: Tracing,
        max_streams: int,
    ) -> None:
        self.services = tuple(services)
        self._command_path = commands
        self._tracing = tracing
        by_name = {f"{command.service}/{command.name}": command for command in catalog.commands.values()}
        self.rpcs: Mapping[str, Rpc] = {
            rpc.name: rpc
            for service in services
            for method in service.methods
            if (rpc := _compile(method, by_name, queries, admissions)) is not None
        }
        self.metrics = CallMetrics({name: command.name for name, command in by_name.items()})
        self.serving = False  # whether commands are taken: the registry has been reached, and the gateway stays
        self._max_streams = max_streams
        self._streams = 0
        self._refuses_commands = False
        self._refuses_queries = False
        self._queries: set[asyncio.Task[Any]] = set()
        self._calls = 0  # that have no answer yet
        self._quiet: asyncio.Event | None = None  # set once there are none, where somebody waits for that

    def command(self, rpc: Rpc, decoded: Message | PolystreamError, caller: Caller, responder: Responder) -> None:
        """Take a command, or what of it could not be read; the responder is told what becomes of it. Never raises."""
        call = CommandCall(self, rpc, decoded, caller, responder)
        self._calls += 1
        try:
            call.trace, call.span = self._enter(rpc, call.correlation_id, caller)
            if self._refuses_commands:
                raise PolystreamError(Reason.GATEWAY_DRAINING)  # noqa: TRY301 - it ends like the others
            request = rpc.admission.admit(decoded, caller, call.correlation_id)
            self._command_path.submit(rpc.command, request, call)  # type: ignore[arg-type] # a command has one
        except Exception as error:  # noqa: BLE001 - every call has an answer
            call.fail(error)

    async def query(self, rpc: Rpc, decoded: Message | PolystreamError, caller: Caller) -> tuple[str, Message]:
        """Answer a query: its correlation ID, and the response. Raises CallError.

        Whose caller has left is canceled by the door.
        """
        began_s = time.perf_counter()
        correlation_id, _ = rpc.admission.identify(decoded)
        trace, span = self._enter(rpc, correlation_id, caller)
        try:
            with self._querying(), self.streaming() if rpc.waits else _NO_PLACE:
                request = self._admit_query(rpc, decoded, caller, correlation_id)
                answer = rpc.handler(request, caller)  # type: ignore[misc] # a query has one
                response: Message = await until(answer_by_s(caller), answer)
        except BaseException as error:
            failure = self._failure(rpc, correlation_id, span, error)
            self.metrics.failed(rpc.name, caller.door, began_s, None if failure is None else failure.error, trace)
            if failure is None:
                raise
            raise failure from error
        if span is not None:
            _end(span, "OK")
        self.metrics.succeeded(rpc.name, caller.door, began_s, trace)
        return correlation_id, response

    async def stream(
        self, rpc: Rpc, decoded: Message | PolystreamError, caller: Caller
    ) -> AsyncIterator[tuple[str, Message]]:
        """Give a stream's messages, each with the call's correlation ID. Raises CallError.

        It ends with DEADLINE_EXCEEDED shortly before the caller's deadline.
        """
        began_s = time.perf_counter()
        correlation_id, _ = rpc.admission.identify(decoded)
        trace, span = self._enter(rpc, correlation_id, caller)
        give_up_s = answer_by_s(caller)
        try:
            with self._querying(), self.streaming():
                request = self._admit_query(rpc, decoded, caller, correlation_id)
                async with aclosing(rpc.handler(request, caller)) as responses:  # type: ignore[misc] # a stream has one
                    while (response := await until(give_up_s, anext(responses, None))) is not None:
                        yield correlation_id, response
        except GeneratorExit:
            if span is not None:
                _end(span, "CANCELLED")
            self.metrics.failed(rpc.name, caller.door, began_s, None, trace)
            raise
        except BaseException as error:
            failure = self._failure(rpc, correlation_id, span, error)
            self.metrics.failed(rpc.name, caller.door, began_s, None if failure is None else failure.error, trace)
            if failure is None:
                raise
            raise failure from error
        if span is not None:
            _end(span, "OK")
        self.metrics.succeeded(rpc.name, caller.door, began_s, trace)

    @property
    def open_streams(self) -> int:
        """How many streams are open, and calls waiting."""
        return self._streams

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """Hold one of the places that streams have. Raises PolystreamError TOO_MANY_STREAMS where none is free."""
        if self._streams >= self._max_streams:
            raise PolystreamError(Reason.TOO_MANY_STREAMS)
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    def refuse_commands(self) -> None:
        """Take no more commands: the gateway stops. Those that are under way go on."""
        self._refuses_commands = True
        self.serving = False

    def interrupt_queries(self) -> None:
        """End the queries that still run, and refuse those that come: the gateway stops, and each is told so."""
        self._refuses_queries = True
        for task in self._queries:
            task.cancel()

    async def quiet(self, grace_s: float) -> None:
        """Wait until every call has its answer, at most `grace_s` seconds."""
        if self._calls:
            self._quiet = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), grace_s)

    def leave(self) -> None:
        """Take note that a call is answered."""
        self._calls -= 1
        if self._calls == 0 and self._quiet is not None:
            self._quiet.set()

    def _enter(self, rpc: Rpc, correlation_id: str, caller: Caller) -> tuple[TraceContext, Span | None]:
        """Decide whether a call is traced. Returns what its children get, and its span where it has one."""
        parent = parse(caller.traceparent, caller.tracestate)
        trace = self._tracing.enter(parent)
        if trace is not None:
            return trace, None
        if parent is not None and not parent.sampled:
            # Only a sampler that is not parent-based comes here: the trace is recorded from this span on.
            parent = trace_context(parent.trace_id, parent.span_id, sampled=True, tracestate=parent.tracestate)
        attributes: dict[str, AttributeValue] = {names.RPC_METHOD: rpc.name, names.CONVERSATION_ID: correlation_id}
        attributes.update({names.RPC_SYSTEM: "grpc"} if caller.attributes is None else caller.attributes)
        span = self._tracing.start(rpc.name, SpanKind.SERVER, parent, attributes)
        return unsampled(parent) if span is None else context_of(span), span

    def _admit_query(
        self, rpc: Rpc, decoded: Message | PolystreamError, caller: Caller, correlation_id: str
    ) -> Message:
        if self._refuses_queries:
            raise PolystreamError(Reason.GATEWAY_DRAINING)
        return rpc.admission.admit(decoded, caller, correlation_id)

    @contextmanager
    def _querying(self) -> Iterator[None]:
        """Count a query while it runs, and let `interrupt_queries` find it."""
        task = asyncio.current_task()
        self._calls += 1
        if task is not None:
            self._queries.add(task)
        try:
            yield
        finally:
            if task is not None:
                self._queries.discard(task)
            self.leave()

    def _failure(self, rpc: Rpc, correlation_id: str, span: Span | None, error: BaseException) -> CallError | None:
        """Return what a query ends with; None where it was interrupted and nobody is to be told."""
        if isinstance(error, PolystreamError):
            known = error
        elif isinstance(error, asyncio.CancelledError) and self._refuses_queries:
            known = PolystreamError(Reason.GATEWAY_DRAINING)
        elif isinstance(error, Exception):
            known = _unexpected(rpc, correlation_id, error)
        else:
            if span is not None:
                _end(span, "CANCELLED", type(error).__name__)
            return None
        return CallError(_refuse(span, known), correlation_id, known)


def _compile(
    method: MethodDescriptor, commands: Mapping[str, Command], queries: Mapping[str, Query], admissions: Admissions
) -> Rpc | None:
    name = f"{method.containing_service.full_name}/{method.name}"
    command = commands.get(name)
    if command is not None:
        return Rpc(name, RpcKind.COMMAND, admissions.of_command(command), command=command)
    handler = queries.get(name)
    if handler is None:
        return None
    kind = RpcKind.STREAM if method.server_streaming else RpcKind.QUERY
    admission = admissions.of_query(GetMessageClass(method.input_type))
    return Rpc(name, kind, admission, handler=handler, waits=method.name == _WAIT)


def answer_by_s(caller: Caller) -> float | None:
    """Return when a query's caller has to be answered, on the monotonic clock; None where it names no deadline."""
    if caller.deadline_s is None:
        return None
    remaining_s = caller.deadline_s - time.monotonic()
    return caller.deadline_s - min(_ANSWER_MARGIN_S, remaining_s / 8)


async def until(give_up_s: float | None, answer: Awaitable[Any]) -> Any:
    """Await an answer. Raises PolystreamError DEADLINE_EXCEEDED at `give_up_s`, on the monotonic clock."""
    if give_up_s is None:
        return await answer
    bound = asyncio.timeout(give_up_s - time.monotonic())
    try:
        async with bound:
            return await answer
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise PolystreamError(Reason.DEADLINE_EXCEEDED, "the deadline passed before the answer was complete") from error


def _unexpected(rpc: Rpc, correlation_id: str, error: Exception) -> PolystreamError:
    log.error(
        "unexpected error",
        method=rpc.name,
        correlation_id=correlation_id,
        error=_types(error),
        traceback=traceback.format_tb(error.__traceback__),
    )
    return PolystreamError(Reason.INTERNAL, metadata={topics.CORRELATION_ID: correlation_id})


def _untold(rpc: Rpc, correlation_id: str, error: Exception) -> None:
    log.error("a door did not take an answer", method=rpc.name, correlation_id=correlation_id, error=_types(error))


def _refuse(span: Span | None, error: PolystreamError) -> status_pb2.Status:
    """End a call's span with an error, and return what the caller is told."""
    status = error.to_status()
    if span is not None:
        _end(span, code_pb2.Code.Name(status.code), error.reason.name)
    return status


def _end(span: Span, code: str, error_type: str | None = None) -> None:
    span.set_attribute(names.RPC_STATUS, code)
    if error_type is not None:
        span.set_attribute(names.ERROR_TYPE, error_type)
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _types(error: BaseException) -> str:
    """Name an error and its causes. What they say may quote a request or a row, and is not logged."""
    chain = [type(error).__name__]
    while (cause := error.__cause__ or error.__context__) is not None and len(chain) < _MAX_CAUSES:
        chain.append(type(cause).__name__)
        error = cause
    return " from ".join(chain)
