"""A server that answers as a test tells it, and the SDK's client of it."""

from collections.abc import AsyncIterator

import pytest
from polystream_sdk import Polystream, RetryPolicy

from tests.support.scripted_server import ScriptedServer

FAST = RetryPolicy(max_attempts=4, initial_backoff_s=0.001, max_backoff_s=0.01)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    """Run a server without answers."""
    async with ScriptedServer() as running:
        yield running


@pytest.fixture
async def api(server: ScriptedServer) -> AsyncIterator[Polystream]:
    """Return a client that waits little between attempts."""
    async with Polystream(server.target, timeout_s=5, retry=FAST) as client:
        yield client
