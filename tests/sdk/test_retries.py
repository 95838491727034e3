"""When the SDK makes a call again, and how long it may take."""

import time
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from polystream.v1 import operations_pb2, users_pb2
from polystream_sdk import (
    CancelledError,
    DeadlineExceededError,
    InternalError,
    NotFoundError,
    Polystream,
    ResourceExhaustedError,
    RetryPolicy,
    UnavailableError,
    UnknownError,
    retries,
)
from polystream_sdk import PolystreamError as SdkError
from polystream_sdk.retries import Attempts

from mesh.errors import PolystreamError, Reason
from tests.sdk.conftest import FAST
from tests.support.scripted_server import ScriptedServer

ACCEPTED = operations_pb2.Operation(correlation_id="0190", state=operations_pb2.Operation.ACCEPTED)


def _busy(retry_delay_s: float) -> PolystreamError:
    return PolystreamError(Reason.TOO_MANY_COMMANDS, retry_delay_s=retry_delay_s)


async def test_a_command_is_sent_again_with_the_same_request_id(server: ScriptedServer, api: Polystream) -> None:
    """Where RetryInfo allows, a command is sent again, and every attempt carries one request_id, made by the SDK."""
    server.answers += [_busy(0.01), PolystreamError(Reason.KAFKA_UNAVAILABLE, retry_delay_s=0.01), ACCEPTED]
    operation = await api.users.create_user(name="Ana")
    assert operation.correlation_id == "0190"
    sent = [call.request.request_id for call in server.calls]
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert len(sent[0]) == 36
    server.answers.append(ACCEPTED)
    await api.users.create_user(name="Ana")
    assert server.calls[-1].request.request_id != sent[0]


async def test_a_given_request_id_is_kept(server: ScriptedServer, api: Polystream) -> None:
    """A caller's own request_id is what is sent."""
    server.answers += [_busy(0.001), ACCEPTED]
    await api.users.create_user(name="Ana", request_id="order-4711")
    assert [call.request.request_id for call in server.calls] == ["order-4711"] * 2


async def test_the_servers_delay_is_kept_to(server: ScriptedServer, api: Polystream) -> None:
    """The next attempt comes no sooner than RetryInfo says."""
    server.answers += [_busy(0.3), ACCEPTED]
    began = time.monotonic()
    await api.users.create_user()
    assert time.monotonic() - began >= 0.3


async def test_attempts_are_bounded(server: ScriptedServer, api: Polystream) -> None:
    """After as many attempts as the policy allows, the last error is raised."""
    server.answers += [_busy(0.001)] * 10
    with pytest.raises(ResourceExhaustedError):
        await api.users.create_user()
    assert len(server.calls) == FAST.max_attempts


async def test_a_call_may_be_made_any_number_of_times() -> None:
    """The backoff stays the longest one however often it has doubled."""
    attempts = Attempts(RetryPolicy(max_attempts=10_000, initial_backoff_s=0, max_backoff_s=0), 60)
    for _ in range(2_000):
        await attempts.pause(UnavailableError("not reached"), resendable=True)


async def test_what_would_fail_again_is_not_sent_again(server: ScriptedServer, api: Polystream) -> None:
    """An error of the platform without RetryInfo is final."""
    error = PolystreamError(Reason.USER_UNVERIFIED)
    error.retry_delay_s = None
    server.answers.append(error)
    with pytest.raises(UnavailableError):
        await api.users.create_user()
    assert len(server.calls) == 1


async def test_a_proxys_unavailable_is_tried_again(server: ScriptedServer, api: Polystream) -> None:
    """UNAVAILABLE without a reason comes from what stands between: the call is made again."""
    server.answers += [grpc.StatusCode.UNAVAILABLE, users_pb2.User(user_id=7)]
    assert (await api.users.get_user(user_id=7)).user_id == 7


async def test_a_lost_connection_is_made_anew(server: ScriptedServer) -> None:
    """Between calls, and while the server is away, the next call connects again by itself."""
    policy = RetryPolicy(max_attempts=50, initial_backoff_s=0.01, max_backoff_s=0.05)
    async with Polystream(server.target, retry=policy) as api:
        server.answers.append(users_pb2.User(user_id=1))
        assert (await api.users.get_user(user_id=1)).user_id == 1
        await server.stop()
        with pytest.raises(UnavailableError):
            await api.users.get_user(user_id=1, timeout_s=0.2)
        await server.start()
        server.answers.append(users_pb2.User(user_id=2))
        assert (await api.users.get_user(user_id=2)).user_id == 2


async def test_deadlines_are_sent_and_kept(server: ScriptedServer, api: Polystream) -> None:
    """The client's deadline, or the call's own, travels with the call and ends it here too."""
    server.answers += [ACCEPTED, ACCEPTED]
    await api.users.create_user()
    await api.users.create_user(timeout_s=60)
    default_s, own_s = (call.timeout_s for call in server.calls)
    assert default_s is not None
    assert own_s is not None
    assert 4 < default_s <= 5
    assert 50 < own_s <= 60

    server.answers.append(server.silence)
    began = time.monotonic()
    with pytest.raises(DeadlineExceededError) as raised:
        await api.users.create_user(timeout_s=0.2)
    assert time.monotonic() - began < 2
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.request_id == server.calls[-1].request.request_id


async def test_no_attempt_past_the_deadline(server: ScriptedServer, api: Polystream) -> None:
    """A delay that does not fit the deadline is not waited for: the error is raised at once."""
    server.answers += [_busy(30), ACCEPTED]
    began = time.monotonic()
    with pytest.raises(ResourceExhaustedError):
        await api.users.create_user(timeout_s=2)
    assert time.monotonic() - began < 1.5
    assert len(server.calls) == 1


@pytest.mark.parametrize("timeout_s", [0.0, 0.02, 0.05, 0.1, 0.3])
async def test_a_stream_that_stays_silent_ends_at_its_deadline(
    timeout_s: float, server: ScriptedServer, api: Polystream
) -> None:
    """Always with the same error, whatever the deadline, and whether it has sent anything or not."""
    server.answers += [server.silence, [ACCEPTED, server.silence]]
    for _ in range(2):
        with pytest.raises(DeadlineExceededError):
            async for _state in api.operation("0190").watch(timeout_s=timeout_s):
                pass
    server.answers.append(server.silence)
    with pytest.raises(DeadlineExceededError):
        await api.operations.wait_operation(correlation_id="0190", timeout_s=timeout_s)


@pytest.mark.parametrize("failure", [InternalError, CancelledError, UnavailableError, UnknownError])
@pytest.mark.parametrize(("timeout_s", "early_s"), [(0.5, 0.001), (5.0, -1.0), (60.7, 0.7), (60.7, -1.0)])
async def test_a_call_that_the_other_side_breaks_at_its_deadline_has_passed_it(
    failure: type[SdkError], timeout_s: float, early_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own clock and what `grpc-timeout` rounds off decide which side comes first; the error is the same."""
    clock = iter([100.0] + [100.0 + timeout_s - early_s] * 3)
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    attempts = Attempts(RetryPolicy(), timeout_s)
    assert isinstance(attempts.judged(failure("the stream broke")), DeadlineExceededError)
    with pytest.raises(DeadlineExceededError):
        await attempts.pause(failure("the stream broke"), resendable=True)


@pytest.mark.parametrize("failure", [InternalError, UnavailableError, NotFoundError])
def test_what_the_platform_says_at_the_deadline_counts(
    failure: type[SdkError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reason is one; and what comes long before the deadline is not the deadline's."""
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr(retries, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    attempts = Attempts(RetryPolicy(), 5.0)
    for now_s, error in ((105.0, failure("told", reason="SOME_REASON")), (101.0, failure("told"))):
        clock.now_s = now_s
        assert attempts.judged(error) is error


async def test_a_stream_that_breaks_too_late_to_be_taken_up_ends_at_its_deadline(server: ScriptedServer) -> None:
    """It had been answered, so the platform is there: the time ran out."""
    policy = RetryPolicy(initial_backoff_s=30, max_backoff_s=30)
    async with Polystream(server.target, retry=policy) as api:
        server.answers.append([ACCEPTED, grpc.StatusCode.UNAVAILABLE])
        with pytest.raises(DeadlineExceededError):
            async for _ in api.operation("0190").watch(timeout_s=5):
                pass
        server.answers.append(grpc.StatusCode.UNAVAILABLE)
        with pytest.raises(UnavailableError):
            async for _ in api.operation("0190").watch(timeout_s=5):
                pass


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"initial_backoff_s": -1.0}, {"max_backoff_s": 0.01}])
def test_impossible_policies_are_refused(wrong: dict[str, Any]) -> None:
    """A policy that cannot be kept is refused when it is made."""
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)
