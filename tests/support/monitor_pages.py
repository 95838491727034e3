"""The monitor's HTTP port without a monitor around it: its pages over an event store of a test's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

from mesh.catalog import load_catalog
from mesh.settings import MonitorSettings
from monitor.activity import Activity
from monitor.admin import Admin, AdminProcess
from monitor.integrity_job import IntegrityJob
from monitor.integrity_runs import IntegrityRuns
from monitor.lane_control import LaneControls
from monitor.pages.app import Pages
from monitor.service import EventLog
from monitor.store.local import LocalEventStore

NOBODY = "127.0.0.1:1"  # no gateway listens there


@dataclass(frozen=True, slots=True)
class Opened:
    """The pages, and what is behind them."""

    client: httpx.AsyncClient
    store: LocalEventStore
    activity: Activity


@asynccontextmanager
async def opened_pages(
    folder: Path,
    endpoints_json: str = "{}",
    gateway: str = NOBODY,
    supervisor_socket: str = "",
    docs_checkout: Path | None = None,
) -> AsyncIterator[Opened]:
    """Serve the pages to a client, with an empty event store in a folder."""
    catalog = load_catalog()
    store, activity = LocalEventStore(folder, catalog), Activity()
    settings = MonitorSettings(endpoints_json=endpoints_json, SUPERVISOR_SOCKET=supervisor_socket)
    log = EventLog(store, catalog)
    runs = IntegrityRuns(folder)
    async with grpc.aio.insecure_channel(gateway) as channel:
        pages = Pages(
            *(log, catalog, settings, channel),
            is_following=lambda: True,
            parts=list,
            activity=activity,
            controls=LaneControls(folder),
            integrity_job=IntegrityJob(Admin(AdminProcess(folder), runs), runs),
            admin=Admin(AdminProcess(folder), IntegrityRuns(folder)),
            docs_checkout=docs_checkout or folder,  # in which nothing can be built
        )
        transport = httpx.ASGITransport(pages.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8089") as client:
            yield Opened(client, store, activity)
        pages.close()
    store.close()
