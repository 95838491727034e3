"""Engines under conformance tests: every suite runs over each parameter of its fixture."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from tests.conformance.opt_outs import OPT_OUTS
from tests.support.engine_pool import EnginePool, Lease
from tests.support.registry_api import CONTENT_TYPE
from tests.support.registry_server import ApicurioRegistry, ExternalRegistry, PocketRegistry, RegistryServer
from tests.support.store_engines import CACHE, DOCUMENT, RELATIONAL, Port, StoreServer

_REGISTRIES = ("pocket", "apicurio")
_EXTERNAL = ("external",) if os.environ.get(ExternalRegistry.VARIABLE) else ()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Expect each opt-out to fail, strictly: one that passes fails the suite."""
    for item in items:
        if reason := _opt_out(item):
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))


def _opt_out(item: pytest.Item) -> str | None:
    """Return why a test is not expected to pass on the engine that it is to run on."""
    if item.path.parent != Path(__file__).parent or not isinstance(item, pytest.Function):
        return None
    engines = item.callspec.params.values() if hasattr(item, "callspec") else ()
    listed = [OPT_OUTS[engine] for engine in engines if isinstance(engine, str) and engine in OPT_OUTS]
    return next((tests[name] for tests in listed for name in (item.name, item.originalname) if name in tests), None)


class Registries:
    """Registries of each kind, started when they are first asked for, and once."""

    def __init__(self, lease: Lease, folders: pytest.TempPathFactory) -> None:
        self._lease, self._folders = lease, folders
        self._started: dict[str, RegistryServer] = {}

    def get(self, kind: str) -> RegistryServer:
        """Return the registry of a kind, running."""
        if kind not in self._started:
            self._started[kind] = self._made(kind)
            self._started[kind].start()
        return self._started[kind]

    def stop(self) -> None:
        """Stop those that are not the pool's."""
        if (pocket := self._started.pop("pocket", None)) is not None:
            pocket.stop()
        self._started.clear()

    def _made(self, kind: str) -> RegistryServer:
        if kind == "pocket":
            return PocketRegistry(self._folders.mktemp("registry"))
        return ApicurioRegistry(self._lease) if kind == "apicurio" else ExternalRegistry()


@pytest.fixture(scope="session")
def registries(
    engine_pool: EnginePool, tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack
) -> Iterator[Registries]:
    """Return the registries that all files share."""
    made = Registries(engine_pool.lease, tmp_path_factory)
    until_group_ends.callback(made.stop)
    yield made
    made.stop()


@pytest.fixture(scope="session", params=[*_REGISTRIES, *_EXTERNAL])
def registry(request: pytest.FixtureRequest, registries: Registries) -> RegistryServer:
    """A registry of each kind, shared by tests that each use subjects of their own."""
    return registries.get(request.param)


@pytest.fixture(scope="session", params=_REGISTRIES)
def own_registry(request: pytest.FixtureRequest, registries: Registries) -> RegistryServer:
    """One that a test may stop and kill; it leaves it running, and the global level as it was."""
    return registries.get(request.param)


@pytest.fixture
def api(registry: RegistryServer) -> Iterator[httpx.Client]:
    """The shared registry's API."""
    with httpx.Client(base_url=registry.url, headers={"content-type": CONTENT_TYPE}, timeout=20) as client:
        yield client


@pytest.fixture
def client(registry: RegistryServer) -> Iterator[SchemaRegistryClient]:
    """Confluent's own client on the shared registry."""
    with SchemaRegistryClient({"url": registry.url}) as client:
        yield client


@pytest.fixture
def subject() -> str:
    """A subject that nobody else uses."""
    return f"topic-test.Record{uuid4().hex}"


def _served(port: Port, names: Sequence[str]) -> Any:
    """Return the fixture of a store's server that runs for a module, over its engines."""

    @pytest.fixture(scope="module", params=names)
    def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreServer]:
        made = StoreServer(port, request.param, tmp_path_factory.mktemp(request.param))
        made.start()
        yield made
        made.stop()

    return server


# Shared by tests that each use users, a database or keys of their own.
relational = _served(RELATIONAL, RELATIONAL.all)
document = _served(DOCUMENT, DOCUMENT.all)
cache = _served(CACHE, CACHE.all)
# Those that a test may stop and kill; it leaves them running.
own_relational = _served(RELATIONAL, RELATIONAL.own)
own_document = _served(DOCUMENT, DOCUMENT.own)
own_cache = _served(CACHE, CACHE.own)
