"""The monitor's HTTP port: its pages, their files, and its JSON."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

import grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from mesh.catalog import Catalog
from mesh.health.components import HeardPart
from mesh.look import LOOK
from mesh.settings import MonitorSettings
from monitor.activity import Activity
from monitor.admin import Admin
from monitor.integrity_job import IntegrityJob
from monitor.jaeger.api import JaegerApi
from monitor.lane_control import LaneControls
from monitor.metrics.store import MetricStore
from monitor.page_guard import PageGuard
from monitor.pages import built_docs, dead_letters, events, integrity, lanes, operation, operations, overview, send
from monitor.pages import parts as part_pages
from monitor.pages import traces as trace_pages
from monitor.pages.docs_build import CHECKOUT, DocsBuild
from monitor.pages.frame import Frame
from monitor.pages.json_api import JsonApi
from monitor.pages.live import LivePages
from monitor.pages.overview_charts import OverviewCharts
from monitor.pages.platform_health import PlatformHealth
from monitor.pages.record_lookup import RecordSource
from monitor.pages.security_headers import SecurityHeaders
from monitor.service import EventLog
from monitor.supervisor_watch import SupervisorWatch
from monitor.traces import Traces

_ASSETS: Final = Path(__file__).parent / "assets"


class Pages:
    """Everything at the monitor's HTTP port."""

    def __init__(
        self,
        log: EventLog,
        traces: Traces,
        catalog: Catalog,
        settings: MonitorSettings,
        gateway: grpc.aio.Channel,
        *,
        is_following: Callable[[], bool],
        parts: Callable[[], Sequence[HeardPart]],
        activity: Activity,
        metrics: MetricStore,
        metric_interval_s: float,
        controls: LaneControls,
        integrity_job: IntegrityJob,
        admin: Admin,
        records: RecordSource,
        admin_routes: Sequence[Route] = (),
        docs_checkout: Path = CHECKOUT,
    ) -> None:
        """`is_following` tells whether what is accepted from now on gets into the log, `parts` how each part is.

        `metric_interval_s` is how often services tell their metrics, `records` finds what is in Kafka.
        """
        addresses = json.loads(settings.endpoints_json)
        state = PlatformHealth(gateway, parts)
        watch = SupervisorWatch(settings.supervisor_socket)
        self._admin_routes = admin_routes
        self._live = LivePages()
        self._jaeger = JaegerApi(traces)
        self._json = JsonApi(log, catalog, state, addresses, is_following)
        self._docs = DocsBuild(docs_checkout)
        self._docs_page = built_docs.page(self._docs)
        pages = [
            overview.page(state, activity, OverviewCharts(metrics, metric_interval_s), addresses),
            operations.page(log, catalog),
            events.page(log, catalog),
            operation.page(log, catalog, addresses, watch, records),
            *trace_pages.pages(traces, addresses),
            lanes.page(parts, controls),
            dead_letters.page(admin),
            integrity.page(parts, integrity_job),
            *part_pages.pages(parts, watch),
            *send.pages(catalog, gateway, addresses),
            self._docs_page,
        ]
        self._frame = Frame(pages, addresses, self._live)
        self._host, self._allowed_hosts = settings.host, settings.allowed_hosts

    def app(self) -> ASGIApp:
        """Return the ASGI application."""
        pages = Starlette(
            routes=[
                *self._json.routes(),
                *self._jaeger.routes(),
                *self._admin_routes,
                Route("/find", find),
                *built_docs.routes(self._docs, self._show_docs),
                *self._frame.routes(),
                Mount("/assets", StaticFiles(directory=_ASSETS)),
                Mount("/look", StaticFiles(directory=LOOK)),
            ],
            exception_handlers={404: self._frame.not_found},
        )
        return SecurityHeaders(PageGuard(pages, host=self._host, allowed_hosts=self._allowed_hosts))

    def close(self) -> None:
        """End the streams of open pages, so that the server can stop."""
        self._live.close()
        self._docs.close()

    async def _show_docs(self, request: Request) -> Response:
        return await self._frame.show(self._docs_page, request)


async def find(request: Request) -> Response:
    """Lead to the page of the operation that was asked for."""
    wanted = request.query_params.get("correlation_id", "").strip()
    return RedirectResponse(f"/operations/{quote(wanted, safe='')}" if wanted else "/operations", 303)
