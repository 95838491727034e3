"""HTTP through the edge: it passes on what clients send and what gateways answer, and decides nothing itself."""

import gzip
import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.support.edge import Edge, error_info, running_edge, status_of


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One edge for the module."""
    with running_edge(tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture
def client(edge: Edge) -> Iterator[httpx.Client]:
    """An HTTP client."""
    with httpx.Client(base_url=edge.url) as http:
        yield http


@pytest.mark.parametrize(
    "target",
    [
        "/v1/users/7/views?content_id=9&title=a%20b%26c&bogus",
        "/v1/users/%31",
        "/v1/users/a%2Fb",
        "/v1/users/a%5cb",
        "/v1/users/..%2f1",
        "//v1//users",
        "/v1/users/../views",
        "/v1/./users",
        "/v1/users/1%3Await",
        "/v1/users/",
        "/usuarios/1;x=1",
    ],
)
def test_a_path_arrives_as_it_was_sent(edge: Edge, target: str) -> None:
    """The gateway decides on it, behind the edge as without: nothing is merged, decoded or cut."""
    answer = _send(edge, f"POST {target} HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert edge.gateways.last_http.target == target


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes(edge: Edge, client: httpx.Client, method: str) -> None:
    """So does a preflight: whose pages may read answers, the gateway says."""
    origin = {"origin": "https://a.example", "access-control-request-method": "POST"}
    answer = client.request(method, "/v1/users", headers=origin)
    assert answer.status_code == 200
    assert edge.gateways.last_http.method == method
    assert edge.gateways.last_http.headers["origin"] == "https://a.example"


def test_bodies_pass_unread(edge: Edge, client: httpx.Client) -> None:
    """JSON that is none, compressed bytes, and a body that is far larger than the edge's buffers."""
    for body, headers in (
        (b'{"user_id": 1, "user_id": 2', {"content-type": "application/json"}),
        (gzip.compress(b"{}"), {"content-encoding": "gzip"}),
        (b"x" * 1_000_000, {"content-type": "text/plain"}),
    ):
        client.post("/v1/users", content=body, headers=headers).raise_for_status()
        call = edge.gateways.last_http
        assert call.body == body
        assert headers.items() <= call.headers.items()


def test_the_host_and_the_trace_arrive_as_they_were_sent(edge: Edge, client: httpx.Client) -> None:
    """The gateway checks the first and goes on with the second: the edge has no span of its own."""
    sent = {"host": "api.example:8443", "traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "tracestate": "vendor=1"}
    client.post("/v1/users", headers={**sent, "idempotency-key": "k"}).raise_for_status()
    headers = edge.gateways.last_http.headers
    assert sent.items() <= headers.items()
    assert headers["idempotency-key"] == "k"
    client.post("/v1/users").raise_for_status()
    assert "traceparent" not in edge.gateways.last_http.headers


def test_what_the_edge_says_of_the_client_is_its_own(edge: Edge, client: httpx.Client) -> None:
    """It adds the address of the connection; Envoy's own headers are not to be had from outside."""
    client.get("/v1/users", headers={"x-forwarded-for": "1.2.3.4", "x-envoy-retry-on": "5xx"}).raise_for_status()
    headers = edge.gateways.last_http.headers
    first, *rest = headers["x-forwarded-for"].split(",")
    assert first == "1.2.3.4"
    assert len(rest) == 1
    assert "x-envoy-retry-on" not in headers


def test_response_headers(client: httpx.Client) -> None:
    """A request ID is given where there is none, and nothing tells what serves."""
    headers = client.post("/v1/users", headers={"x-request-id": "mine"}).headers
    assert headers["x-request-id"] == "mine"
    headers = client.post("/v1/users").headers
    assert headers["x-request-id"]
    assert not {name for name in headers if name == "server" or name.startswith("x-envoy")}


@pytest.mark.parametrize(
    "content_type", ["application/grpc-web+proto", "application/grpc-web-text", "application/grpcx"]
)
def test_only_grpc_is_grpc(edge: Edge, client: httpx.Client, content_type: str) -> None:
    """gRPC-Web, and what only looks like gRPC, is for the gateway's HTTP door."""
    client.post("/polystream.v1.UserService/CreateUser", headers={"content-type": content_type}).raise_for_status()
    assert edge.gateways.last_http.headers["content-type"] == content_type


def test_grpc_over_http_1_is_for_the_http_door(edge: Edge, client: httpx.Client) -> None:
    """It has no trailers there: the gateway says so, with or without an edge before it."""
    client.post("/v1/users", headers={"content-type": "application/grpc"}, content=b"{}").raise_for_status()
    assert edge.gateways.last_http.headers["content-type"] == "application/grpc"


@pytest.mark.parametrize("protocol", ["websocket", "h2c", "TLS/1.2", "no-such-protocol"])
def test_an_upgrade_is_not_taken(edge: Edge, client: httpx.Client, protocol: str) -> None:
    """The request is answered as it stands, as by a gateway (RFC 9110, section 7.8)."""
    offer = {"connection": "upgrade", "upgrade": protocol, "sec-websocket-version": "13"}
    assert client.get("/v1/users", headers=offer).status_code == 200
    assert "upgrade" not in edge.gateways.last_http.headers


def test_http_1_0(edge: Edge) -> None:
    """An old client is answered, and its connection closed."""
    answer = _send(edge, "GET /v1/users HTTP/1.0\r\n\r\n")
    assert b" 200 OK\r\n" in answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["target"] == "/v1/users"


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET /v1/users HTTP/1.1\r\nHost: here\r\nuser_id: 1\r\n", 400),
        ("GET /v1/users HTTP/1.1\r\n", 400),
        ("OPTIONS * HTTP/1.1\r\nHost: here\r\n", 400),
        ("GET /v1/users HTTP/1.1\r\nHost: here\r\nx: \0\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n", 400),
        (f"GET /v1/users HTTP/1.1\r\nHost: here\r\nx: {'y' * 40_000}\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_in_the_one_error_shape(edge: Edge, request_head: str, status: int) -> None:
    """A name with an underscore, no host, a control character, two lengths, too much: no gateway sees any of it."""
    before = len(edge.gateways.http[0].calls)
    head, _, body = _send(edge, f"{request_head}\r\n").partition(b"\r\n\r\n")
    assert int(head.split(b" ")[1]) == status
    error = status_of(httpx.Response(status, headers={"content-type": "application/json"}, content=body))
    assert error_info(error).reason == ("HEADERS_TOO_LARGE" if status == 431 else "MALFORMED_REQUEST")
    assert len(edge.gateways.http[0].calls) == before


def _send(edge: Edge, request: str) -> bytes:
    """Send bytes, and return all that comes back."""
    with socket.create_connection((edge.config.listen.host, edge.config.listen.port), timeout=10) as connection:
        connection.sendall(request.encode("latin-1"))
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
            if _is_whole(answer):
                break
    return answer


def _is_whole(answer: bytes) -> bool:
    head, separator, body = answer.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().splitlines() if line.startswith(b"content-length:")]
    return bool(separator and lengths and len(body) >= int(lengths[0]))
