"""The monitor's pages: the dashboard and its data."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import grpc
from google.protobuf.message import Message
from polystream.v1 import operations_pb2 as pb
from polystream.v1.system_pb2 import GetHealthRequest, Health
from polystream.v1.system_pb2_grpc import SystemServiceStub
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from mesh.catalog import Catalog
from mesh.errors import PolystreamError
from mesh.health.components import GATEWAY, HeardPart, part_components
from mesh.http_status import http_status
from mesh.proto_json import to_dict
from mesh.settings import MonitorSettings
from monitor.endpoints import endpoints
from monitor.page_guard import PageGuard
from monitor.service import EventLog

_FOLDER = Path(__file__).parent / "dashboard"
_HEALTH_TIMEOUT_S = 2.0


class Pages:
    """Handlers of the monitor's HTTP port."""

    def __init__(
        self,
        log: EventLog,
        catalog: Catalog,
        settings: MonitorSettings,
        gateway: grpc.aio.Channel,
        *,
        is_following: Callable[[], bool],
        parts: Callable[[], Sequence[HeardPart]],
        admin_routes: Sequence[Route] = (),
    ) -> None:
        """`is_following` tells whether what is accepted from now on gets into the log, `parts` how each part is."""
        self._log = log
        self._is_following = is_following
        self._parts = parts
        self._admin_routes = admin_routes
        self._endpoint_rows = [asdict(endpoint) for endpoint in endpoints(catalog)]
        self._endpoints = json.loads(settings.endpoints_json)
        self._system = SystemServiceStub(gateway)
        self._host, self._allowed_hosts = settings.host, settings.allowed_hosts

    def app(self) -> ASGIApp:
        """Return the ASGI application."""
        pages = Starlette(
            routes=[
                Route("/", self.dashboard),
                Route("/healthz", self.healthz),
                Route("/api/platform", self.platform),
                Route("/api/endpoints", self.endpoints),
                Route("/api/operations", self.operations),
                Route("/api/operations/{correlation_id}", self.story),
                *self._admin_routes,
                Route("/docs", self.docs),
                Mount("/assets", StaticFiles(directory=_FOLDER)),
            ]
        )
        return PageGuard(pages, host=self._host, allowed_hosts=self._allowed_hosts)

    async def dashboard(self, _: Request) -> Response:
        """Serve the dashboard."""
        return FileResponse(_FOLDER / "index.html")

    async def healthz(self, _: Request) -> Response:
        """Say that the monitor works: it follows the topics, and its store answers."""
        if not self._is_following():
            return JSONResponse({"message": "the topics are not followed now"}, status_code=503)
        return await _json(asyncio.to_thread(self._log.page, pb.ListOperationsRequest(page_size=1)))

    async def platform(self, _: Request) -> Response:
        """Return the addresses of everything, and the health of every part as the gateway sees it.

        Where no gateway answers, it is what the monitor has heard of the parts.
        """
        try:
            health = await self._system.GetHealth(GetHealthRequest(), timeout=_HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            components = part_components(self._parts(), monitor_answers=True)
            for component in components:
                if component.name == GATEWAY:
                    component.status, component.detail = Health.UNHEALTHY, f"does not answer: {error.code().name}"
            health = Health(status=Health.UNHEALTHY, components=components)
        return JSONResponse({"endpoints": self._endpoints, "health": to_dict(health)})

    async def endpoints(self, _: Request) -> Response:
        """Return every REST path and its RPC."""
        return JSONResponse(self._endpoint_rows)

    async def operations(self, request: Request) -> Response:
        """Return the latest operations."""
        wanted = pb.ListOperationsRequest(page_size=50, page_token=request.query_params.get("page_token", ""))
        return await _json(asyncio.to_thread(self._log.page, wanted))

    async def story(self, request: Request) -> Response:
        """Return one operation's story."""
        return await _json(asyncio.to_thread(self._log.story, request.path_params["correlation_id"]))

    async def docs(self, _: Request) -> Response:
        """Lead to the API's documentation, which the gateway serves."""
        address = self._endpoints.get("docs")
        if not address:
            return JSONResponse({"message": "no gateway's address is set: see MONITOR_ENDPOINTS_JSON"}, status_code=404)
        return RedirectResponse(address)


async def _json(result: Awaitable[Message]) -> Response:
    try:
        return JSONResponse(to_dict(await result))
    except PolystreamError as error:
        status = error.to_status()
        return JSONResponse(to_dict(status), status_code=http_status(status.code, error.reason.name))
