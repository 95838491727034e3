"""A whole gateway on :8000's port: REST, gRPC-Web and the documentation, against a real broker and registry."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import httpx
import pytest
from polystream.v1 import contents_pb2, operations_pb2, users_pb2

from mesh.ids import new_correlation_id
from mesh.settings import KafkaSettings
from mesh.topics import create_topics
from tests.support.doors import Answer, web_frames
from tests.support.gateways import CommandLog, Served, serving
from tests.support.platform import EngineSet

PERSON: dict[str, Any] = {"name": "Maria da Silva", "email": "maria@example.com", "cpf": "529.982.247-25"}
CREATE_USER = "/polystream.v1.UserService/CreateUser"
WATCH = "/polystream.v1.OperationService/WatchOperation"
JSON = {"content-type": "application/json"}
WEB = "application/grpc-web+proto"
MAX_BYTES = 64 * 1024


@pytest.fixture(scope="module")
def running(command_path: EngineSet) -> EngineSet:
    """Run the engines, with the topics."""
    servers = command_path.settings["KAFKA_BOOTSTRAP_SERVERS"]
    create_topics(KafkaSettings(bootstrap_servers=servers).client_config("test"))
    return command_path


@pytest.fixture
def to_engines(running: EngineSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead the settings to the engines."""
    for name, value in running.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MONITOR_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")


@pytest.fixture
async def served(to_engines: None) -> AsyncIterator[Served]:
    """Serve without demo data."""
    del to_engines
    async with serving("native") as started:
        yield started


@pytest.fixture
def log(to_engines: None) -> Iterator[CommandLog]:
    """Give the topic."""
    del to_engines
    reader = CommandLog()
    yield reader
    reader.close()


@pytest.fixture
async def rest(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the port."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{served.gateway.http.port}", timeout=20) as client:
        yield client


def refused(response: httpx.Response, status: int, reason: str) -> Answer:
    """Check an error's shape, and return it."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-correlation-id"]
    answer = Answer({}, response.json())
    assert (response.status_code, answer.reason) == (status, reason), response.text
    assert answer.error is not None
    assert answer.error["message"]
    return answer


async def post(rest: httpx.AsyncClient, content_type: str | None, body: bytes, **headers: str) -> httpx.Response:
    """Post a user's creation."""
    kind = {} if content_type is None else {"content-type": content_type}
    return await rest.post("/v1/users", content=body, headers={**kind, **headers})


async def web(
    rest: httpx.AsyncClient, path: str, body: bytes, content_type: str = WEB, **headers: str
) -> tuple[bytes, Mapping[str, str], httpx.Response]:
    """Call by gRPC-Web: the message, the trailers, and the response."""
    response = await rest.post(path, content=body, headers={"content-type": content_type, **headers})
    assert response.status_code == 200, response.text
    message, trailers = web_frames(response.content)
    return message, trailers, response


def frame(data: bytes, flags: int = 0) -> bytes:
    """Return a frame of gRPC."""
    return bytes([flags]) + len(data).to_bytes(4, "big") + data


def user() -> bytes:
    """Return a valid request, in its frame."""
    return frame(users_pb2.CreateUserRequest(**PERSON).SerializeToString())


async def test_a_command_over_rest_is_in_kafka(rest: httpx.AsyncClient, log: CommandLog) -> None:
    """The answer is the operation, with its correlation ID in a header too."""
    response = await rest.post("/v1/users", json=PERSON, headers={"x-request-id": "mine-1"})
    assert response.status_code == 200, response.text
    operation = response.json()
    assert (operation["state"], operation["command"]) == ("ACCEPTED", "CreateUser")
    assert response.headers["x-correlation-id"] == operation["correlation_id"]
    assert response.headers["x-request-id"] == "mine-1"
    (record,) = await asyncio.to_thread(log.of, operation["correlation_id"])
    assert record.request.email == PERSON["email"]  # type: ignore[attr-defined]
    known = await rest.get(f"/v1/operations/{operation['correlation_id']}")
    assert known.json()["correlation_id"] == operation["correlation_id"]
    head = await rest.head(f"/v1/operations/{operation['correlation_id']}")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_trace_goes_on(rest: httpx.AsyncClient, log: CommandLog) -> None:
    """The caller's trace is the record's."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    answer = (await rest.post("/v1/users", json=PERSON, headers=headers)).json()
    (record,) = await asyncio.to_thread(log.of, answer["correlation_id"])
    assert record.headers["traceparent"].split("-")[1] == trace_id


@pytest.mark.parametrize(
    "content_type",
    [
        "application/grpcfoo", "application/grpc-web+json", "application/grpc", "application/grpc+proto",
        "application/x-www-form-urlencoded", "text/plain", "text/plain;charset=UTF-8",
        "multipart/form-data; boundary=x", "application/json; charset=latin-1", "application/a+json", None,
    ],
)  # fmt: skip
async def test_a_body_says_that_it_is_json(rest: httpx.AsyncClient, content_type: str | None) -> None:
    """Anything else is refused, whatever is in it, and does nothing."""
    response = await post(rest, content_type, b'{"nmae":"Ana"}')
    refused(response, 415, "UNSUPPORTED_CONTENT_TYPE")
    assert response.headers["accept-post"] == "application/json"


async def test_a_gzipped_body_is_read(rest: httpx.AsyncClient) -> None:
    """Within the bound that plain bodies have; a label that lies is told."""
    packed = gzip.compress(json.dumps(PERSON).encode())
    taken = await post(rest, "application/json", packed, **{"content-encoding": "gzip"})
    assert taken.json()["state"] == "ACCEPTED"
    lie = await post(rest, "application/json", json.dumps(PERSON).encode(), **{"content-encoding": "gzip"})
    refused(lie, 400, "MALFORMED_REQUEST")
    bomb = gzip.compress(b" " * 50_000_000)
    refused(await post(rest, "application/json", bomb, **{"content-encoding": "gzip"}), 413, "REQUEST_TOO_LARGE")
    other = await post(rest, "application/json", packed, **{"content-encoding": "br"})
    refused(other, 415, "UNSUPPORTED_ENCODING")
    assert other.headers["accept-encoding"] == "gzip"


async def test_a_large_body_is_refused(rest: httpx.AsyncClient) -> None:
    """Whether its length is announced or not."""
    body = json.dumps({**PERSON, "name": "x" * MAX_BYTES}).encode()
    refused(await post(rest, "application/json", body), 413, "REQUEST_TOO_LARGE")

    async def parts() -> AsyncIterator[bytes]:
        yield body

    response = await rest.post("/v1/users", content=parts(), headers=JSON)
    refused(response, 413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize(
    ("method", "path", "status", "reason"),
    [
        ("GET", "/v1/user", 404, "UNKNOWN_PATH"),
        ("POST", CREATE_USER, 404, "UNKNOWN_PATH"),
        ("OPTIONS", "/v1/user", 404, "UNKNOWN_PATH"),
        ("PUT", "/v1/users/7", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/docs", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/users/abc", 400, "INVALID_FIELD"),
        ("GET", "/v1/users?page=2", 400, "UNKNOWN_FIELD"),
    ],
)
async def test_what_is_wrong_is_told(rest: httpx.AsyncClient, method: str, path: str, status: int, reason: str) -> None:
    """In the one shape, with its correlation ID."""
    response = await rest.request(method, path)
    refused(response, status, reason)
    assert ("allow" in response.headers) == (status == 405)


async def test_a_body_where_none_is_taken_is_refused(rest: httpx.AsyncClient) -> None:
    """Its fields would be lost; `{}` has none."""
    refused(await rest.request("DELETE", "/v1/users/7", json={"user_id": 8}), 400, "MALFORMED_REQUEST")
    refused(await rest.request("GET", "/v1/users", json={"page_size": 8}), 400, "MALFORMED_REQUEST")
    assert (await rest.request("DELETE", "/v1/users/7", json={})).json()["state"] == "ACCEPTED"


async def test_an_idempotency_key_is_the_request_id(rest: httpx.AsyncClient) -> None:
    """The same key finds the same operation, quoted or not, and by `request_id`; another body is told apart."""
    path, key = "/v1/users/1234/payments", new_correlation_id()
    body = {"amount": {"currency_code": "BRL", "units": "5"}, "method": "PIX"}
    first = (await rest.post(path, json=body, headers={"idempotency-key": key})).json()
    again = (await rest.post(path, json=body, headers={"idempotency-key": f'"{key}"'})).json()
    named = (await rest.post(path, json={**body, "request_id": key})).json()
    assert first["correlation_id"] == again["correlation_id"] == named["correlation_id"]
    other = await rest.post(path, json={**body, "method": "BOLETO"}, headers={"idempotency-key": key})
    refused(other, 409, "REQUEST_ID_REUSED")
    twice = await rest.post(path, json={**body, "request_id": "x"}, headers={"idempotency-key": key})
    assert twice.status_code == 400


@pytest.mark.parametrize(
    ("accept", "status"),
    [("*/*", 200), ("application/json", 200), ("text/html,*/*;q=0.8", 200), ("text/html", 406), ("image/*", 406)],
)
async def test_an_answer_is_json(rest: httpx.AsyncClient, accept: str, status: int) -> None:
    """Who takes no JSON is told so before anything is done."""
    response = await rest.post("/v1/users", json=PERSON, headers={"accept": accept})
    assert response.status_code == status
    if status == 406:
        refused(response, 406, "NOT_ACCEPTABLE")


async def accepted(rest: httpx.AsyncClient) -> str:
    """Return the correlation ID of a command that no lane applies."""
    return str((await rest.post("/v1/users", json=PERSON)).json()["correlation_id"])


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", "application/json"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("text/event-stream", "text/event-stream"),
    ],
)
async def test_a_stream_over_rest(rest: httpx.AsyncClient, accept: str, content_type: str) -> None:
    """As lines of JSON, or as events."""
    correlation_id = await accepted(rest)
    path = f"/v1/operations/{correlation_id}:watch"
    async with rest.stream("GET", path, headers={"accept": accept}) as response:
        assert response.headers["content-type"] == content_type
        assert response.headers["x-correlation-id"]
        lines = response.aiter_lines()
        first = await anext(lines)
        if content_type == "text/event-stream":
            assert first == "id: 1"
            first = (await anext(lines)).removeprefix("data: ")
        assert json.loads(first)["correlation_id"] == correlation_id


async def test_a_stream_that_cannot_begin_is_an_error(rest: httpx.AsyncClient) -> None:
    """With its HTTP status, in whatever form the stream would have had."""
    path = "/v1/operations/yesterday:watch"
    refused(await rest.get(path), 400, "INVALID_FIELD")
    refused(await rest.get(path, headers={"accept": "text/event-stream"}), 400, "INVALID_FIELD")
    unknown = await rest.get(f"/v1/operations/{new_correlation_id()}:watch")
    assert unknown.status_code in {404, 503}


@pytest.mark.parametrize("bound", ["300m", "500000u", "1S"])
async def test_a_stream_that_outlasts_its_deadline_says_so(rest: httpx.AsyncClient, bound: str) -> None:
    """In its last line, and by its broken end; or by an event."""
    path, headers = f"/v1/operations/{await accepted(rest)}:watch", {"grpc-timeout": bound}
    lines: list[str] = []

    async def read() -> None:
        async with rest.stream("GET", path, headers=headers) as response:
            async for line in response.aiter_lines():
                lines.append(line)  # noqa: PERF401 - what came before the break is looked at

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    assert Answer({}, json.loads(lines[-1])["error"]).reason == "DEADLINE_EXCEEDED"
    events = await rest.get(path, headers={**headers, "accept": "text/event-stream"})
    event, data = events.text.strip().split("\n")[-2:]
    assert event == "event: error"
    assert Answer({}, json.loads(data.removeprefix("data: "))).code == 4


async def test_a_query_that_outlasts_its_deadline_says_so(rest: httpx.AsyncClient) -> None:
    """With the status of a gateway that waited in vain; an operation is told as it stands instead."""
    correlation_id = await accepted(rest)
    for timeout in ("1n", "0S"):
        response = await rest.get(f"/v1/operations/{correlation_id}", headers={"grpc-timeout": timeout})
        refused(response, 504, "DEADLINE_EXCEEDED")
    response = await rest.post("/v1/users", json=PERSON, headers={"grpc-timeout": "1n"})
    refused(response, 504, "DEADLINE_EXCEEDED")


async def test_a_command_over_grpc_web(rest: httpx.AsyncClient, log: CommandLog) -> None:
    """Binary and text give the same."""
    for content_type in (WEB, "application/grpc-web", "Application/gRPC-Web+proto; charset=utf-8"):
        message, trailers, response = await web(rest, CREATE_USER, user(), content_type)
        operation = operations_pb2.Operation.FromString(message)
        assert (operation.state, trailers["grpc-status"]) == (operations_pb2.Operation.ACCEPTED, "0")
        assert response.headers["x-correlation-id"] == operation.correlation_id
        assert await asyncio.to_thread(log.of, operation.correlation_id)
    body = base64.b64encode(user()[:8]) + base64.b64encode(user()[8:])
    answer = await rest.post(CREATE_USER, content=body, headers={"content-type": "application/grpc-web-text"})
    assert answer.headers["content-type"] == "application/grpc-web-text"
    message, trailers = web_frames(base64.b64decode(answer.content))
    assert operations_pb2.Operation.FromString(message).state == operations_pb2.Operation.ACCEPTED


async def test_a_deadline_over_grpc_web(rest: httpx.AsyncClient) -> None:
    """However short; a stream ends with it, and says so."""
    _, trailers, _ = await web(rest, CREATE_USER, user(), **{"grpc-timeout": "1n"})
    assert trailers["grpc-status"] == "4"
    request = operations_pb2.WatchOperationRequest(correlation_id=await accepted(rest))
    body = frame(request.SerializeToString())
    for timeout in ("1000m", "1000000u", "1S"):
        message, trailers, _ = await web(rest, WATCH, body, **{"grpc-timeout": timeout})
        assert operations_pb2.Operation.FromString(message).correlation_id == request.correlation_id
        assert trailers["grpc-status"] == "4"
        assert trailers["grpc-status-details-bin"]
    waiting = operations_pb2.WaitOperationRequest(correlation_id=request.correlation_id)
    path = "/polystream.v1.OperationService/WaitOperation"
    _, trailers, _ = await web(rest, path, frame(waiting.SerializeToString()), **{"grpc-timeout": "200m"})
    assert trailers["grpc-status"] in {"0", "4"}


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        (CREATE_USER, b"", {}, "3"),
        (CREATE_USER, user()[:-1], {}, "3"),
        (CREATE_USER, user() + user(), {}, "3"),
        (CREATE_USER, frame(b"", 0x80), {}, "3"),
        (CREATE_USER, frame(b"\xff\xff\xff"), {}, "3"),
        (CREATE_USER, frame(b"", 1), {}, "12"),
        (CREATE_USER, user(), {"grpc-encoding": "gzip"}, "12"),
        (CREATE_USER, user(), {"grpc-encoding": "deflate"}, "12"),
        (CREATE_USER, user(), {"content-encoding": "gzip"}, "12"),
        (CREATE_USER, user(), {"grpc-timeout": "soon"}, "3"),
        (CREATE_USER, user(), {"grpc-timeout": "123456789S"}, "3"),
        (CREATE_USER, user(), {"grpc-timeout": "-1S"}, "3"),
        (CREATE_USER, frame(b"x" * MAX_BYTES + b"x"), {}, "3"),
        (CREATE_USER, frame(b"x" * 2_000_000), {}, "3"),
        ("/polystream.v1.UserService/Promote", user(), {}, "12"),
        ("/v1/users", user(), {}, "12"),
        ("/", user(), {}, "12"),
    ],
)
async def test_what_is_wrong_over_grpc_web_is_told(
    rest: httpx.AsyncClient, path: str, body: bytes, headers: dict[str, str], status: str
) -> None:
    """In the trailers, in the one shape, and with a code that asks for no retry."""
    _, trailers, response = await web(rest, path, body, **headers)
    assert trailers["grpc-status"] == status
    assert trailers["grpc-status-details-bin"]
    assert trailers["x-correlation-id"] == response.headers["x-correlation-id"]
    assert response.headers["grpc-accept-encoding"] == "identity"


@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto", "application/grpc+json"])
async def test_grpc_needs_http_2(rest: httpx.AsyncClient, content_type: str) -> None:
    """On an RPC's path and on REST's, with whatever in it."""
    for path in (CREATE_USER, "/v1/users"):
        response = await rest.post(path, content=b'{"name":"Ana"}', headers={"content-type": content_type})
        refused(response, 415, "UNSUPPORTED_CONTENT_TYPE")
        assert "HTTP/2" in response.json()["message"]


async def test_a_page_of_elsewhere_does_nothing(rest: httpx.AsyncClient) -> None:
    """Neither by JSON, nor by gRPC-Web, nor without a body; nor by a name that was made to point here."""
    foreign = {"origin": "https://evil.example"}
    refused(await rest.post("/v1/users", json=PERSON, headers=foreign), 403, "FOREIGN_ORIGIN")
    refused(await rest.post("/usuarios", headers=foreign), 403, "FOREIGN_ORIGIN")
    refused(await rest.delete("/v1/users/7", headers={"origin": "null"}), 403, "FOREIGN_ORIGIN")
    asked = {**foreign, "access-control-request-method": "POST"}
    refused(await rest.options("/v1/users", headers=asked), 403, "FOREIGN_ORIGIN")
    sent = await rest.post(CREATE_USER, content=user(), headers={**foreign, "content-type": WEB})
    refused(sent, 403, "FOREIGN_ORIGIN")
    for path in ("/v1/users", "/docs", "/openapi.json"):
        refused(await rest.get(path, headers={"host": "rebind.example"}), 421, "FOREIGN_HOST")


async def test_a_page_of_this_machine_may_read_the_answer(rest: httpx.AsyncClient) -> None:
    """A browser is told so, before and with the answer."""
    origin = "http://localhost:3000"
    asked = await rest.options("/v1/users", headers={"origin": origin, "access-control-request-method": "POST"})
    assert asked.status_code == 204
    assert "idempotency-key" in asked.headers["access-control-allow-headers"]
    response = await rest.post("/v1/users", json=PERSON, headers={"origin": origin})
    assert response.headers["access-control-allow-origin"] == origin
    assert "x-correlation-id" in response.headers["access-control-expose-headers"]
    assert response.headers["vary"] == "origin"


async def test_what_a_path_takes(rest: httpx.AsyncClient) -> None:
    """OPTIONS says it."""
    response = await rest.options("/v1/users")
    assert response.status_code == 204
    assert {"GET", "HEAD", "POST", "OPTIONS"} == set(response.headers["allow"].split(", "))


async def test_health_is_told(rest: httpx.AsyncClient, served: Served) -> None:
    """While the gateway serves, and not when it stops taking commands."""
    assert (await rest.get("/healthz")).status_code == 200
    served.gateway.calls.refuse_commands()
    assert (await rest.get("/healthz")).status_code == 503
    response = await rest.post("/v1/users", json=PERSON)
    refused(response, 503, "GATEWAY_DRAINING")
    assert response.headers["retry-after"] == "1"


async def test_the_documentation_is_served(rest: httpx.AsyncClient) -> None:
    """Compressed when asked for, and not again while it stays the same."""
    page = await rest.get("/", follow_redirects=True)
    assert page.url.path == "/docs"
    assert "swagger-ui" in page.text
    plain = await rest.get("/openapi.json", headers={"accept-encoding": "identity"})
    packed = await rest.get("/openapi.json", headers={"accept-encoding": "gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 5
    assert packed.json() == plain.json()
    assert packed.headers["etag"] != plain.headers["etag"]
    tag = packed.headers["etag"]
    again = await rest.get("/openapi.json", headers={"accept-encoding": "gzip", "if-none-match": f'"x", {tag}'})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_access_log_is_written_when_asked_for(to_engines: None, capfd: pytest.CaptureFixture[str]) -> None:
    """One line a request, with the path's template and no value of it."""
    del to_engines
    async with (
        serving("native", access_log=True) as started,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{started.gateway.http.port}") as rest,
    ):
        answered = await rest.get("/v1/operations/yesterday?secret=1", headers={"x-request-id": "r-1"})
        await rest.get("/healthz")
    lines: list[dict[str, Any]] = [
        json.loads(line) for line in capfd.readouterr().out.splitlines() if '"event": "request"' in line
    ]
    (line,) = lines
    assert (line["method"], line["route"], line["status"]) == ("GET", "/v1/operations/{correlation_id}", 400)
    assert line["correlation_id"] == answered.headers["x-correlation-id"]
    assert (line["request_id"], line["bytes"]) == ("r-1", len(answered.content))
    assert line["duration_ms"] > 0
    assert "secret" not in str(line)
    assert "yesterday" not in str(line)


async def test_contents_are_cached(rest: httpx.AsyncClient, log: CommandLog) -> None:
    """Maps and lists come whole."""
    body = {"title": "Cidade", "kind": "MOVIE", "genres": ["Drama"], "attributes": {"país": "Brasil"}}
    operation = (await rest.post("/v1/contents/5678", json=body)).json()
    (record,) = await asyncio.to_thread(log.of, operation["correlation_id"])
    assert record.request == contents_pb2.CacheContentRequest(
        content_id=5678,
        title="Cidade",
        kind=contents_pb2.Content.MOVIE,
        genres=["Drama"],
        attributes={"país": "Brasil"},
    )
