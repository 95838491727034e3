"""REST: a request is matched to its RPC, read, called, and answered in JSON.

A body is JSON and says so. A body that comes with a method that takes none is refused rather than passed over: it has
no meaning there (RFC 9110, sections 9.3.1 and 9.3.5), and its sender meant something by it. `{}` says as much as no
body, wherever it stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from google.protobuf.message import Message
from google.rpc import status_pb2

from gateway.call_metrics import REST
from gateway.calls import Caller, CallError, Calls, Rpc, RpcKind
from gateway.doors import content
from gateway.doors.deadlines import deadline_s, timeout_s
from gateway.doors.statuses import CORRELATION_ID, JSON, Header, as_http
from gateway.doors.streams import OFFERED, StreamAnswer
from gateway.doors.tasks import CallTasks, answer_query
from gateway.http.exchange import Exchange
from gateway.operations.accepted import Serializable
from gateway.rest.bindings import Binding
from gateway.rest.routes import Match, Routes
from mesh.errors import PolystreamError, Reason
from mesh.telemetry import names

_OK: Final = 200

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RestRpc:
    """An RPC by one of its bindings: what is the same for all of its requests."""

    rpc: Rpc
    binding: Binding
    offered: tuple[str, ...]  # media types of the answer
    may_fill: bool
    timeout_s: float | None
    attributes: Mapping[str, str]


class RestDoor:
    """Takes requests to the paths that the protos bind. `max_request_bytes` bounds a body, plain and encoded."""

    def __init__(self, calls: Calls, routes: Routes, *, max_request_bytes: int) -> None:
        self._calls = calls
        self._routes = routes
        self._max_bytes = max_request_bytes
        self._rpcs: dict[int, RestRpc] = {}  # by the identity of a binding, which lives as long as its routes
        self._tasks = CallTasks()

    def head(self, exchange: Exchange, answer_headers: tuple[Header, ...]) -> int:
        """Look at a request without its body, and return how many bytes that may have.

        `answer_headers` go with the answer. Raises PolystreamError: UNKNOWN_PATH, METHOD_NOT_ALLOWED, UNIMPLEMENTED,
        UNSUPPORTED_CONTENT_TYPE, UNSUPPORTED_ENCODING, NOT_ACCEPTABLE.
        """
        request = exchange.request
        match = self._routes.find(request.method, request.path)
        call = RestCall(exchange, match, self._bound(match.binding), answer_headers, self)
        exchange.context = call
        headers = request.headers
        kind = headers.get("content-type")
        if kind is not None and kind != content.JSON and content.has_body(headers) and not content.is_json(kind):
            raise PolystreamError(Reason.UNSUPPORTED_CONTENT_TYPE)
        content.check_encoding(headers)
        media_type = content.choose(headers.get("accept"), call.bound.offered)
        if media_type is None:
            raise PolystreamError(
                Reason.NOT_ACCEPTABLE,
                f"no form of the answer fits the header accept; there is {', '.join(call.bound.offered)}",
            )
        call.media_type = media_type
        return self._max_bytes

    def allowed(self, path: str) -> tuple[str, ...]:
        """Return the methods that a path takes; none where it is unknown."""
        return self._routes.allowed(path)

    def request(self, call: "RestCall") -> None:
        """Answer a request that is whole."""
        request, bound = call.exchange.request, call.bound
        headers = request.headers
        caller = Caller(headers.get("traceparent"), headers.get("tracestate"), None, frozenset(), bound.may_fill)
        caller.attributes, caller.door = bound.attributes, REST
        decoded: Message | PolystreamError
        try:
            caller.deadline_s = deadline_s(headers.get("grpc-timeout"), bound.timeout_s)
            body = self._body(call)
            reading = bound.binding.read(call.match.variables, request.query, body, headers.get("idempotency-key"))
            caller.named = reading.named
            decoded = bound.rpc.admission.decode(reading.data)
        except PolystreamError as error:
            decoded = error
        if bound.rpc.kind is RpcKind.COMMAND:
            self._calls.command(bound.rpc, decoded, caller, call)
        elif bound.rpc.kind is RpcKind.STREAM:
            self._tasks.run(self._stream(call, decoded, caller), call.exchange)
        else:
            self._tasks.run(answer_query(self._calls, bound.rpc, decoded, caller, call), call.exchange)

    async def _stream(self, call: "RestCall", decoded: Message | PolystreamError, caller: Caller) -> None:
        messages = self._calls.stream(call.bound.rpc, decoded, caller)
        try:
            await StreamAnswer(call.exchange, call.media_type, call.answer_headers, call.bound.binding).send(messages)
        except CallError as error:
            call.fail(error.correlation_id, error.status)
        except ConnectionResetError:
            pass  # nobody is there who could be told
        except Exception as error:  # noqa: BLE001 - every request has an end
            log.error("a stream could not be sent", route=call.route, error=type(error).__name__)
            call.exchange.end(broken=True)

    def _body(self, call: "RestCall") -> bytes:
        """Return the body as JSON; empty where it says nothing. Raises PolystreamError."""
        request = call.exchange.request
        body = request.body
        if not body:
            return body
        if "content-type" not in request.headers:
            raise PolystreamError(Reason.UNSUPPORTED_CONTENT_TYPE)
        body = content.decode(body, request.headers, self._max_bytes)
        return b"" if not call.bound.binding.takes_body and body.strip() == b"{}" else body

    def _bound(self, binding: Binding) -> RestRpc:
        bound = self._rpcs.get(id(binding))
        if bound is None:
            bound = self._rpcs[id(binding)] = self._bind(binding)
        return bound

    def _bind(self, binding: Binding) -> RestRpc:
        """Compile a binding. Raises PolystreamError UNIMPLEMENTED where nothing answers the RPC."""
        rpc = self._calls.rpcs.get(binding.rpc)
        if rpc is None:
            raise PolystreamError(Reason.UNIMPLEMENTED)
        attributes = {
            names.RPC_SYSTEM: "grpc",
            names.HTTP_METHOD: binding.method,
            names.HTTP_ROUTE: binding.template,
            names.URL_SCHEME: "http",
        }
        return RestRpc(
            rpc,
            binding,
            OFFERED if rpc.kind is RpcKind.STREAM else (content.JSON,),
            binding.is_inherited and binding.method == "POST",
            timeout_s(rpc),
            attributes,
        )


class RestCall:
    """One request, its way through the gateway, and its answer: the responder of its call."""

    __slots__ = ("_door", "answer_headers", "bound", "exchange", "match", "media_type")

    def __init__(
        self, exchange: Exchange, match: Match, bound: RestRpc, answer_headers: tuple[Header, ...], door: RestDoor
    ) -> None:
        self.exchange = exchange
        self.match = match
        self.bound = bound
        self.answer_headers = answer_headers
        self.media_type = content.JSON
        self._door = door

    @property
    def route(self) -> str:
        """The path template."""
        return self.bound.binding.template

    def received(self) -> None:
        """Go on: the body is whole."""
        self._door.request(self)

    def succeed(self, correlation_id: str, response: Serializable) -> None:
        """Answer with a message."""
        try:
            body = self.bound.binding.write(response)
        except Exception as error:  # noqa: BLE001 - every request has an answer
            log.error("an answer cannot be written as JSON", route=self.route, error=type(error).__name__)
            self.fail(correlation_id, PolystreamError(Reason.INTERNAL).to_status())
            return
        self.exchange.respond(_OK, (JSON, (CORRELATION_ID, correlation_id), *self.answer_headers), body)

    def fail(self, correlation_id: str, status: status_pb2.Status) -> None:
        """Answer with an error."""
        http_status, headers, body = as_http(status)
        self.exchange.respond(http_status, (*headers, (CORRELATION_ID, correlation_id), *self.answer_headers), body)
