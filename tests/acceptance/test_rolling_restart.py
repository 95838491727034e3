"""Every process is asked to stop and started again, one by one, under load: a client that retries sees no error."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any

import httpx
import psycopg
import pytest
from polystream_sdk import ContentKind, Money, OperationHandle, OperationState, PaymentMethod, Polystream, RetryPolicy

from tests.support.people import person
from tests.support.platform import Platform
from tests.support.waiting import eventually

pytestmark = pytest.mark.parametrize("engine_set", ["native"], scope="session")

_PARTS = (
    *("gateway-0", "lane-postgresql-0", "lane-mongodb-0", "lane-redis-0", "monitor"),
    *("schema_registry", "redis", "mongodb", "postgresql", "kafka", "opensearch", "jaeger"),
)
# By SIGTERM, PostgreSQL waits until the last client has left by itself.
_STOP_SIGNALS = {"postgresql": signal.SIGINT}
_RETRY = RetryPolicy(max_attempts=500, initial_backoff_s=0.05, max_backoff_s=0.5)
_CALL_TIMEOUT_S = 120.0
_BACK_MAX_S = 120.0
_SETTLE_MAX_S = 120.0
_AFTER_EACH = 6  # commands that are acknowledged before the next part is stopped
_PAUSE_S = 0.2
_LOOK_S = 0.2
_CONTENT_ID = 71_001


class Clients:
    """Commands and queries of every store, one after the other, for as long as it is wanted."""

    def __init__(self, api: Polystream) -> None:
        self._api = api
        self._serial = count(1)
        self.user_id = 0
        self.operations: list[OperationHandle[Any]] = []
        self.paid: list[int] = []
        self._sending: asyncio.Task[None]

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Send while the block runs. Raises what a call has raised, once the block has ended."""
        user = await (await self._api.users.create_user(**person())).result()
        self.user_id = user.user_id
        enough = asyncio.Event()
        self._sending = asyncio.create_task(self._send(enough))
        try:
            yield
        finally:
            enough.set()
            await self._sending

    def have_done(self, commands: int) -> bool:
        """Tell whether so many commands are acknowledged, or there will be no more of them."""
        return len(self.operations) >= commands or self._sending.done()

    async def _send(self, enough: asyncio.Event) -> None:
        api, user_id = self._api, self.user_id
        while not enough.is_set():
            serial = next(self._serial)
            amount = Money(currency_code="BRL", units=serial)
            self.operations.append(
                await api.payments.create_payment(user_id=user_id, amount=amount, method=PaymentMethod.PIX)
            )
            self.paid.append(serial)
            viewed = await api.views.record_view(user_id=user_id, content_id=serial, title="t", kind=ContentKind.MOVIE)
            self.operations.append(viewed)
            cached = await api.contents.cache_content(
                content_id=_CONTENT_ID, title=f"t{serial}", kind=ContentKind.MOVIE
            )
            self.operations.append(cached)
            await api.users.get_user(user_id=user_id)
            await anext(aiter(api.views.list_views(user_id=user_id, page_size=1)), None)
            await asyncio.sleep(_PAUSE_S)


async def _until(check: Callable[[], object], timeout_s: float) -> None:
    await asyncio.to_thread(eventually, check, timeout_s, _LOOK_S)


@pytest.mark.timeout(900)
async def test_a_rolling_restart_shows_no_error_to_clients_that_retry(platform: Platform) -> None:
    """Of services and of engines alike; and what was acknowledged meanwhile is done once, in its order."""
    url = platform.door("gateway")
    async with Polystream(httpx.URL(url).netloc.decode(), timeout_s=_CALL_TIMEOUT_S, retry=_RETRY) as api:
        clients = Clients(api)
        async with clients.busy():
            for part in _PARTS:
                wanted = len(clients.operations) + _AFTER_EACH
                pid = await asyncio.to_thread(platform.pid, part)
                os.kill(pid, _STOP_SIGNALS.get(part, signal.SIGTERM))
                await _until(partial(platform.is_back, part, pid), _BACK_MAX_S)
                await _until(partial(clients.have_done, wanted), _CALL_TIMEOUT_S)
        for operation in clients.operations:
            await operation.wait(timeout_s=_SETTLE_MAX_S)
    assert {operation.state for operation in clients.operations} == {OperationState.SUCCEEDED}
    with psycopg.connect(platform.endpoints["postgresql"]) as db:
        rows = db.execute("SELECT valor FROM pagamentos WHERE user_id = %s ORDER BY id", (clients.user_id,)).fetchall()
    assert [int(row[0]) for row in rows] == clients.paid
    await _until(lambda: httpx.get(f"{url}/health").json()["status"] == "HEALTHY", _SETTLE_MAX_S)
