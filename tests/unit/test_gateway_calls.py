"""What surrounds a call: whatever a handler does, the caller gets an answer in full, and logs stay clean."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog
from google.rpc import code_pb2, error_details_pb2, status_pb2
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import DeleteUserRequest, GetUserRequest, User

from gateway.admission import Admissions
from gateway.calls import Caller, CallError, Calls, Rpc, RpcKind
from gateway.commands import CommandPath, PendingCommand
from mesh.catalog import Command, load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.settings import TelemetrySettings
from mesh.telemetry.tracing import Tracing

GET_USER, WATCH, DELETE = (
    "polystream.v1.UserService/GetUser",
    "polystream.v1.OperationService/WatchOperation",
    "polystream.v1.UserService/DeleteUser",
)
REQUEST = GetUserRequest(user_id=1)
COMMAND = DeleteUserRequest(user_id=1)


class Path(CommandPath):
    """Stands where Kafka is: commands are kept, or fail."""

    def __init__(self) -> None:
        self.taken: list[PendingCommand] = []
        self.error: Exception | None = None

    def submit(self, command: Command, request: Any, pending: PendingCommand) -> None:
        """Keep a command."""
        assert request == COMMAND
        assert command.name == "DeleteUser"
        if self.error is not None:
            raise self.error
        self.taken.append(pending)


class Answer:
    """What a door is told."""

    def __init__(self) -> None:
        self.responses: list[Any] = []
        self.status: status_pb2.Status | None = None
        self.correlation_id = ""

    def succeed(self, correlation_id: str, response: Any) -> None:
        """Keep it."""
        self.correlation_id = correlation_id
        self.responses.append(response)

    def fail(self, correlation_id: str, status: status_pb2.Status) -> None:
        """Keep it."""
        self.correlation_id, self.status = correlation_id, status


def make(handler: Any = None, path: Path | None = None, *, max_streams: int = 10) -> Calls:
    """Return calls whose every query is answered by `handler`, and that trace nothing."""
    catalog = load_catalog()
    return Calls(
        catalog,
        catalog.services,
        path or Path(),
        {GET_USER: handler or answer, WATCH: handler or answer},
        admissions=Admissions(max_request_bytes=1000, demo_data=False),
        tracing=Tracing("gateway", "test", TelemetrySettings(OTEL_SDK_DISABLED=True)),
        max_streams=max_streams,
    )


def ask(calls: Calls, request: Any = REQUEST, caller: Caller | None = None) -> "asyncio.Task[tuple[str, Any]]":
    """Ask a query in a task."""
    return asyncio.ensure_future(calls.query(calls.rpcs[GET_USER], request, caller or Caller()))


def streamed(calls: Calls, caller: Caller | None = None) -> AsyncIterator[tuple[str, Any]]:
    """Open a stream. Its RPC has the admission of a query of users, which the tests' requests are."""
    rpc = calls.rpcs[GET_USER]
    return calls.stream(
        Rpc(WATCH, RpcKind.STREAM, rpc.admission, handler=calls.rpcs[WATCH].handler), REQUEST, caller or Caller()
    )


def reason_of(status: status_pb2.Status) -> str:
    """Return ErrorInfo's reason."""
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return str(info.reason)


async def refusal(call: Any) -> CallError:
    """Return how a query fails."""
    with pytest.raises(CallError) as caught:
        await call
    assert len(caught.value.correlation_id) == 36
    return caught.value


async def answer(request: Any, _caller: Any) -> User:
    """Answer with the request's user."""
    return User(user_id=request.user_id)


async def wait_for_ever(_request: Any, _caller: Any) -> User:
    """Give no answer."""
    await asyncio.Event().wait()
    return User()


async def begun(calls: Calls, task: "asyncio.Task[Any]") -> None:
    """Let a task run until it waits."""
    await asyncio.sleep(0)
    assert calls is not None
    assert not task.done()


async def test_every_rpc_is_there_in_its_kind() -> None:
    """Commands by their option, queries by their handlers; what has neither is not."""
    calls = make()
    assert calls.rpcs[GET_USER].kind is RpcKind.QUERY
    assert calls.rpcs[WATCH].kind is RpcKind.STREAM
    assert calls.rpcs[DELETE].kind is RpcKind.COMMAND
    assert "polystream.v1.UserService/ListUsers" not in calls.rpcs


async def test_an_answer_carries_a_correlation_id() -> None:
    """Queries have one too."""
    correlation_id, user = await ask(make())
    assert user == User(user_id=1)
    assert len(correlation_id) == 36


async def test_a_known_error_is_told_in_full() -> None:
    """Code, message and details are those of the error's row."""

    async def fail(_request: Any, _caller: Any) -> User:
        raise PolystreamError(Reason.USER_NOT_FOUND)

    failure = await refusal(ask(make(fail)))
    assert (failure.status.code, failure.status.message) == (code_pb2.NOT_FOUND, Reason.USER_NOT_FOUND.value.message)
    assert reason_of(failure.status) == "USER_NOT_FOUND"


async def test_a_query_is_held_to_its_rules() -> None:
    """Invalid values and what could not be read never reach a handler."""
    calls = make()
    for request, reason in (
        (GetUserRequest(), "INVALID_FIELD"),
        (PolystreamError(Reason.MALFORMED_REQUEST), "MALFORMED_REQUEST"),
        (PolystreamError(Reason.UNKNOWN_FIELD), "UNKNOWN_FIELD"),
    ):
        assert reason_of((await refusal(ask(calls, request))).status) == reason


async def test_an_unexpected_error_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The client gets the correlation ID alone; the log has it and the traceback, and not what the error says."""

    async def fail(_request: Any, _caller: Any) -> User:
        address = "maria" + "@" + "example.com"
        raise RuntimeError(f"no {address}") from KeyError(address)

    structlog.configure(
        processors=[structlog.processors.JSONRenderer()], logger_factory=structlog.stdlib.LoggerFactory()
    )
    with caplog.at_level(logging.ERROR):
        failure = await refusal(ask(make(fail)))
    assert failure.status.code == code_pb2.INTERNAL
    assert reason_of(failure.status) == "INTERNAL"
    assert b"maria@" not in failure.status.SerializeToString()
    (record,) = caplog.records
    logged = json.loads(record.getMessage())
    assert logged["error"] == "RuntimeError from KeyError"
    assert logged["correlation_id"] == failure.correlation_id
    assert "fail" in "".join(logged["traceback"])
    assert "maria@" not in record.getMessage()


async def test_a_caller_who_leaves_ends_the_handler() -> None:
    """The cancellation passes through: nobody is there to be answered."""
    calls = make(wait_for_ever)
    call = ask(calls)
    await begun(calls, call)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await calls.quiet(0)


@pytest.mark.parametrize("remaining_s", [0.05, -1.0])
async def test_a_deadline_ends_a_query(remaining_s: float) -> None:
    """Shortly before it passes, so that the caller still learns of it; a handler's own TimeoutError is another."""
    caller = Caller(deadline_s=time.monotonic() + remaining_s)
    assert reason_of((await refusal(ask(make(wait_for_ever), caller=caller))).status) == "DEADLINE_EXCEEDED"

    async def time_out(_request: Any, _caller: Any) -> User:
        raise TimeoutError

    patient = Caller(deadline_s=time.monotonic() + 60)
    assert reason_of((await refusal(ask(make(time_out), caller=patient))).status) == "INTERNAL"


async def test_a_query_that_runs_at_the_end_is_told_so() -> None:
    """The client gets a status that says to try again, instead of a broken connection."""
    calls = make(wait_for_ever)
    call = ask(calls)
    await begun(calls, call)
    calls.interrupt_queries()
    assert reason_of((await refusal(call)).status) == "GATEWAY_DRAINING"
    assert reason_of((await refusal(ask(calls))).status) == "GATEWAY_DRAINING"


async def test_a_command_is_answered_by_its_responder() -> None:
    """Once Kafka has it, and with its correlation ID."""
    path, told = Path(), Answer()
    calls = make(path=path)
    calls.command(calls.rpcs[DELETE], COMMAND, Caller(), told)
    (pending,) = path.taken
    assert not told.responses
    operation = Operation(correlation_id=pending.correlation_id)
    pending.succeed(operation)
    assert (told.correlation_id, told.responses, told.status) == (pending.correlation_id, [operation], None)


async def test_a_command_that_cannot_be_taken_is_answered_at_once() -> None:
    """Whatever is wrong: what came, the state of things, or something unexpected."""
    path = Path()
    calls = make(path=path)
    for decoded, error, reason in (
        (DeleteUserRequest(), None, "INVALID_FIELD"),
        (PolystreamError(Reason.MALFORMED_REQUEST), None, "MALFORMED_REQUEST"),
        (COMMAND, PolystreamError(Reason.TOO_MANY_COMMANDS), "TOO_MANY_COMMANDS"),
        (COMMAND, ZeroDivisionError(), "INTERNAL"),
    ):
        path.error, told = error, Answer()
        calls.command(calls.rpcs[DELETE], decoded, Caller(), told)
        assert told.status is not None
        assert (reason_of(told.status), len(told.correlation_id)) == (reason, 36)
    await calls.quiet(0)


async def test_a_command_that_comes_at_the_end_is_told_so() -> None:
    """Queries still run then: who has sent a command may ask what became of it."""
    calls, told = make(), Answer()
    calls.serving = True
    calls.refuse_commands()
    assert not calls.serving
    calls.command(calls.rpcs[DELETE], COMMAND, Caller(), told)
    assert told.status is not None
    assert reason_of(told.status) == "GATEWAY_DRAINING"
    assert (await ask(calls))[1] == User(user_id=1)


async def test_it_is_quiet_once_every_call_has_its_answer() -> None:
    """A query and a command that wait are waited for, for so long and no longer."""
    path, answerable = Path(), asyncio.Event()

    async def wait(_request: Any, _caller: Any) -> User:
        await answerable.wait()
        return User()

    calls = make(wait, path)
    await calls.quiet(0)
    call = ask(calls)
    calls.command(calls.rpcs[DELETE], COMMAND, Caller(), Answer())
    await begun(calls, call)
    await calls.quiet(0.01)
    quiet = asyncio.ensure_future(calls.quiet(10))
    answerable.set()
    await call
    assert not quiet.done()
    path.taken[0].fail(PolystreamError(Reason.KAFKA_UNAVAILABLE))
    await quiet


async def test_a_stream_is_answered_like_a_query() -> None:
    """Each message has its correlation ID, an error in mid-stream has its status, and the handler is closed with it."""
    closed = asyncio.Event()

    async def count(request: Any, _caller: Any) -> AsyncIterator[User]:
        try:
            yield User(user_id=request.user_id)
            yield User(user_id=request.user_id + 1)
            raise PolystreamError(Reason.OPERATION_NOT_FOUND)
        finally:
            closed.set()

    answers = streamed(make(count))
    first, second = await anext(answers), await anext(answers)
    assert (first[1], second[1]) == (User(user_id=1), User(user_id=2))
    assert first[0] == second[0]
    failure = await refusal(anext(answers))
    assert (reason_of(failure.status), failure.correlation_id) == ("OPERATION_NOT_FOUND", first[0])

    closed.clear()
    left = streamed(make(count))
    await anext(left)
    await left.aclose()  # type: ignore[attr-defined]
    assert closed.is_set()


async def test_a_deadline_ends_a_stream() -> None:
    """With DEADLINE_EXCEEDED, shortly before it passes, wherever the stream is."""

    async def once(_request: Any, _caller: Any) -> AsyncIterator[User]:
        yield User(user_id=1)
        await asyncio.Event().wait()

    deadline_s = time.monotonic() + 0.1
    answers = streamed(make(once), Caller(deadline_s=deadline_s))
    await anext(answers)
    assert reason_of((await refusal(anext(answers))).status) == "DEADLINE_EXCEEDED"
    assert time.monotonic() < deadline_s + 1


async def test_streams_have_so_many_places_and_calls_need_none() -> None:
    """One over the bound is told so; a place is free once its stream has ended."""

    async def once(_request: Any, _caller: Any) -> AsyncIterator[User]:
        yield User(user_id=1)

    calls = make(once, max_streams=1)
    first = streamed(calls)
    await anext(first)
    refused = await refusal(anext(streamed(calls)))
    assert (refused.status.code, reason_of(refused.status)) == (code_pb2.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS")
    told, path = Answer(), Path()
    others = make(path=path, max_streams=0)
    others.command(others.rpcs[DELETE], COMMAND, Caller(), told)
    assert path.taken
    with pytest.raises(StopAsyncIteration):
        await anext(first)
    await anext(streamed(calls))
