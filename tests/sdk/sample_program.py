"""A program that uses every kind of the SDK's methods, for a type checker in strict mode: it is not run."""

import datetime as dt
import ssl
from typing import assert_type

from betterproto2 import Message
from polystream_sdk import (
    ContentKind,
    FieldViolation,
    InvalidArgumentError,
    ListUsersResponse,
    Operation,
    OperationHandle,
    OperationState,
    Payment,
    PaymentMethod,
    Polystream,
    PolystreamError,
    RetryPolicy,
    User,
    View,
)


async def commands(api: Polystream) -> None:
    """A command's result has the type that the proto names for it."""
    created = await api.users.create_user(name="Ana", email="ana@example.com", cpf="529.982.247-25", timeout_s=2)
    assert_type(created, OperationHandle[User])
    user = await created.result(timeout_s=5)
    assert_type(user, User)
    assert_type(user.create_time, dt.datetime | None)
    assert_type(await (await api.payments.create_payment(user_id=1, method=PaymentMethod.PIX)).result(), Payment)
    viewed = await api.views.record_view(user_id=1, kind=ContentKind.MOVIE, watch_time=dt.datetime.now(dt.UTC))
    assert_type(await viewed.result(), View)
    async for operation in created.watch(timeout_s=1):
        assert_type(operation, Operation)
    assert_type(await created.wait(), Operation)
    assert_type(created.state, OperationState)
    assert_type(api.operation("0190", User), OperationHandle[User])
    assert_type(await api.operation("0190").result(), Message)


async def queries(api: Polystream) -> None:
    """A query returns its message, a list its items, a stream its messages."""
    assert_type(await api.users.get_user(user_id=1), User)
    async for user in api.users.list_users(page_size=10):
        assert_type(user, User)
    async for page in api.users.list_users().pages():
        assert_type(page, ListUsersResponse)
    async for operation in api.operations.watch_operation(correlation_id="0190"):
        assert_type(operation, Operation)


async def mistakes(api: Polystream) -> None:
    """What is wrong is told: with `warn_unused_ignores`, each of these comments is needed."""
    await api.users.get_user()  # type: ignore[call-arg]
    await api.users.get_user(user_id="1")  # type: ignore[arg-type]
    await api.users.create_user(nome="Ana")  # type: ignore[call-arg]
    await api.payments.create_payment(user_id=1, method="pix")  # type: ignore[arg-type]


async def main() -> None:
    """Every option of the client, and what errors carry."""
    context = ssl.create_default_context()
    policy = RetryPolicy(max_attempts=3)
    async with Polystream("localhost:8000", tls=context, token=lambda: "t", timeout_s=1, retry=policy) as api:
        try:
            await commands(api)
            await queries(api)
            await mistakes(api)
        except InvalidArgumentError as error:
            assert_type(error.field_violations, tuple[FieldViolation, ...])
        except PolystreamError as error:
            assert_type(error.reason, str)
            assert_type(error.retry_delay_s, float | None)
            assert_type(error.operation, Operation | None)
