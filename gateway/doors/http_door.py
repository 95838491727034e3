"""Where each HTTP request goes: the documentation, gRPC-Web, or REST; and what goes with every answer."""

import time
from typing import Final, Protocol, cast

from gateway.calls import Calls
from gateway.doors import content, grpc_web
from gateway.doors.access_log import AccessLog, LoggedExchange
from gateway.doors.grpc_web import GrpcWebDoor
from gateway.doors.origins import OriginRules, is_preflight
from gateway.doors.pages import PAGE_METHODS, Documentation, PageCall
from gateway.doors.rest import RestDoor
from gateway.doors.statuses import CORRELATION_ID, Header, allow_header, as_http
from gateway.http.exchange import Exchange
from gateway.http.request import HttpRequest
from gateway.rest.routes import MethodNotAllowed, Routes
from mesh.errors import PolystreamError, Reason
from mesh.ids import new_correlation_id
from mesh.settings import GatewaySettings

HEALTH_PATH: Final = "/healthz"  # of load balancers and supervisors; /health tells of the whole platform

_REQUEST_ID: Final = "x-request-id"
_MAX_REQUEST_ID_CHARACTERS: Final = 128  # a longer one is not sent back
_ALL_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class HttpCall(Protocol):
    """A request between its head and its end; what a door keeps in `Exchange.context`."""

    @property
    def route(self) -> str:
        """The path template, or the RPC's path."""

    def received(self) -> None:
        """Go on: the body is whole."""


class HttpDoor:
    """Takes every request of the port, as `gateway.http` asks of a door."""

    def __init__(self, calls: Calls, routes: Routes, settings: GatewaySettings) -> None:
        self._origins = OriginRules(
            settings.host, allowed_hosts=settings.allowed_hosts, allowed_origins=settings.allowed_origins
        )
        self._rest = RestDoor(calls, routes, max_request_bytes=settings.max_request_bytes)
        self._grpc_web = GrpcWebDoor(calls, max_request_bytes=settings.max_request_bytes)
        self._pages = Documentation(settings.dashboard_url)
        self._calls = calls
        self._log = AccessLog(settings.name) if settings.access_log else None

    def head(self, exchange: Exchange) -> int | None:
        """Take a request's head. Return how many bytes its body may have; None if it is answered already."""
        if exchange.request.path == HEALTH_PATH and exchange.request.method in {"GET", "HEAD"}:
            self._tell_health(exchange)
            return None
        answering = exchange
        if self._log is not None:
            answering = cast(Exchange, LoggedExchange(exchange, self._log))
        answer_headers = self._answer_headers(exchange.request)
        try:
            wanted = self._dispatch(answering, answer_headers)
        except PolystreamError as error:
            _refuse(answering, error, answer_headers)
            return None
        exchange.context = answering.context
        return wanted

    def request(self, exchange: Exchange) -> None:
        """Go on with a request whose body is whole."""
        call: HttpCall = exchange.context
        call.received()

    def refusal(
        self, status: int, error: PolystreamError, request: HttpRequest | None = None
    ) -> tuple[list[Header], bytes]:
        """Return the headers and the body of an error that the HTTP server itself answers with."""
        correlation_id = new_correlation_id()
        media_type = _grpc_media_type(request) if request is not None else None
        if media_type in grpc_web.BINARY | grpc_web.TEXT:
            headers, body = grpc_web.refusal(media_type, error, correlation_id)
        else:
            _, headers, body = as_http(error.to_status())
            headers += [(CORRELATION_ID, correlation_id)]
        if request is not None:
            headers += self._answer_headers(request)
        if self._log is not None:
            self._log.write(request, status, headers, route="", sent_bytes=len(body), begin_s=time.monotonic())
        return headers, body

    def _tell_health(self, exchange: Exchange) -> None:
        """Say whether the gateway serves. It is asked every second: it is no call, and no line of a log."""
        status, word = (200, b"SERVING\n") if self._calls.serving else (503, b"NOT_SERVING\n")
        exchange.respond(status, (("content-type", "text/plain"), ("cache-control", "no-store")), word)

    def _dispatch(self, exchange: Exchange, answer_headers: tuple[Header, ...]) -> int | None:
        """Return what `head` does. Raises PolystreamError for what is refused."""
        request = exchange.request
        method, path = request.method, request.path
        fault = self._origins.fault(method, request.headers)
        if fault is not None:
            raise fault
        if method == "POST" and (media_type := _grpc_media_type(request)) is not None:
            return self._grpc_web.head(exchange, media_type, answer_headers)
        if method == "OPTIONS":
            self._options(exchange, answer_headers)
            return None
        if allowed := self._page_methods(path):
            if method not in allowed:
                raise MethodNotAllowed(allowed)
            exchange.context = PageCall(exchange, answer_headers, self._pages)
            return 0
        return self._rest.head(exchange, answer_headers)

    def _options(self, exchange: Exchange, answer_headers: tuple[Header, ...]) -> None:
        """Answer a browser's question, or tell what a path takes.

        Raises PolystreamError: FOREIGN_ORIGIN, UNKNOWN_PATH.
        """
        request = exchange.request
        if is_preflight(request.method, request.headers):
            granted = self._origins.preflight_headers(request.headers)
            if granted is None:
                raise PolystreamError(Reason.FOREIGN_ORIGIN)
            others = [header for header in answer_headers if header[0] == _REQUEST_ID]
            exchange.respond(204, (*granted, *others, (CORRELATION_ID, new_correlation_id())), b"")
            return
        if request.path == "*":
            allowed: tuple[str, ...] = _ALL_METHODS
        else:
            allowed = self._page_methods(request.path) or self._rest.allowed(request.path)
        if not allowed:
            raise PolystreamError(Reason.UNKNOWN_PATH)
        allow = ("allow", ", ".join(allowed))
        exchange.respond(204, (allow, (CORRELATION_ID, new_correlation_id()), *answer_headers), b"")

    def _page_methods(self, path: str) -> tuple[str, ...]:
        """Return the methods that a path of the gateway's own takes; none where it is another's."""
        return PAGE_METHODS if path == HEALTH_PATH else self._pages.allowed(path)

    def _answer_headers(self, request: HttpRequest) -> tuple[Header, ...]:
        """Return what goes with every answer to a request: its request ID, and leave to read it."""
        headers = request.headers
        origin, request_id = headers.get("origin"), headers.get(_REQUEST_ID)
        found: tuple[Header, ...] = () if origin is None else self._origins.answer_headers(origin)
        if request_id and len(request_id) <= _MAX_REQUEST_ID_CHARACTERS and _is_visible(request_id):
            found += ((_REQUEST_ID, request_id),)
        return found


def _refuse(exchange: Exchange, error: PolystreamError, answer_headers: tuple[Header, ...]) -> None:
    http_status, headers, body = as_http(error.to_status())
    headers += [*allow_header(error), (CORRELATION_ID, new_correlation_id()), *answer_headers]
    exchange.respond(http_status, headers, body)


def _grpc_media_type(request: HttpRequest) -> str | None:
    """Return a request's media type if it is one of gRPC's, however it is written."""
    content_type = request.headers.get("content-type")
    if content_type is None or content_type == content.JSON:
        return None
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type if grpc_web.is_grpc(media_type) else None


def _is_visible(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
