"""A server that answers as a test tells it, the SDK's client of it, and the SDK as it is installed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from polystream_sdk import Polystream, RetryPolicy

from tests.support.scripted_server import ScriptedServer
from tests.support.sdk_install import Environment, build, install

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


@pytest.fixture(scope="session")
def sdk_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the SDK's wheel, by way of its source distribution."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def sdk_environment(sdk_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Install the SDK where nothing else is."""
    return install(sdk_wheel, tmp_path_factory.mktemp("sdk") / "venv")
