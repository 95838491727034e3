"""When the SDK makes a call again, and how long it may take."""

import time
from typing import Any

import grpc
import pytest
from polystream.v1 import operations_pb2, users_pb2
from polystream_sdk import (
    DeadlineExceededError,
    Polystream,
    ResourceExhaustedError,
    RetryPolicy,
    UnavailableError,
)

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


@pytest.mark.parametrize("wrong", [{"max_attempts": 0}, {"initial_backoff_s": -1.0}, {"max_backoff_s": 0.01}])
def test_impossible_policies_are_refused(wrong: dict[str, Any]) -> None:
    """A policy that cannot be kept is refused when it is made."""
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)
