"""The handle on a command's operation: wait, watch, refresh, result."""

from collections.abc import AsyncIterator, Callable

import grpc
import pytest
from google.protobuf.message import Message
from polystream.v1 import operations_pb2, users_pb2, views_pb2
from polystream_sdk import (
    AlreadyExistsError,
    DataLossError,
    DeadlineExceededError,
    NotFoundError,
    Operation,
    OperationHandle,
    OperationState,
    Polystream,
    UnavailableError,
    User,
)

from mesh.errors import PolystreamError, Reason
from tests.sdk.conftest import FAST
from tests.support.scripted_server import ScriptedServer

_State = operations_pb2.Operation.State


def operation(
    state: int = operations_pb2.Operation.ACCEPTED, result: Message | None = None, error: Reason | None = None
) -> operations_pb2.Operation:
    """Return an operation as the platform would."""
    made = operations_pb2.Operation(name="operations/0190", correlation_id="0190", command="CreateUser")
    made.state = _State.Name(state) and state  # type: ignore[assignment]
    if result is not None:
        made.result.Pack(result)
    if error is not None:
        made.error.CopyFrom(PolystreamError(error).to_status())
    return made


async def collect(stream: AsyncIterator[Operation], seen: list[OperationState]) -> None:
    """Add every state of a stream to `seen`: what came before an error is there too."""
    async for message in stream:
        seen.append(message.state)  # noqa: PERF401 # what came before an error counts


ACCEPTED = operation()
SUCCEEDED = operation(operations_pb2.Operation.SUCCEEDED, users_pb2.User(user_id=1234))
FAILED = operation(operations_pb2.Operation.FAILED, error=Reason.EMAIL_ALREADY_EXISTS)


@pytest.fixture
async def op(server: ScriptedServer, api: Polystream) -> OperationHandle[User]:
    """Return the handle of a command that was just accepted."""
    server.answers.append(ACCEPTED)
    return await api.users.create_user(name="Ana")


async def test_result_is_the_typed_message(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """The result waits until the operation is done, and is the message that the command's option names."""
    done_before = op.done
    server.answers += [ACCEPTED, SUCCEEDED]
    user = await op.result(timeout_s=5)
    assert type(user) is User
    assert user.user_id == 1234
    assert (done_before, op.done) == (False, True)
    assert op.state == OperationState.SUCCEEDED
    assert [call.method for call in server.calls] == ["CreateUser", "WaitOperation", "WaitOperation"]
    assert 0 < server.calls[1].request.timeout.ToTimedelta().total_seconds() <= 5
    assert (await op.result()).user_id == 1234  # known by now: nothing is asked
    assert len(server.calls) == 3


async def test_result_raises_what_the_operation_failed_with(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """An operation's error is raised as a call's would be, and has the operation."""
    server.answers.append(FAILED)
    with pytest.raises(AlreadyExistsError) as raised:
        await op.result(timeout_s=5)
    assert raised.value.reason == "EMAIL_ALREADY_EXISTS"
    assert raised.value.operation is not None
    assert raised.value.operation.correlation_id == "0190"


async def test_result_that_is_not_there_in_time(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """An operation that is not done in time raises DeadlineExceededError with it, and can be waited for again."""
    server.answers += [ACCEPTED] * 10_000
    with pytest.raises(DeadlineExceededError) as raised:
        await op.result(timeout_s=0.05)
    assert raised.value.operation is not None
    assert raised.value.operation.state == OperationState.ACCEPTED
    server.answers.clear()
    server.answers.append(SUCCEEDED)
    assert (await op.result()).user_id == 1234


async def test_wait_returns_the_operation_as_it_stands(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """Waiting raises neither for time nor for a failure of the operation."""
    server.answers += [ACCEPTED] * 10_000
    assert (await op.wait(timeout_s=0.05)).state == OperationState.ACCEPTED
    server.answers.clear()
    server.answers.append(FAILED)
    assert (await op.wait()).state == OperationState.FAILED


async def test_refresh_reads_once(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """Refreshing asks once, and remembers."""
    server.answers.append(SUCCEEDED)
    assert (await op.refresh()).state == OperationState.SUCCEEDED
    assert op.done
    assert server.calls[-1].method == "GetOperation"


async def test_watch_goes_on_where_a_stream_breaks(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """Every state is yielded once, in order, whatever connections are lost in between, until the operation is done."""
    partly = operation()
    partly.receipts.add(state=operations_pb2.Operation.SUCCEEDED)
    unavailable = grpc.StatusCode.UNAVAILABLE
    draining = PolystreamError(Reason.GATEWAY_DRAINING, retry_delay_s=0.001)
    server.answers += [[ACCEPTED, unavailable], [ACCEPTED, partly, draining], unavailable, [partly, SUCCEEDED]]
    seen = [(message.state, len(message.receipts)) async for message in op.watch(timeout_s=5)]
    assert seen == [(OperationState.ACCEPTED, 0), (OperationState.ACCEPTED, 1), (OperationState.SUCCEEDED, 0)]
    assert (await op.result()).user_id == 1234


async def test_watch_gives_up(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """Streams that break one after the other without an answer end it, with their error."""
    server.answers += [grpc.StatusCode.UNAVAILABLE] * 100
    with pytest.raises(UnavailableError):
        await collect(op.watch(), [])
    assert len(server.calls) == 1 + FAST.max_attempts


async def test_watch_can_be_left(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """A loop over a watch may be left in the middle; the connection goes on to work."""
    server.answers += [[ACCEPTED, server.silence], SUCCEEDED]
    async for message in op.watch():
        assert message.state == OperationState.ACCEPTED
        break
    assert (await op.result()).user_id == 1234


async def test_watch_has_a_deadline(server: ScriptedServer, op: OperationHandle[User]) -> None:
    """A watch that is not over in time raises DeadlineExceededError."""
    server.answers.append([ACCEPTED, server.silence])
    seen: list[OperationState] = []
    with pytest.raises(DeadlineExceededError):
        await collect(op.watch(timeout_s=0.2), seen)
    assert seen == [OperationState.ACCEPTED]


async def test_a_plain_stream_is_not_resumed(server: ScriptedServer, api: Polystream) -> None:
    """The stream of an RPC is opened again before its first response, and raises after it."""
    unavailable = grpc.StatusCode.UNAVAILABLE
    server.answers += [unavailable, [ACCEPTED, unavailable]]
    seen: list[OperationState] = []
    with pytest.raises(UnavailableError):
        await collect(api.operations.watch_operation(correlation_id="0190"), seen)
    assert seen == [OperationState.ACCEPTED]


@pytest.mark.parametrize(
    "handle",
    [lambda api: api.operation("0190", User), lambda api: api.operation("0190")],
    ids=["typed", "untyped"],
)
async def test_a_handle_from_a_correlation_id(
    handle: Callable[[Polystream], OperationHandle[User]], server: ScriptedServer, api: Polystream
) -> None:
    """An operation is followed from its correlation ID alone, with or without the type of its result."""
    server.answers.append(SUCCEEDED)
    user = await handle(api).result()
    assert type(user) is User
    assert user.user_id == 1234
    assert server.calls[0].request.correlation_id == "0190"


async def test_results_of_another_type_are_refused(server: ScriptedServer, api: Polystream) -> None:
    """A result that is not the message asked for, or none of the API, raises DataLossError."""
    another = operation(operations_pb2.Operation.SUCCEEDED, views_pb2.View(user_id=1))
    unknown = operation(operations_pb2.Operation.SUCCEEDED, users_pb2.User())
    unknown.result.type_url = "type.googleapis.com/other.v1.Thing"
    server.answers += [another, unknown]
    for _ in range(2):
        with pytest.raises(DataLossError, match="another type"):
            await api.operation("0190", User).result()


async def test_a_result_that_is_no_longer_kept(server: ScriptedServer, api: Polystream) -> None:
    """An operation that the event log alone remembers has no result, which is told."""
    server.answers.append(operation(operations_pb2.Operation.SUCCEEDED))
    with pytest.raises(NotFoundError, match="no longer kept"):
        await api.operation("0190", User).result()
