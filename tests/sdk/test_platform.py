"""The SDK and the whole platform: at the gateway's port, and through the edge."""

import asyncio
import json
import re

import httpx
import psycopg
import pytest
from polystream_sdk import (
    AlreadyExistsError,
    InvalidArgumentError,
    NotFoundError,
    OperationState,
    Polystream,
    RetryPolicy,
    Store,
    User,
)

from tests.support.people import person
from tests.support.platform import Platform
from tests.support.sdk_install import Environment, readme_program
from tests.support.waiting import eventually

TRACEPARENT = "00-{trace_id}-b7ad6b7169203331-01"


@pytest.fixture(params=["gateway", "edge"])
def target(platform: Platform, request: pytest.FixtureRequest) -> str:
    """Return an address of the platform."""
    return httpx.URL(platform.door(request.param)).netloc.decode()


def _users_named(platform: Platform, name: str) -> int:
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        row = db.execute("SELECT count(*) FROM usuarios WHERE nome = %s", (name,)).fetchone()
    assert row is not None
    return int(row[0])


def test_readme_program_runs(sdk_environment: Environment, target: str) -> None:
    """The README's program, with nothing but the wheel, does what it says against a running platform."""
    said = sdk_environment.run(readme_program().replace("localhost:8000", target))
    patterns = [
        r"accepted [0-9a-f-]{36}",
        r"created \d+",
        r"subscribed to PREMIUM",
        r"refused EMAIL_ALREADY_EXISTS",
        r"listed Ana Souza",
    ]
    assert len(said) > len(patterns), said
    for line, pattern in zip(said, patterns, strict=False):
        assert re.fullmatch(pattern, line), said
    states = said[len(patterns) :]
    assert states[0].startswith(("ACCEPTED", "SUCCEEDED"))
    assert states[-1].startswith("SUCCEEDED")
    assert all(store.name in states[-1] for store in Store if store)


async def test_errors_of_the_call_and_of_the_operation(target: str) -> None:
    """What is refused, by the call or by the operation, is typed and names its reason and fields."""
    someone = person()
    async with Polystream(target) as api:
        with pytest.raises(InvalidArgumentError) as invalid:
            await api.users.create_user(name="Ana", email="ana", cpf="11111111111")
        assert invalid.value.reason == "INVALID_FIELD"
        assert {violation.field for violation in invalid.value.field_violations} == {"email", "cpf"}
        with pytest.raises(NotFoundError) as missing:
            await api.users.get_user(user_id=2**53 - 1)
        assert missing.value.reason == "USER_NOT_FOUND"
        user = await (await api.users.create_user(**someone)).result(timeout_s=30)
        again = await api.users.create_user(**{**person(), "email": someone["email"]})
        with pytest.raises(AlreadyExistsError) as taken:
            await again.result(timeout_s=30)
        assert taken.value.reason == "EMAIL_ALREADY_EXISTS"
        assert taken.value.operation is not None
        assert taken.value.operation.correlation_id == again.correlation_id
        assert (await api.users.get_user(user_id=user.user_id)).email == someone["email"]


async def test_the_same_request_id_is_the_same_operation(target: str) -> None:
    """A command sent again by another client, with the same request_id, is followed as the first one."""
    someone = person()
    async with Polystream(target) as api, Polystream(target) as other:
        first = await api.users.create_user(**someone, request_id=someone["email"])
        second = await other.users.create_user(**someone, request_id=someone["email"])
        assert first.correlation_id == second.correlation_id
        users = [await first.result(timeout_s=30), await second.result(timeout_s=30)]
        users.append(await other.operation(first.correlation_id, User).result(timeout_s=30))
        assert len({user.user_id for user in users}) == 1


async def test_lists_and_watches(target: str) -> None:
    """A list is complete over its pages, and a watch ends with all three stores' receipts."""
    async with Polystream(target) as api:
        made = [await (await api.users.create_user(**person())).result(timeout_s=30) for _ in range(3)]
        listed = [user.user_id async for user in api.users.list_users(page_size=2)]
        assert len(listed) == len(set(listed))
        assert {user.user_id for user in made} <= set(listed)
        erased = await api.users.delete_user(user_id=made[0].user_id)
        seen = [operation async for operation in erased.watch(timeout_s=30)]
        assert seen[-1].state == OperationState.SUCCEEDED
        assert {receipt.store for receipt in seen[-1].receipts} == {Store.POSTGRESQL, Store.MONGODB, Store.REDIS}


async def test_the_callers_trace_goes_on(target: str, platform: Platform) -> None:
    """The platform's spans of a command are in the trace of the caller."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    async with Polystream(target) as api:
        op = await api.users.create_user(**person(), traceparent=TRACEPARENT.format(trace_id=trace_id))
        await op.result(timeout_s=30)

    def explained() -> bool:
        story = json.loads(platform.command("explain", op.correlation_id, "--json").stdout)
        return bool(story["spans"]) and {span["trace_id"] for span in story["spans"]} == {trace_id}

    assert await asyncio.to_thread(eventually, explained, 30, 0.5)


async def test_commands_outlive_the_gateway(target: str, platform: Platform) -> None:
    """While the only gateway is killed and started again, every command is accepted in the end, and applied once."""
    policy = RetryPolicy(max_attempts=100, initial_backoff_s=0.05, max_backoff_s=0.5)
    name = person()["email"]
    async with Polystream(target, timeout_s=40, wait_timeout_s=40, retry=policy) as api:

        async def create(number: int) -> None:
            if number == 10:
                await asyncio.to_thread(platform.kill, "gateway-0")
            operation = await api.users.create_user(**{**person(), "name": name})
            await operation.result()

        pending = iter(range(60))

        async def worker() -> None:
            for number in pending:
                await create(number)

        await asyncio.gather(*(worker() for _ in range(4)))
    assert _users_named(platform, name) == 60
