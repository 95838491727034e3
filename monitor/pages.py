"""The monitor's pages: the dashboard, its data, and the API's documentation."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

import grpc
from google.protobuf.message import Message
from polystream.v1 import operations_pb2 as pb
from polystream.v1.system_pb2 import GetHealthRequest, Health
from polystream.v1.system_pb2_grpc import SystemServiceStub
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from mesh.catalog import Catalog
from mesh.errors import PolystreamError
from mesh.proto_json import to_dict
from mesh.settings import MonitorSettings
from monitor.endpoints import endpoints
from monitor.page_guard import PageGuard
from monitor.service import EventLog

_FOLDER = Path(__file__).parent / "dashboard"
_HEALTH_TIMEOUT_S = 2.0
_HTTP_STATUS = {3: 400, 5: 404, 14: 503}  # google.rpc.Code to HTTP, those that the event log raises
# In a checkout the document stands beside the packages; in the wheel it is inside `mesh`.
_OPENAPI = (
    Path(__file__).parent.parent / "gen" / "openapi" / "openapi.json",
    Path(__file__).parent.parent / "mesh" / "_openapi" / "openapi.json",
)
_SWAGGER_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Polystream API</title>
<link rel="stylesheet" href="/docs/assets/swagger-ui.css">
<link rel="icon" href="/docs/assets/favicon-32x32.png">
<style>
body { margin: 0; }
.swagger-ui .info { margin: 28px 0; }
.swagger-ui .scheme-container { display: none; }
</style>
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/assets/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, tryItOutEnabled: true,
  filter: true, displayRequestDuration: true, defaultModelsExpandDepth: 0, validatorUrl: null });
</script>
</body>
</html>
"""


class Pages:
    """Handlers of the monitor's HTTP port."""

    def __init__(
        self,
        log: EventLog,
        catalog: Catalog,
        settings: MonitorSettings,
        gateway: grpc.aio.Channel,
        is_following: Callable[[], bool],
    ) -> None:
        """`is_following` tells whether what is accepted from now on gets into the log."""
        self._log = log
        self._is_following = is_following
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
                Route("/docs", self.docs),
                Route("/openapi.yaml", self.openapi),
                Route("/openapi.json", self.openapi),
                Mount("/docs/assets", StaticFiles(directory=_swagger_ui())),
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
        """Return the addresses of everything, and the health of every part as the gateway sees it."""
        try:
            health = await self._system.GetHealth(GetHealthRequest(), timeout=_HEALTH_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            health = Health(
                status=Health.UNHEALTHY,
                components=[
                    Health.Component(
                        name="gateway", status=Health.UNHEALTHY, detail=f"does not answer: {error.code().name}"
                    )
                ],
            )
        else:
            health.components.insert(0, Health.Component(name="gateway", status=Health.HEALTHY))
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
        """Serve Swagger UI."""
        return HTMLResponse(_SWAGGER_PAGE)

    async def openapi(self, _: Request) -> Response:
        """Serve the API's description."""
        path = next((path for path in _OPENAPI if path.exists()), None)
        if path is None:
            return JSONResponse({"message": "no OpenAPI document: generate the contracts"}, status_code=404)
        return FileResponse(path, media_type="application/json")  # which is YAML too


def _swagger_ui() -> Path:
    """Return the folder of Swagger UI's files. The package is only looked up: importing it brings a web framework's."""
    spec = find_spec("swagger_ui")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("swagger-ui-py is not installed, which has the files of /docs")
    return Path(spec.origin).parent / "static"


async def _json(result: Awaitable[Message]) -> Response:
    try:
        return JSONResponse(to_dict(await result))
    except PolystreamError as error:
        status = error.to_status()
        return JSONResponse(to_dict(status), status_code=_HTTP_STATUS.get(status.code, 500))
