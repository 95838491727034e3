"""Engines under conformance tests: every suite runs over each parameter of its fixture."""

import signal
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from tests.support.registry_api import CONTENT_TYPE
from tests.support.registry_server import PocketRegistry


@pytest.fixture(scope="module", params=["pocket"])
def registry(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PocketRegistry]:
    """A running registry, shared by tests that each use subjects of their own."""
    assert request.param == "pocket"
    server = PocketRegistry(tmp_path_factory.mktemp("registry"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PocketRegistry]:
    """A registry that a test may stop and kill; running at first."""
    server = PocketRegistry(tmp_path_factory.mktemp("registry"))
    server.start()
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture
def api(registry: PocketRegistry) -> Iterator[httpx.Client]:
    """The shared registry's API."""
    with httpx.Client(base_url=registry.url, headers={"content-type": CONTENT_TYPE}, timeout=20) as client:
        yield client


@pytest.fixture
def client(registry: PocketRegistry) -> Iterator[SchemaRegistryClient]:
    """Confluent's own client on the shared registry."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


@pytest.fixture
def subject() -> str:
    """A subject that nobody else uses."""
    return f"topic-test.Record{uuid4().hex}"
