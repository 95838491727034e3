"""What surrounds every call: its trace, correlation ID and admission on the way in, its status on the way out."""

import asyncio
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import grpc
import structlog
from google.protobuf.message import Message
from google.rpc import status_pb2
from opentelemetry.trace import Span, SpanKind, Status, StatusCode

from gateway.admission import Admission
from mesh import topics
from mesh.errors import PolystreamError, Reason
from mesh.telemetry import names
from mesh.telemetry.context import TraceContext, parse, unsampled
from mesh.telemetry.tracing import Tracing, context_of

CORRELATION_ID_METADATA = "x-correlation-id"
STATUS_METADATA = "grpc-status-details-bin"  # a google.rpc.Status, as every gRPC library reads it

_MAX_CAUSES = 8  # that the log names
_CODES = {code.value[0]: code for code in grpc.StatusCode}

log = structlog.stdlib.get_logger(__name__)


@dataclass(slots=True)
class Call:
    """What is known of a call while it is handled."""

    method: str  # package.Service/Method
    correlation_id: str
    fingerprint: bytes | None  # of the request as it came, where the correlation ID stands for its `request_id`
    context: Any  # grpc.aio.ServicerContext
    trace: TraceContext  # what the call's children get
    span: Span | None  # None where the call is not traced
    named: frozenset[str] = frozenset()  # protobuf does not tell
    may_fill: bool = False


CommandHandler = Callable[[Any, Call], Awaitable[Message]]  # (request, call)
Query = Callable[[Any, Any], Any]  # (request, context): a coroutine, or an async generator where the RPC streams


class CallInterceptor:
    """Wraps handlers: each call is traced and admitted, and every error reaches the client in the same form.

    A wrapped handler takes what `Admission.decode` gave, and the call's context.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._refuses_commands = False
        self._refuses_queries = False
        self._queries: set[asyncio.Task[Any]] = set()
        self._calls = 0  # that have no answer yet
        self._quiet: asyncio.Event | None = None  # set once there are none, where somebody waits for that

    def command(
        self, method: str, handler: CommandHandler, admission: Admission
    ) -> Callable[[Any, Any], Awaitable[Message]]:
        """Wrap a command. `method` is package.Service/Method; the handler gets the admitted request, and the call."""

        async def answer(decoded: Any, context: Any) -> Message:
            call = self._enter(method, admission, decoded, context)
            try:
                request = _admit(admission, decoded, call, refused=self._refuses_commands)
                response = await handler(request, call)
            except BaseException as error:  # noqa: BLE001 - every end of a call has a status
                await self._fail(call, error)
            finally:
                self._leave()
            await context.send_initial_metadata(((CORRELATION_ID_METADATA, call.correlation_id),))
            if call.span is not None:
                _end(call.span, grpc.StatusCode.OK)
            return response

        return answer

    def query(self, method: str, handler: Query, admission: Admission) -> Callable[[Any, Any], Awaitable[Message]]:
        """Wrap a query with one answer. `method` is package.Service/Method; the handler gets the admitted request."""

        async def answer(decoded: Any, context: Any) -> Message:
            call = self._enter_query(method, admission, decoded, context)
            try:
                request = _admit(admission, decoded, call, refused=self._refuses_queries)
                response: Message = await handler(request, context)
            except BaseException as error:  # noqa: BLE001 - every end of a call has a status
                await self._fail(call, error)
            finally:
                self._leave_query()
            await context.send_initial_metadata(((CORRELATION_ID_METADATA, call.correlation_id),))
            if call.span is not None:
                _end(call.span, grpc.StatusCode.OK)
            return response

        return answer

    def stream(self, method: str, handler: Query, admission: Admission) -> Callable[[Any, Any], AsyncIterator[Message]]:
        """Wrap a query with many answers, as `query` does one with one."""

        async def answer(decoded: Any, context: Any) -> AsyncIterator[Message]:
            call = self._enter_query(method, admission, decoded, context)
            try:
                request = _admit(admission, decoded, call, refused=self._refuses_queries)
                await context.send_initial_metadata(((CORRELATION_ID_METADATA, call.correlation_id),))
                async with aclosing(handler(request, context)) as responses:
                    async for response in responses:
                        yield response
            except GeneratorExit:
                if call.span is not None:
                    _end(call.span, grpc.StatusCode.CANCELLED)
                raise
            except BaseException as error:  # noqa: BLE001 - every end of a call has a status
                await self._fail(call, error)
            finally:
                self._leave_query()
            if call.span is not None:
                _end(call.span, grpc.StatusCode.OK)

        return answer

    def refuse_commands(self) -> None:
        """Take no more commands: the gateway stops. Those that are under way go on."""
        self._refuses_commands = True

    def interrupt_queries(self) -> None:
        """End the queries that still run, and refuse those that come: the gateway stops, and each is told so."""
        self._refuses_queries = True
        for task in self._queries:
            task.cancel()

    async def quiet(self, timeout_s: float) -> None:
        """Wait until every call has its answer, at most `timeout_s` seconds."""
        if self._calls:
            self._quiet = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), timeout_s)

    def _enter(self, method: str, admission: Admission, decoded: Any, context: Any) -> Call:
        """Begin a call: identify its request, and decide whether it is traced."""
        correlation_id, fingerprint = admission.identify(decoded)
        self._calls += 1
        traceparent = tracestate = None
        for key, value in context.invocation_metadata():
            if key == "traceparent":
                traceparent = value
            elif key == "tracestate":
                tracestate = value
        parent = parse(traceparent, tracestate)
        trace = self._tracing.enter(parent)
        if trace is not None:
            return Call(method, correlation_id, fingerprint, context, trace, None)
        if parent is not None and not parent.sampled:
            # Only a sampler that is not parent-based comes here: the trace is recorded from this span on.
            parent = replace(parent, sampled=True)
        span = self._tracing.start(
            method,
            SpanKind.SERVER,
            parent,
            {names.RPC_SYSTEM: "grpc", names.RPC_METHOD: method, names.CONVERSATION_ID: correlation_id},
        )
        trace = unsampled(parent) if span is None else context_of(span)
        return Call(method, correlation_id, fingerprint, context, trace, span)

    def _enter_query(self, method: str, admission: Admission, decoded: Any, context: Any) -> Call:
        task = asyncio.current_task()
        if task is not None:
            self._queries.add(task)
        return self._enter(method, admission, decoded, context)

    def _leave(self) -> None:
        self._calls -= 1
        if self._calls == 0 and self._quiet is not None:
            self._quiet.set()

    def _leave_query(self) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._queries.discard(task)
        self._leave()

    async def _fail(self, call: Call, error: BaseException) -> NoReturn:
        """End the call with the error's status."""
        if isinstance(error, PolystreamError):
            known = error
        elif isinstance(error, asyncio.CancelledError) and self._refuses_queries:
            known = PolystreamError(Reason.GATEWAY_DRAINING)
        elif isinstance(error, Exception) and not isinstance(error, grpc.aio.AbortError):
            log.error(
                "unexpected error",
                method=call.method,
                correlation_id=call.correlation_id,
                error=_types(error),
                traceback=traceback.format_tb(error.__traceback__),
            )
            known = PolystreamError(Reason.INTERNAL, metadata={topics.CORRELATION_ID: call.correlation_id})
        else:
            # The client has left, its deadline has passed, or the call was aborted already.
            if call.span is not None:
                _end(call.span, grpc.StatusCode.CANCELLED, type(error).__name__)
            raise error
        status = known.to_status()
        if call.span is not None:
            _end(call.span, _CODES[status.code], known.reason.name)
        await refuse(call.context, status, call.correlation_id)


async def refuse(context: Any, status: status_pb2.Status, correlation_id: str) -> NoReturn:
    """Abort a call with its status in full, in the trailing metadata `grpc-status-details-bin`.

    `context` is a grpc.aio.ServicerContext, whose `abort` raises: this never returns.
    """
    await context.abort(
        _CODES[status.code],
        status.message,
        ((STATUS_METADATA, status.SerializeToString()), (CORRELATION_ID_METADATA, correlation_id)),
    )
    raise AssertionError("abort never returns")


def _admit(admission: Admission, decoded: Any, call: Call, *, refused: bool) -> Message:
    if refused:
        raise PolystreamError(Reason.GATEWAY_DRAINING)
    return admission.admit(decoded, call, call.correlation_id)


def _end(span: Span, code: grpc.StatusCode, error_type: str | None = None) -> None:
    span.set_attribute(names.RPC_STATUS, code.name)
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
