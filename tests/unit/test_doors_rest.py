"""REST: what is called, with what, and what the client is told."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from functools import cache

import pytest
from google.protobuf.message import Message
from polystream.v1.operations_pb2 import Operation
from polystream.v1.users_pb2 import CreateUserRequest, GetUserRequest, User

from gateway.doors import streams
from gateway.doors.http_door import HttpDoor
from gateway.rest.routes import Routes
from mesh.catalog import load_catalog
from mesh.errors import PolystreamError, Reason
from mesh.settings import GatewaySettings
from tests.support.exchanges import RecordedExchange, exchange
from tests.support.scripted_calls import CORRELATION_ID, MAX_REQUEST_BYTES, ScriptedCalls

JSON = {"content-type": "application/json"}
WATCH = f"/v1/operations/{CORRELATION_ID}:watch"


@cache
def routes() -> Routes:
    """Return the API's routes, which take a moment to compile."""
    return Routes(load_catalog().services)


def door(calls: ScriptedCalls) -> HttpDoor:
    """Return the door before these calls."""
    settings = GatewaySettings(max_request_bytes=MAX_REQUEST_BYTES)
    return HttpDoor(calls.as_calls, routes(), settings)


async def answered(calls: ScriptedCalls, asked: RecordedExchange) -> RecordedExchange:
    """Send a request through the door and wait for the end of its answer."""
    before = door(calls)
    if before.head(asked.as_exchange) is not None:
        before.request(asked.as_exchange)
    await asyncio.wait_for(asked.done.wait(), 5)
    return asked


async def test_a_command_takes_no_task() -> None:
    """It is called and answered where its request came in."""
    calls, asked = ScriptedCalls(), exchange("POST", "/v1/users", JSON, b'{"name":"Ana","user_id":"7"}')
    before = door(calls)
    assert before.head(asked.as_exchange) == MAX_REQUEST_BYTES
    before.request(asked.as_exchange)
    assert asked.status == 200
    assert asked.headers == {"content-type": "application/json", "x-correlation-id": CORRELATION_ID}
    assert json.loads(asked.body)["state"] == "ACCEPTED"
    ((name, request, caller),) = calls.taken
    assert name == "polystream.v1.UserService/CreateUser"
    assert request == CreateUserRequest(name="Ana", user_id=7)
    assert caller.named == {"name", "user_id"}
    assert caller.deadline_s is None


async def test_a_query_has_a_bound() -> None:
    """And its answer is JSON."""
    calls = ScriptedCalls([User(user_id=7, name="Ana")])
    asked = await answered(calls, exchange("GET", "/v1/users/7"))
    assert (asked.status, json.loads(asked.body)["name"]) == (200, "Ana")
    ((_, request, caller),) = calls.taken
    assert request == GetUserRequest(user_id=7)
    assert 14 < (caller.time_remaining() or 0) <= 15
    await answered(calls, exchange("POST", f"/v1/operations/{CORRELATION_ID}:wait"))
    assert 74 < (calls.taken[-1][2].time_remaining() or 0) <= 75


async def test_a_caller_may_bound_it() -> None:
    """By gRPC's own header, as before; a malformed one is told."""
    calls = ScriptedCalls([User()])
    for method, path in (("GET", "/v1/users/7"), ("POST", "/v1/users")):
        await answered(calls, exchange(method, path, {"grpc-timeout": "2S"}))
        assert 1 < (calls.taken[-1][2].time_remaining() or 0) <= 2
        asked = await answered(calls, exchange(method, path, {"grpc-timeout": "2s"}))
        assert (asked.status, asked.reason) == (400, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("method", "path", "fills"),
    [
        ("POST", "/usuarios", True),
        ("POST", "/usuarios/7/config", True),
        ("POST", "/recomendacoes/gerar", True),
        ("POST", "/v1/users", False),
        ("POST", "/v1/users/7/payments", False),
        ("GET", "/recomendacoes/7", False),
        ("PATCH", "/v1/users/7", False),
    ],
)
async def test_demo_data_may_fill_a_post_to_an_inherited_path(method: str, path: str, fills: bool) -> None:
    """And nothing else."""
    calls = ScriptedCalls()
    await answered(calls, exchange(method, path))
    ((_, _, caller),) = calls.taken
    assert caller.may_fill is fills


async def test_the_span_is_told_of_http() -> None:
    """The method, the route without its values, the scheme; and whose trace goes on."""
    calls = ScriptedCalls()
    headers = {"traceparent": "00-x", "tracestate": "a=b"}
    await answered(calls, exchange("GET", "/v1/users/7", headers))
    ((_, _, caller),) = calls.taken
    assert (caller.traceparent, caller.tracestate) == ("00-x", "a=b")
    attributes = dict(caller.attributes or {})
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.route"] == "/v1/users/{user_id}"
    assert attributes["url.scheme"] == "http"


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (PolystreamError(Reason.INVALID_FIELD), 400, None),
        (PolystreamError(Reason.REQUEST_TOO_LARGE), 413, None),
        (PolystreamError(Reason.USER_NOT_FOUND), 404, None),
        (PolystreamError(Reason.REQUEST_ID_REUSED), 409, None),
        (PolystreamError(Reason.SUBSCRIPTION_NOT_ACTIVE), 400, None),
        (PolystreamError(Reason.TOO_MANY_COMMANDS), 429, "1"),
        (PolystreamError(Reason.KAFKA_UNAVAILABLE), 503, "1"),
        (PolystreamError(Reason.USER_UNVERIFIED), 503, "5"),
        (PolystreamError(Reason.KAFKA_UNAVAILABLE, retry_delay_s=2.1), 503, "3"),
        (PolystreamError(Reason.DEADLINE_EXCEEDED), 504, None),
        (PolystreamError(Reason.UNIMPLEMENTED), 501, None),
        (PolystreamError(Reason.INTERNAL), 500, None),
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/users"), ("GET", "/v1/users/7"), ("GET", WATCH)])
async def test_an_error_is_a_status(
    method: str, path: str, error: PolystreamError, status: int, retry_after: str | None
) -> None:
    """By google/rpc/code.proto, or by the more exact words of HTTP; of commands, queries, and streams."""
    asked = await answered(ScriptedCalls(error=error), exchange(method, path))
    assert (asked.status, asked.reason) == (status, error.reason.name)
    assert json.loads(asked.body)["code"] == error.reason.value.code
    assert asked.headers.get("retry-after") == retry_after
    assert asked.headers["x-correlation-id"] == CORRELATION_ID


@pytest.mark.parametrize(
    ("request_id", "told"),
    [("abc-1", "abc-1"), ("x" * 128, "x" * 128), ("x" * 129, None), ("a b", None), ("é", None), ("", None)],
)
async def test_a_request_id_comes_back(request_id: str, told: str | None) -> None:
    """Where it is short and visible; with answers and with refusals."""
    for path in ("/v1/users/7", "/v1/nothing"):
        asked = await answered(ScriptedCalls(), exchange("GET", path, {"x-request-id": request_id}))
        assert asked.headers.get("x-request-id") == told
        assert asked.headers["x-correlation-id"]


@pytest.mark.parametrize("headers", [{"content-type": "text/plain"}, {"content-type": "application/grpcfoo"}])
async def test_a_type_without_a_body_says_nothing(headers: Mapping[str, str]) -> None:
    """Clients send one with a DELETE, too."""
    asked = await answered(ScriptedCalls(), exchange("DELETE", "/v1/users/7", headers))
    assert asked.status == 200
    refused = await answered(ScriptedCalls(), exchange("POST", "/v1/users", headers, b"{}"))
    assert (refused.status, refused.reason) == (415, "UNSUPPORTED_CONTENT_TYPE")


async def test_an_empty_chunked_body_is_none() -> None:
    """Whether there is a body shows only at its end."""
    chunked = {"transfer-encoding": "chunked"}
    assert (await answered(ScriptedCalls(), exchange("POST", "/v1/users", chunked))).status == 200
    refused = await answered(ScriptedCalls(), exchange("POST", "/v1/users", chunked, b"{}"))
    assert refused.status == 415


def operations(count: int) -> list[Message]:
    """Return some messages of a stream."""
    return [Operation(correlation_id=str(number)) for number in range(count)]


async def test_a_stream_is_lines_of_json() -> None:
    """Each message on a line of its own."""
    asked = await answered(ScriptedCalls(operations(3)), exchange("GET", WATCH))
    assert asked.headers["content-type"] == "application/json"
    assert [json.loads(line)["correlation_id"] for line in asked.body.splitlines()] == ["0", "1", "2"]
    assert not asked.broken


async def test_a_stream_is_events_where_they_are_asked_for() -> None:
    """Each with its number, and an event for the end, since a browser would connect again."""
    asked = await answered(ScriptedCalls(operations(2)), exchange("GET", WATCH, {"accept": "text/event-stream"}))
    assert asked.headers["content-type"] == "text/event-stream"
    first, second, end, rest = asked.body.split(b"\n\n")
    assert first.startswith(b"id: 1\ndata: {")
    assert second.startswith(b"id: 2\ndata: {")
    assert (end, rest) == (b"event: end\ndata: {}", b"")


async def test_events_are_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """By comments, whole in themselves, while nothing happens."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.001)
    going_on = asyncio.Event()

    class Slow(ScriptedCalls):
        async def stream(self, rpc: object, decoded: object, caller: object) -> AsyncIterator[tuple[str, Message]]:
            del rpc, decoded, caller
            yield CORRELATION_ID, Operation(correlation_id="1")
            await going_on.wait()
            yield CORRELATION_ID, Operation(correlation_id="2")

    class Watched(RecordedExchange):
        async def write(self, data: bytes) -> None:
            await super().write(data)
            if data.startswith(b":"):
                going_on.set()

    plain = exchange("GET", WATCH, {"accept": "text/event-stream"})
    asked = await answered(Slow(), Watched(plain.request))
    events = asked.body.split(b"\n\n")
    assert events[1] == b": keep-alive"
    assert [event for event in events if event.startswith(b"id: 2")]
    assert events[-2] == b"event: end\ndata: {}"


async def test_nobody_writes_while_the_client_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange has one writer at a time: a comment is left out, and no message overtakes another."""
    monkeypatch.setattr(streams, "KEEP_ALIVE_S", 0.0)
    writers: list[int] = []

    class Behind(RecordedExchange):
        async def write(self, data: bytes) -> None:
            writers.append(1)
            assert len(writers) == 1
            for _ in range(5):
                await asyncio.sleep(0)  # others get their turn
            writers.pop()
            await super().write(data)

    plain = exchange("GET", WATCH, {"accept": "text/event-stream"})
    asked = await answered(ScriptedCalls(operations(20)), Behind(plain.request))
    numbered = [event for event in asked.body.split(b"\n\n") if event.startswith(b"id: ")]
    assert [event.split(b"\n")[0] for event in numbered] == [b"id: %d" % number for number in range(1, 21)]


async def test_a_stream_without_messages_is_an_empty_one() -> None:
    """With its correlation ID."""
    asked = await answered(ScriptedCalls(), exchange("GET", WATCH))
    assert (asked.status, asked.body, asked.broken) == (200, b"", False)
    assert asked.headers["x-correlation-id"]


@pytest.mark.parametrize("accept", ["*/*", "application/x-ndjson", "text/event-stream"])
@pytest.mark.parametrize("reason", [Reason.DEADLINE_EXCEEDED, Reason.GATEWAY_DRAINING, Reason.INTERNAL])
async def test_an_error_in_mid_stream_is_told(accept: str, reason: Reason) -> None:
    """By the last line, and a break that no client takes for the end; or by an event."""
    calls = ScriptedCalls(operations(1), PolystreamError(reason))
    asked = await answered(calls, exchange("GET", WATCH, {"accept": accept}))
    assert asked.status == 200
    if accept == "text/event-stream":
        event = asked.body.split(b"\n\n")[1]
        assert event.startswith(b"event: error\ndata: ")
        status = json.loads(event.partition(b"data: ")[2])
        assert not asked.broken
    else:
        status = json.loads(asked.body.splitlines()[-1])["error"]
        assert asked.broken
    assert status["details"][0]["reason"] == reason.name


async def test_who_leaves_is_waited_for_no_longer() -> None:
    """The task of a query ends with its client."""
    started, ended = asyncio.Event(), asyncio.Event()

    class Waiting(ScriptedCalls):
        async def query(self, rpc: object, decoded: object, caller: object) -> tuple[str, Message]:
            del rpc, decoded, caller
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise AssertionError

    asked, before = exchange("GET", "/v1/users/7"), door(Waiting())
    before.head(asked.as_exchange)
    before.request(asked.as_exchange)
    async with asyncio.timeout(5):
        await started.wait()
        assert asked.leave is not None
        asked.leave()
        await ended.wait()
    assert asked.status is None


async def test_a_stream_ends_with_its_client() -> None:
    """Whatever is still to come."""
    calls, asked = ScriptedCalls(operations(3)), exchange("GET", WATCH)
    asked.is_gone = True
    before = door(calls)
    before.head(asked.as_exchange)
    before.request(asked.as_exchange)
    await asyncio.wait_for(asyncio.gather(*before._rest._tasks._running), 5)
    assert asked.parts == []


@pytest.mark.parametrize(
    ("accept", "path", "status"),
    [
        ("text/html", "/v1/users/7", 406),
        ("application/x-ndjson", "/v1/users/7", 406),
        ("application/x-ndjson", WATCH, 200),
        ("text/html", WATCH, 406),
    ],
)
async def test_only_what_nothing_fits_is_refused(accept: str, path: str, status: int) -> None:
    """A stream has more forms than a single answer."""
    calls = ScriptedCalls(operations(1) if path == WATCH else [User()])
    asked = await answered(calls, exchange("GET", path, {"accept": accept}))
    assert asked.status == status
    if status == 406:
        assert asked.reason == "NOT_ACCEPTABLE"
        assert not calls.taken


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/grpc-web+proto"}, 413),
        ({}, 413),
        ({}, 400),
        ({"origin": "http://localhost:3000", "x-request-id": "r"}, 431),
    ],
)
def test_the_servers_own_refusals_have_the_one_shape(headers: Mapping[str, str], status: int) -> None:
    """In gRPC-Web's form for gRPC-Web; with leave to read them, and the request's ID."""
    asked = exchange("POST", "/v1/users", headers)
    told, body = door(ScriptedCalls()).refusal(status, PolystreamError(Reason.REQUEST_TOO_LARGE), asked.request)
    found = dict(told)
    assert len(found) == len(told)
    assert found["x-correlation-id"]
    if "content-type" in headers:
        assert body[0] == 0x80
        assert b"grpc-status:3" in body
    else:
        assert json.loads(body)["details"][0]["reason"] == "REQUEST_TOO_LARGE"
    assert found.get("access-control-allow-origin") == headers.get("origin")
    assert found.get("x-request-id") == headers.get("x-request-id")


def test_a_request_that_could_not_be_read_is_refused_too() -> None:
    """Nothing is known of it."""
    told, body = door(ScriptedCalls()).refusal(400, PolystreamError(Reason.MALFORMED_REQUEST))
    assert dict(told)["content-type"] == "application/json"
    assert json.loads(body)["code"] == 3
