"""What surrounds a call: whatever a handler does, the client gets a status in full, and logs stay clean."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
import structlog
from gateway.interceptor import CORRELATION_ID_METADATA, STATUS_METADATA, CallInterceptor
from google.rpc import error_details_pb2, status_pb2
from polystream.v1.users_pb2 import GetUserRequest, User

from gateway.admission import Admissions
from mesh.errors import PolystreamError, Reason
from mesh.settings import TelemetrySettings
from mesh.telemetry.tracing import Tracing

METHOD = "polystream.v1.UserService/GetUser"
ADMISSION = Admissions(max_request_bytes=1000, demo_data=False).of_query(GetUserRequest)
REQUEST = GetUserRequest(user_id=1)


class Context:
    """What a servicer is given, as far as it is used."""

    def __init__(self, **metadata: str) -> None:
        self.metadata = tuple((key.replace("_", "-"), value) for key, value in metadata.items())
        self.initial: dict[str, Any] = {}
        self.aborted: tuple[grpc.StatusCode, str, dict[str, Any]] | None = None

    def invocation_metadata(self) -> Any:
        """Return the caller's metadata."""
        return self.metadata

    async def send_initial_metadata(self, metadata: Any) -> None:
        """Keep it."""
        self.initial = dict(metadata)

    async def abort(self, code: grpc.StatusCode, details: str, trailing: Any) -> None:
        """Keep it, and end the call."""
        self.aborted = (code, details, dict(trailing))
        raise grpc.aio.AbortError

    @property
    def reason(self) -> str:
        """ErrorInfo's reason of the status in the trailing metadata."""
        assert self.aborted is not None
        status, info = status_pb2.Status.FromString(self.aborted[2][STATUS_METADATA]), error_details_pb2.ErrorInfo()
        assert status.code == self.aborted[0].value[0]
        assert status.details[0].Unpack(info)
        return str(info.reason)


@pytest.fixture
def interceptor() -> CallInterceptor:
    """Give an interceptor that traces nothing."""
    return CallInterceptor(Tracing("gateway", "test", TelemetrySettings(OTEL_SDK_DISABLED=True)))


async def answer(request: Any, _context: Any) -> User:
    """Answer with the request's user."""
    return User(user_id=request.user_id)


async def test_an_answer_carries_a_correlation_id(interceptor: CallInterceptor) -> None:
    """Queries have one too."""
    context = Context()
    assert await interceptor.query(METHOD, answer, ADMISSION)(REQUEST, context) == User(user_id=1)
    assert len(context.initial[CORRELATION_ID_METADATA]) == 36


async def test_a_known_error_is_told_in_full(interceptor: CallInterceptor) -> None:
    """Code, message and details are those of the error's row."""

    async def fail(_request: Any, _context: Any) -> User:
        raise PolystreamError(Reason.USER_NOT_FOUND)

    context = Context()
    with pytest.raises(grpc.aio.AbortError):
        await interceptor.query(METHOD, fail, ADMISSION)(REQUEST, context)
    assert context.aborted is not None
    assert context.aborted[:2] == (grpc.StatusCode.NOT_FOUND, Reason.USER_NOT_FOUND.value.message)
    assert context.reason == "USER_NOT_FOUND"
    assert len(context.aborted[2][CORRELATION_ID_METADATA]) == 36


async def test_a_query_is_held_to_its_rules(interceptor: CallInterceptor) -> None:
    """Invalid values, unknown fields and unreadable bytes never reach a handler."""
    query = interceptor.query(METHOD, answer, ADMISSION)
    for request, context, reason in (
        (GetUserRequest(), Context(), "INVALID_FIELD"),
        (REQUEST, Context(x_polystream_json_fields="user"), "UNKNOWN_FIELD"),
        (PolystreamError(Reason.MALFORMED_REQUEST), Context(), "MALFORMED_REQUEST"),
    ):
        with pytest.raises(grpc.aio.AbortError):
            await query(request, context)
        assert context.reason == reason


async def test_an_unexpected_error_tells_nothing(
    interceptor: CallInterceptor, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets the correlation ID alone; the log has it and the traceback, and not what the error says."""

    async def fail(_request: Any, _context: Any) -> User:
        address = "maria" + "@" + "example.com"
        raise RuntimeError(f"no {address}") from KeyError(address)

    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.stdlib.LoggerFactory()
    )
    context = Context()
    with caplog.at_level(logging.ERROR), pytest.raises(grpc.aio.AbortError):
        await interceptor.query(METHOD, fail, ADMISSION)(REQUEST, context)
    structlog.reset_defaults()
    assert context.aborted is not None
    assert context.aborted[0] is grpc.StatusCode.INTERNAL
    assert context.reason == "INTERNAL"
    assert "maria@" not in str(context.aborted)
    (record,) = caplog.records
    logged = json.loads(record.getMessage())
    assert logged["error"] == "RuntimeError from KeyError"
    assert logged["correlation_id"] == context.aborted[2][CORRELATION_ID_METADATA]
    assert "fail" in "".join(logged["traceback"])
    assert "maria@" not in record.getMessage()


async def test_a_caller_who_leaves_ends_the_handler(interceptor: CallInterceptor) -> None:
    """The cancellation passes through: nobody is there to be answered."""
    begun = asyncio.Event()

    async def wait(_request: Any, _context: Any) -> User:
        begun.set()
        await asyncio.Event().wait()
        return User()

    context = Context()
    call = asyncio.ensure_future(interceptor.query(METHOD, wait, ADMISSION)(REQUEST, context))
    await begun.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert context.aborted is None


async def test_a_query_that_runs_at_the_end_is_told_so(interceptor: CallInterceptor) -> None:
    """The client gets a status that says to try again, instead of a broken connection."""
    begun = asyncio.Event()

    async def wait(_request: Any, _context: Any) -> User:
        begun.set()
        await asyncio.Event().wait()
        return User()

    context = Context()
    call = asyncio.ensure_future(interceptor.query(METHOD, wait, ADMISSION)(REQUEST, context))
    await begun.wait()
    interceptor.interrupt_queries()
    with pytest.raises(grpc.aio.AbortError):
        await call
    assert context.reason == "GATEWAY_DRAINING"
    late = Context()
    with pytest.raises(grpc.aio.AbortError):
        await interceptor.query(METHOD, wait, ADMISSION)(REQUEST, late)
    assert late.reason == "GATEWAY_DRAINING"


async def test_a_command_that_comes_at_the_end_is_told_so(interceptor: CallInterceptor) -> None:
    """Queries still run then: who has sent a command may ask what became of it."""
    interceptor.refuse_commands()
    context = Context()
    with pytest.raises(grpc.aio.AbortError):
        await interceptor.command(METHOD, answer, ADMISSION)(REQUEST, context)
    assert context.reason == "GATEWAY_DRAINING"
    assert await interceptor.query(METHOD, answer, ADMISSION)(REQUEST, Context()) == User(user_id=1)


async def test_it_is_quiet_once_every_call_has_its_answer(interceptor: CallInterceptor) -> None:
    """A call that waits is waited for, for so long and no longer."""
    await interceptor.quiet(0)
    begun, answerable = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _context: Any) -> User:
        begun.set()
        await answerable.wait()
        return User()

    call = asyncio.ensure_future(interceptor.query(METHOD, wait, ADMISSION)(REQUEST, Context()))
    await begun.wait()
    await interceptor.quiet(0.01)
    assert not call.done()
    quiet = asyncio.ensure_future(interceptor.quiet(10))
    answerable.set()
    await quiet
    await call


async def test_a_stream_is_wrapped_like_an_answer(interceptor: CallInterceptor) -> None:
    """Its correlation ID comes first, an error in mid-stream has its status, and the handler is closed with it."""
    closed = asyncio.Event()

    async def count(request: Any, _context: Any) -> AsyncIterator[User]:
        try:
            yield User(user_id=request.user_id)
            yield User(user_id=request.user_id + 1)
            raise PolystreamError(Reason.OPERATION_NOT_FOUND)
        finally:
            closed.set()

    stream, context = interceptor.stream(METHOD, count, ADMISSION), Context()
    answers = stream(REQUEST, context)
    assert [await anext(answers), await anext(answers)] == [User(user_id=1), User(user_id=2)]
    assert context.initial
    with pytest.raises(grpc.aio.AbortError):
        await anext(answers)
    assert context.reason == "OPERATION_NOT_FOUND"

    closed.clear()
    left = stream(REQUEST, Context())
    await anext(left)
    await left.aclose()  # type: ignore[attr-defined]
    assert closed.is_set()
