"""Dead letters, integrity and lanes as JSON at the monitor's HTTP port: what its pages, and programs, do with them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message
from polystream.admin.v1 import dead_letters_pb2, integrity_pb2
from polystream.monitor.v1 import integrity_runs_pb2, lane_control_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from mesh.errors import PolystreamError, Reason
from mesh.http_status import http_status
from mesh.proto_json import to_dict
from monitor.admin import Admin
from monitor.integrity_runs import IntegrityRuns
from monitor.lane_control import LaneControls
from monitor.pages.request_body import body_of

M = TypeVar("M", bound=Message)


class AdminApi:
    """Handlers whose requests and answers are the JSON of the services' own messages."""

    def __init__(self, admin: Admin, runs: IntegrityRuns, controls: LaneControls) -> None:
        self._admin = admin
        self._runs = runs
        self._controls = controls

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/deadLetters:list", self.list_dead_letters, methods=["POST"]),
            Route("/api/deadLetters:redrive", self.redrive, methods=["POST"]),
            Route("/api/deadLetters:discard", self.discard, methods=["POST"]),
            Route("/api/deadLetters/{name}", self.dead_letter),
            Route("/api/integrityRuns", self.integrity_runs),
            Route("/api/integrity:check", self.check, methods=["POST"]),
            Route("/api/integrity:repair", self.repair, methods=["POST"]),
            Route("/api/lanes", self.lanes),
            Route("/api/lanes:pause", self.pause, methods=["POST"]),
            Route("/api/lanes:resume", self.resume, methods=["POST"]),
        ]

    async def list_dead_letters(self, request: Request) -> Response:
        """List dead letters."""
        return await _answer(request, dead_letters_pb2.ListDeadLettersRequest, self._admin.list_dead_letters)

    async def dead_letter(self, request: Request) -> Response:
        """Return one, by PARTITION:OFFSET or correlation ID."""
        return await _json(self._admin.get_dead_letter(request.path_params["name"]))

    async def redrive(self, request: Request) -> Response:
        """Redrive: a line of JSON for the plan, for each batch, and for the end or an error."""
        return await self._settle(request, discard=False)

    async def discard(self, request: Request) -> Response:
        """Discard, answered as `redrive` is."""
        return await self._settle(request, discard=True)

    async def integrity_runs(self, _: Request) -> Response:
        """Return the last run of each kind."""
        return JSONResponse(to_dict(integrity_runs_pb2.ListIntegrityRunsResponse(runs=self._runs.runs())))

    async def check(self, request: Request) -> Response:
        """Compare the stores with each other and with Kafka."""
        return await _answer(request, integrity_pb2.CheckIntegrityRequest, self._admin.check_integrity)

    async def repair(self, request: Request) -> Response:
        """Repair, or tell what a repair would do."""
        return await _answer(request, integrity_pb2.RepairIntegrityRequest, self._admin.repair_integrity)

    async def lanes(self, _: Request) -> Response:
        """Return what is wanted of each lane."""
        return JSONResponse(to_dict(lane_control_pb2.ListLaneControlsResponse(controls=self._controls.controls())))

    async def pause(self, request: Request) -> Response:
        """Pause a lane."""

        async def pause(wanted: lane_control_pb2.PauseLaneRequest) -> lane_control_pb2.LaneControl:
            given = (wanted.lane, wanted.principal, wanted.justification)
            return await asyncio.to_thread(self._controls.pause, *given)

        return await _answer(request, lane_control_pb2.PauseLaneRequest, pause)

    async def resume(self, request: Request) -> Response:
        """Resume a lane."""

        async def resume(wanted: lane_control_pb2.ResumeLaneRequest) -> lane_control_pb2.LaneControl:
            given = (wanted.lane, wanted.principal, wanted.justification)
            return await asyncio.to_thread(self._controls.resume, *given)

        return await _answer(request, lane_control_pb2.ResumeLaneRequest, resume)

    async def _settle(self, request: Request, *, discard: bool) -> Response:
        try:
            steps = self._admin.settle(await _body(request, dead_letters_pb2.SettleDeadLettersRequest), discard=discard)
            first = await anext(steps)  # what is refused has the status of its error
        except PolystreamError as error:
            return _refusal(error)
        return StreamingResponse(_lines(first, steps), media_type="application/x-ndjson")


async def _lines(first: Message, steps: AsyncIterator[Message]) -> AsyncIterator[str]:
    yield json.dumps(to_dict(first)) + "\n"
    try:
        async for step in steps:
            yield json.dumps(to_dict(step)) + "\n"
    except PolystreamError as error:
        yield json.dumps({"error": to_dict(error.to_status())}) + "\n"


async def _answer(request: Request, kind: type[M], call: Callable[[M], Awaitable[Message]]) -> Response:
    try:
        return JSONResponse(to_dict(await call(await _body(request, kind))))
    except PolystreamError as error:
        return _refusal(error)


async def _json(result: Awaitable[Message]) -> Response:
    try:
        return JSONResponse(to_dict(await result))
    except PolystreamError as error:
        return _refusal(error)


async def _body(request: Request, kind: type[M]) -> M:
    """Return the message that the body is. Raises PolystreamError: REQUEST_TOO_LARGE, MALFORMED_REQUEST."""
    body = (await body_of(request)).strip() or b"{}"
    if not body.startswith(b"{"):  # protobuf takes an empty list for an empty message
        raise PolystreamError(Reason.MALFORMED_REQUEST)
    try:
        return json_format.Parse(body, kind())
    except (json_format.ParseError, UnicodeDecodeError) as error:
        raise PolystreamError(Reason.MALFORMED_REQUEST) from error


def _refusal(error: PolystreamError) -> Response:
    status = error.to_status()
    return JSONResponse(to_dict(status), http_status(status.code, error.reason.name))
