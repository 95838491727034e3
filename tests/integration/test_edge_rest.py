"""REST through the edge: what reaches the gateway, and how its answers reach the client."""

import json
from collections.abc import Iterator

import httpx
import pytest
from polystream.v1 import contents_pb2, recommendations_pb2, users_pb2, views_pb2

from tests.support.echo_gateway import CORRELATION_ID
from tests.support.edge import DASHBOARD_ORIGIN, Edge, error_info, retry_delay_s, running_edge, status_of, violations

# google.rpc.Code and the HTTP status that stands for it.
HTTP_STATUSES = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One edge for the module."""
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    """A REST client."""
    with httpx.Client(base_url=edge.url) as rest:
        yield rest


def test_post_without_body_is_an_empty_command(edge: Edge, client: httpx.Client) -> None:
    """A POST that says nothing reaches the gateway as an empty request."""
    response = client.post("/v1/users")
    assert response.status_code == 200
    assert response.json()["command"] == "CreateUser"
    assert edge.gateways.last_call.request == users_pb2.CreateUserRequest()


@pytest.mark.parametrize("name", ["user_id", "userId"])
def test_body_fields_in_either_spelling(edge: Edge, client: httpx.Client, name: str) -> None:
    """Fields are taken as the proto names them and in lowerCamelCase; int64 as a number or as text."""
    for value in (7, "7"):
        client.post("/v1/users", json={name: value, "name": "Ana"}).raise_for_status()
        assert edge.gateways.last_call.request == users_pb2.CreateUserRequest(user_id=7, name="Ana")


def test_query_parameters_beside_a_body(edge: Edge, client: httpx.Client) -> None:
    """Path, query and body together make the request."""
    client.post("/v1/users/7/views", params={"content_id": 9, "title": "a b&c"}, json={"kind": "SERIES"})
    expected = views_pb2.RecordViewRequest(user_id=7, content_id=9, title="a b&c", kind=contents_pb2.Content.SERIES)
    assert edge.gateways.last_call.request == expected


def test_inherited_query_parameter(edge: Edge, client: httpx.Client) -> None:
    """`conteudo_id` is `content_id` on the path that has always had it, without and with a body."""
    for body in (None, {"title": "t"}):
        client.post("/historico-visualizacao?user_id=1234&conteudo_id=5678", json=body).raise_for_status()
        call = edge.gateways.last_call
        assert call.method == "RecordView"
        assert call.request == views_pb2.RecordViewRequest(
            user_id=1234, content_id=5678, title=(body or {}).get("title")
        )


@pytest.mark.parametrize(
    ("method", "path", "rpc"),
    [
        ("POST", "/usuarios", "CreateUser"),
        ("GET", "/usuarios/1", "GetUser"),
        ("DELETE", "/v1/users/1", "DeleteUser"),
        ("PATCH", "/v1/users/1", "UpdateUser"),
        ("POST", "/usuarios/1/assinatura", "CreateSubscription"),
        ("POST", "/usuarios/1/pagamento", "CreatePayment"),
        ("POST", "/v1/users/1/payments/2:cancel", "CancelPayment"),
        ("POST", "/usuarios/1/config", "UpdatePreferences"),
        ("POST", "/historico-visualizacao?user_id=1", "RecordView"),
        ("GET", "/historico-visualizacao/1", "ListViews"),
        ("POST", "/recomendacoes/gerar", "GenerateRecommendations"),
        ("POST", "/v1/recommendations:generate", "GenerateRecommendations"),
        ("GET", "/recomendacoes/1", "GetRecommendations"),
        ("POST", "/cache/conteudo/1", "CacheContent"),
        ("GET", "/cache/conteudo/1", "GetContent"),
        ("GET", f"/status/{CORRELATION_ID}", "GetOperation"),
        ("POST", f"/v1/operations/{CORRELATION_ID}:wait", "WaitOperation"),
        ("GET", f"/v1/operations/{CORRELATION_ID}:explain", "ExplainOperation"),
        ("GET", "/health", "GetHealth"),
    ],
)
def test_every_kind_of_path(edge: Edge, client: httpx.Client, method: str, path: str, rpc: str) -> None:
    """The canonical paths and the inherited ones reach their RPC."""
    client.request(method, path).raise_for_status()
    assert edge.gateways.last_call.method == rpc


def test_answers_show_defaults_and_hide_what_is_unset(client: httpx.Client) -> None:
    """Zero, false and empty lists are shown, in snake_case; an optional field that is unset is absent."""
    operation = client.post("/v1/users/7/views", json={"kind": "MOVIE"}).json()
    assert operation["user_id"] == "7"
    assert operation["state"] == "ACCEPTED"
    assert operation["receipts"] == []
    assert operation["result"] == {
        "@type": "type.googleapis.com/polystream.v1.RecordViewRequest",
        "user_id": "7",
        "content_id": "0",
        "title": "",
        "kind": "MOVIE",
        "watched_seconds": 0,
        "position_percent": 0,
        "completed": False,
        "request_id": "",
    }
    assert "user_id" not in client.post("/v1/contents/5").json()


def test_stream_is_one_json_a_line(client: httpx.Client) -> None:
    """A watched operation arrives as newline-delimited JSON."""
    response = client.get(f"/v1/operations/{CORRELATION_ID}:watch")
    assert response.status_code == 200
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert [line["command"] for line in lines] == ["WatchOperation", "WatchOperation"]


def test_stream_that_fails(client: httpx.Client) -> None:
    """A stream that is refused at once is an error like any other; a later error only ends it, as HTTP has it."""
    path = f"/v1/operations/{CORRELATION_ID}:watch"
    refused = client.get(path, headers={"x-echo-error": "NOT_FOUND"})
    assert refused.status_code == 404
    assert error_info(status_of(refused)).reason == "ECHO_REFUSAL"
    ended = client.get(path, headers={"x-echo-late-error": "NOT_FOUND"})
    assert ended.status_code == 200
    assert len(ended.text.splitlines()) == 2


@pytest.mark.parametrize(("code", "http_status"), HTTP_STATUSES.items())
def test_gateway_errors_keep_their_details(client: httpx.Client, code: str, http_status: int) -> None:
    """An error of the gateway's becomes the HTTP status of its code, with its details as JSON."""
    response = client.post("/v1/users", headers={"x-echo-error": code})
    assert response.status_code == http_status
    status = status_of(response)
    assert error_info(status).reason == "ECHO_REFUSAL"
    assert violations(status) == {"user_id": "is not liked"}
    assert retry_delay_s(status) == 1.5
    assert response.headers["retry-after"] == "2"  # the gateway's trailing metadata


def test_gateway_error_without_details(client: httpx.Client) -> None:
    """An error that is only a code and a message is a google.rpc.Status without details."""
    response = client.get("/v1/users/1", headers={"x-echo-plain-error": "NOT_FOUND"})
    assert response.status_code == 404
    assert response.json() == {"code": 5, "message": "plain words", "details": []}


def test_response_headers(client: httpx.Client) -> None:
    """The correlation ID passes through, a request ID is given, and nothing tells what serves."""
    headers = client.post("/v1/users", headers={"x-request-id": "mine"}).headers
    assert headers["x-correlation-id"] == CORRELATION_ID
    assert headers["x-request-id"] == "mine"
    assert client.post("/v1/users").headers["x-request-id"]
    assert not {name for name in headers if name == "server" or name.startswith("x-envoy")}


def test_gateway_is_told_little_of_the_http_request(edge: Edge, client: httpx.Client) -> None:
    """No query string, which may hold personal data, comes along as metadata."""
    client.post("/v1/users?email=ana@example.com").raise_for_status()
    metadata = edge.gateways.last_call.metadata
    assert not [name for name, value in metadata.items() if "ana@example.com" in value]
    assert "x-forwarded-for" not in metadata


def test_documentation_comes_from_the_monitor(client: httpx.Client) -> None:
    """/docs, what is below it and the OpenAPI files are the monitor's; the root leads to them."""
    for path in ("/docs", "/docs/", "/docs/swagger.css", "/openapi.json", "/openapi.yaml"):
        assert client.get(path).text == f"monitor:{path}"
    root = client.get("/")
    assert root.status_code == 302
    assert root.headers["location"].endswith("/docs")


@pytest.mark.parametrize(
    "origin", [DASHBOARD_ORIGIN, "http://localhost:8089", "http://127.0.0.1:3000", "http://[::1]:1"]
)
def test_browsers_of_known_origins_may_call(client: httpx.Client, origin: str) -> None:
    """The dashboard and any page of the local host pass the preflight and may read answers and errors."""
    preflight = client.options("/v1/users", headers={"origin": origin, "access-control-request-method": "POST"})
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == origin
    assert "PATCH" in preflight.headers["access-control-allow-methods"]
    for path in ("/v1/users", "/v1/nowhere"):
        answer = client.get(path, headers={"origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        assert "x-correlation-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://localhost.evil.example", "http://evil.example", "null"])
def test_browsers_of_other_origins_may_not(client: httpx.Client, origin: str) -> None:
    """A page of any other origin gets no leave to read."""
    assert "access-control-allow-origin" not in client.get("/v1/users", headers={"origin": origin}).headers


def test_empty_body_of_any_type_is_no_body(edge: Edge, client: httpx.Client) -> None:
    """A content type without content changes nothing: it is what some clients send with an empty POST."""
    client.post("/recomendacoes/gerar", headers={"content-type": "application/x-www-form-urlencoded"}, content=b"")
    assert edge.gateways.last_call.request == recommendations_pb2.GenerateRecommendationsRequest()
