"""The monitor's state as JSON, for programs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict

from google.protobuf.message import Message
from polystream.v1 import operations_pb2 as pb
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mesh.catalog import Catalog
from mesh.errors import PolystreamError
from mesh.http_status import http_status
from mesh.proto_json import to_dict
from monitor.endpoints import endpoints
from monitor.pages.platform_health import PlatformHealth
from monitor.service import EventLog


class JsonApi:
    """Handlers that answer with JSON."""

    def __init__(
        self,
        log: EventLog,
        catalog: Catalog,
        state: PlatformHealth,
        addresses: Mapping[str, str | None],
        is_following: Callable[[], bool],
    ) -> None:
        """`addresses` are those of the platform's parts; `is_following` tells whether what is accepted gets told."""
        self._log = log
        self._state = state
        self._addresses = addresses
        self._is_following = is_following
        self._endpoint_rows = [asdict(endpoint) for endpoint in endpoints(catalog)]

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/healthz", self.healthz),
            Route("/api/platform", self.platform),
            Route("/api/endpoints", self.endpoints),
            Route("/api/operations", self.operations),
            Route("/api/operations/{correlation_id}", self.story),
        ]

    async def healthz(self, _: Request) -> Response:
        """Say that the monitor works: it follows the topics, and its store answers."""
        if not self._is_following():
            return JSONResponse({"message": "the topics are not followed now"}, status_code=503)
        return await _json(asyncio.to_thread(self._log.page, pb.ListOperationsRequest(page_size=1)))

    async def platform(self, _: Request) -> Response:
        """Return the addresses of everything, and the health of every part."""
        return JSONResponse({"endpoints": self._addresses, "health": to_dict(await self._state.health())})

    async def endpoints(self, _: Request) -> Response:
        """Return every REST path and its RPC."""
        return JSONResponse(self._endpoint_rows)

    async def operations(self, request: Request) -> Response:
        """Return the latest operations."""
        wanted = pb.ListOperationsRequest(page_size=50, page_token=request.query_params.get("page_token", ""))
        return await _json(asyncio.to_thread(self._log.page, wanted))

    async def story(self, request: Request) -> Response:
        """Return one operation's story; as a file to keep where `download` is in the address."""
        correlation_id = request.path_params["correlation_id"]
        response = await _json(asyncio.to_thread(self._log.story, correlation_id))
        if "download" in request.query_params and response.status_code == 200:
            name = "".join(sign for sign in correlation_id if sign.isalnum() or sign == "-")
            response.headers["content-disposition"] = f'attachment; filename="{name}.json"'
        return response


async def _json(result: Awaitable[Message]) -> Response:
    try:
        return JSONResponse(to_dict(await result))
    except PolystreamError as error:
        status = error.to_status()
        return JSONResponse(to_dict(status), status_code=http_status(status.code, error.reason.name))
