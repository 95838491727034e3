"""Event stores for tests, and the engines that keep what is in them."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import httpx
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.operations_pb2 import Event, Span

from mesh.catalog import load_catalog
from mesh.ids import new_correlation_id
from mesh.settings import EventStoreSettings
from mesh.telemetry.names import CONVERSATION_ID
from monitor.records import TracedEvent
from monitor.store.local import LocalEventStore
from monitor.store.opensearch import OpenSearchEventStore
from monitor.store.port import EventStore
from monitor.store.search_api import SearchApi
from monitor.store.spool import SpooledEventStore
from monitor.store.spool_file import SpoolFile
from stack.engines.native import NATIVE
from stack.engines.spec import EngineSpec
from tests.support.elasticsearch import ELASTICSEARCH, WITH_ELASTICSEARCH, provide_elasticsearch
from tests.support.engine_pool import Lease

_NAME: Final = "opensearch"
_SPOOL_MAX_BYTES: Final = 100 * 1024 * 1024


def open_store(engine: str, target: str) -> EventStore:
    """Open a store: `local` in a folder, `opensearch` and `elasticsearch` at a URL, `spooled` at both."""
    catalog = load_catalog()
    if engine == "local":
        return LocalEventStore(Path(target), catalog)
    url, _, folder = target.partition(" ")
    searched = OpenSearchEventStore(SearchApi(settings_for(url)), catalog)
    if engine == "spooled":
        return SpooledEventStore(searched, SpoolFile(Path(folder), _SPOOL_MAX_BYTES), catalog)
    return searched


def settings_for(url: str, **others: str | float) -> EventStoreSettings:
    """Return settings that lead to an OpenSearch, whatever the environment says."""
    named = {"ELASTICSEARCH_HOST": url, **others}
    return EventStoreSettings(**named)  # type: ignore[arg-type]


class StoreEngine(Protocol):
    """What keeps a store's data."""

    target: str  # what `open_store` takes

    def empty(self) -> None:
        """Forget everything."""

    def kill(self) -> None:
        """Kill it and start it again on its data."""


class LocalEngine:
    """A folder: nothing runs that could be killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.empty()

    def empty(self) -> None:
        """Go on in a new folder."""
        self._count += 1
        self.target = str(self._folder / str(self._count))

    def kill(self) -> None:
        """Do nothing."""


class OpenSearchEngine:
    """OpenSearch as the native engine set runs it, shared by all tests of a worker."""

    def __init__(self, lease: Lease, name: str = _NAME, among: Sequence[EngineSpec] = NATIVE) -> None:
        self._name = name
        self.engines = lease(name, among=among)
        self.target = self.engines.endpoints[name]

    def empty(self) -> None:
        """Delete every index of the platform."""
        httpx.delete(f"{self.target}/api_*", timeout=30).raise_for_status()

    def kill(self) -> None:
        """Send it SIGKILL and start it again on its data."""
        self.engines.kill(self._name)
        self.engines.start(self._name)

    def forget(self) -> None:
        """Lose its data, while it does not run."""
        shutil.rmtree(self.engines.context.data_dir / "native" / _NAME / "node_1" / "data")


class ElasticsearchEngine(OpenSearchEngine):
    """Elasticsearch 7.17, which answers the same requests."""

    def __init__(self, lease: Lease) -> None:
        provide_elasticsearch()
        super().__init__(lease, ELASTICSEARCH.name, WITH_ELASTICSEARCH)


class SpooledEngine(OpenSearchEngine):
    """OpenSearch with a spool before it."""

    def __init__(self, lease: Lease, folder: Path) -> None:
        super().__init__(lease)
        self._url = self.target
        self._spools = folder
        self._count = 0

    def empty(self) -> None:
        """Delete every index of the platform, and go on with a new spool."""
        httpx.delete(f"{self._url}/api_*", timeout=30).raise_for_status()
        self._count += 1
        self.target = f"{self._url} {self._spools / str(self._count)}"


def store_engine(name: str, lease: Lease, folder: Path) -> LocalEngine | OpenSearchEngine:
    """Return what keeps a store's data, running: one of `STORE_ENGINES`. `folder` is for files."""
    if name == "local":
        return LocalEngine(folder)
    if name == "spooled":
        return SpooledEngine(lease, folder)
    return ElasticsearchEngine(lease) if name == "elasticsearch" else OpenSearchEngine(lease)


STORE_ENGINES: Final = ("local", "opensearch", "elasticsearch", "spooled")


def fill_store(store: EventStore, rows: int, start_us: int = 1) -> list[str]:
    """Keep an event and a span each of so many commands, a microsecond apart; return their correlation IDs."""
    made: list[str] = []
    for first in range(0, rows, 1000):
        ids = [new_correlation_id() for _ in range(min(1000, rows - first))]
        at = [Timestamp(seconds=(start_us + first + number) // 1_000_000) for number in range(len(ids))]
        store.append([TracedEvent(_event(id_, when), True) for id_, when in zip(ids, at, strict=True)])
        store.add_spans([_span(id_, when) for id_, when in zip(ids, at, strict=True)])
        made += ids
    return made


def _event(correlation_id: str, when: Timestamp) -> Event:
    return Event(
        event_id=f"{correlation_id}:command.accepted::0:1",
        correlation_id=correlation_id,
        event_type="command.accepted",
        command="CreateUser",
        timestamp=when,
        error="x" * 300,
    )


def _span(correlation_id: str, when: Timestamp) -> Span:
    attributes = {CONVERSATION_ID: correlation_id, "text": "x" * 300}
    return Span(
        trace_id=os.urandom(16).hex(), span_id=os.urandom(8).hex(), name="n", start_time=when, attributes=attributes
    )
