"""The routes of Jaeger's query API, read-only, below `/jaeger/api`: for a Jaeger UI, Grafana, and scripts for either.

Every answer is bounded: 1,500 traces with 10,000 spans in all, 1,000 spans of one trace, 5,000 names.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mesh.errors import PolystreamError
from mesh.http_status import http_status
from monitor.jaeger import model, parameters
from monitor.traces import Traces

PREFIX: Final = "/jaeger"
_API: Final = f"{PREFIX}/api"
_NOT_FOUND: Final = "trace not found"

Answer = tuple[HTTPStatus, model.Json]


class JaegerApi:
    """Handlers that answer as Jaeger does."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(f"{_API}/services", _shown(self.services)),
            Route(f"{_API}/services/{{service:path}}/operations", _shown(self.operation_names)),
            Route(f"{_API}/operations", _shown(self.operations)),
            Route(f"{_API}/traces", _shown(self.search)),
            Route(f"{_API}/traces/{{trace_id}}", _shown(self.trace)),
            Route(f"{_API}/dependencies", _shown(self.dependencies)),
        ]

    def services(self, _: Request) -> Answer:
        """Return the names of the services."""
        names = list(dict.fromkeys(each.service for each in self._traces.names()))
        return HTTPStatus.OK, model.envelope(names, len(names))

    def operation_names(self, request: Request) -> Answer:
        """Return the names of a service's spans."""
        service = request.path_params["service"]
        names = list(dict.fromkeys(each.name for each in self._traces.names() if each.service == service))
        return HTTPStatus.OK, model.envelope(names, len(names))

    def operations(self, request: Request) -> Answer:
        """Return the names of a service's spans with their kinds, or those of one kind."""
        service = parameters.text(request.query_params, "service")
        if not service:
            raise parameters.fault("service", "is required")
        kind = parameters.span_kind(request.query_params)
        found = [
            {"name": each.name, "spanKind": each.kind.lower()}
            for each in self._traces.names()
            if each.service == service and kind in ("", each.kind)
        ]
        return HTTPStatus.OK, model.envelope(found, len(found))

    def search(self, request: Request) -> Answer:
        """Return the newest traces that are as the parameters say, or those that `traceID` names."""
        query = request.query_params
        if "traceID" in query:
            wanted = parameters.trace_ids(query)
            found = self._traces.of_ids(wanted)
            missing = [each for each in wanted if each not in found.traces]
            errors = [model.error(HTTPStatus.NOT_FOUND, _NOT_FOUND, each) for each in missing]
        else:
            found = self._traces.find(parameters.trace_query(query, _now_ms()))
            errors = []
        traces = [model.trace(trace_id, spans) for trace_id, spans in found.traces.items()]
        return HTTPStatus.OK, model.envelope(traces, found.found, errors)

    def trace(self, request: Request) -> Answer:
        """Return one trace."""
        trace_id = parameters.trace_id(request.path_params["trace_id"], "traceID")
        found = self._traces.of_ids([trace_id]).traces.get(trace_id)
        if found is None:
            errors = [model.error(HTTPStatus.NOT_FOUND, _NOT_FOUND)]
            return HTTPStatus.NOT_FOUND, model.envelope(None, errors=errors)
        return HTTPStatus.OK, model.envelope([model.trace(trace_id, found)], 1)

    def dependencies(self, request: Request) -> Answer:
        """Return which service calls which, counted in the newest traces of a time."""
        query = request.query_params
        service = parameters.text(query, "service")
        calls = [
            {"parent": call.parent, "child": call.child, "callCount": call.count}
            for call in self._traces.calls(*parameters.times_ms(query, _now_ms()))
            if service in ("", call.parent, call.child)
        ]
        return HTTPStatus.OK, model.envelope(calls, len(calls))


def _shown(read: Callable[[Request], Answer]) -> Callable[[Request], Awaitable[Response]]:
    """Return the handler of a route. The store is read in a thread, so that others are answered meanwhile."""

    async def handle(request: Request) -> Response:
        return await asyncio.to_thread(answer, request)

    def answer(request: Request) -> Response:
        try:
            status, body = read(request)
        except PolystreamError as error:
            told = [f"parameter '{fault.field}' {fault.description}" for fault in error.faults]
            status = HTTPStatus(http_status(error.to_status().code, error.reason.name))
            errors = [model.error(status, "; ".join(told) or error.message)]
            body = model.envelope(None, errors=errors)
        is_pretty = request.query_params.get("prettyPrint", "false") not in ("", "false")
        return Response(_written(body, is_pretty=is_pretty), status, media_type="application/json")

    return handle


def _written(body: Any, *, is_pretty: bool) -> str:
    separators = (",", ": ") if is_pretty else (",", ":")
    return json.dumps(body, ensure_ascii=False, indent=2 if is_pretty else None, separators=separators)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
