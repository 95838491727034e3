"""The monitor's HTTP port without a monitor around it: its pages over an event store of a test's own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

from mesh.catalog import load_catalog
from mesh.settings import MonitorSettings
from mesh.topic_reader import TopicPosition
from monitor.activity import Activity
from monitor.admin import Admin, AdminProcess
from monitor.integrity_job import IntegrityJob
from monitor.integrity_runs import IntegrityRuns
from monitor.lane_control import LaneControls
from monitor.metrics.store import MetricStore
from monitor.pages.app import Pages
from monitor.pages.record_lookup import FoundRecords, RecordSource
from monitor.pages.shown_record import RecordState, ShownRecord
from monitor.service import EventLog
from monitor.store.local import LocalEventStore
from monitor.traces import Traces

NOBODY = "127.0.0.1:1"  # no gateway listens there
METRIC_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True)
class Opened:
    """The pages, and what is behind them."""

    client: httpx.AsyncClient
    store: LocalEventStore
    activity: Activity
    metrics: MetricStore


class NoRecords:
    """A Kafka that has none of the records that a page asks for."""

    async def of(self, _: str, positions: Sequence[TopicPosition]) -> FoundRecords:
        """Return that every one has gone."""
        return FoundRecords([ShownRecord(position, RecordState.GONE) for position in positions])


@asynccontextmanager
async def opened_pages(
    folder: Path,
    endpoints_json: str = "{}",
    gateway: str = NOBODY,
    supervisor_socket: str = "",
    records: RecordSource | None = None,
    docs_checkout: Path | None = None,
) -> AsyncIterator[Opened]:
    """Serve the pages to a client, with an empty event store in a folder."""
    catalog = load_catalog()
    store, activity, metrics = LocalEventStore(folder, catalog), Activity(), MetricStore(folder)
    settings = MonitorSettings(endpoints_json=endpoints_json, SUPERVISOR_SOCKET=supervisor_socket)
    log = EventLog(store, catalog)
    runs = IntegrityRuns(folder)
    async with grpc.aio.insecure_channel(gateway) as channel:
        pages = Pages(
            *(log, Traces(store), catalog, settings, channel),
            is_following=lambda: True,
            parts=list,
            activity=activity,
            metrics=metrics,
            metric_interval_s=METRIC_INTERVAL_S,
            controls=LaneControls(folder),
            integrity_job=IntegrityJob(Admin(AdminProcess(folder), runs), runs),
            admin=Admin(AdminProcess(folder), IntegrityRuns(folder)),
            records=records or NoRecords(),
            docs_checkout=docs_checkout or folder,  # in which nothing can be built
        )
        transport = httpx.ASGITransport(pages.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8089") as client:
            yield Opened(client, store, activity, metrics)
        pages.close()
    store.close()
    metrics.close()
