"""What the edge itself refuses: every refusal has the platform's shape, a reason, and a remedy."""

from collections.abc import Iterator

import httpx
import pytest
from google.rpc import code_pb2

from tests.support.edge import Edge, error_info, running_edge, status_of, violations

MAX_BODY_BYTES = 64 * 1024


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


def _assert_refused(response: httpx.Response, http_status: int, code: int, reason: str) -> dict[str, str]:
    assert response.status_code == http_status
    status = status_of(response)
    assert status.code == code
    assert status.message
    assert error_info(status).reason == reason
    return violations(status)


@pytest.mark.parametrize(
    ("path", "body", "field", "expectation"),
    [
        ("/v1/users", {"user_id": "abc"}, "user_id", "whole number"),
        ("/v1/users", {"user_id": 1.5}, "user_id", "whole number"),
        ("/v1/users", {"user_id": 2**64}, "user_id", "64 bits"),
        ("/v1/users", {"user_id": True}, "user_id", "whole number"),
        ("/v1/users", {"cpf": 52998224725}, "cpf", "text"),
        ("/v1/users", {"name": {"first": "Ana"}}, "name", "single value"),
        ("/v1/users/7/views", {"kind": "FILM"}, "kind", "one of MOVIE, SERIES, DOCUMENTARY"),
        ("/v1/users/7/views", {"watched_seconds": 2**31}, "watched_seconds", "2147483647"),
        ("/v1/users/7/views", {"position_percent": "much"}, "position_percent", "number"),
        ("/v1/users/7/views", {"completed": "perhaps"}, "completed", "true or false"),
        ("/v1/users/7/views", {"watch_time": "yesterday"}, "watch_time", "RFC 3339"),
        ("/v1/users/7/views", {"user_id": 8}, "user_id", "path"),
        ("/v1/users/7/payments", {"amount": {"units": "many"}}, "amount.units", "whole number"),
        ("/v1/users/7/payments", {"amount": 10}, "amount", "object"),
        ("/v1/users/7/payments", {"amount": {"units": {"a": 1}}}, "amount.units", "single value"),
        ("/v1/contents/1", {"genres": ["drama", 7]}, "genres", "text"),
        ("/v1/contents/1", {"attributes": {"year": 1999}}, "attributes", "text"),
        ("/v1/operations/x:wait", {"timeout": "soon"}, "timeout", "1.5s"),
    ],
)
def test_wrong_type_names_the_field(
    client: httpx.Client, path: str, body: dict[str, object], field: str, expectation: str
) -> None:
    """A value of the wrong type is refused with the field's path and what belongs there."""
    found = _assert_refused(client.post(path, json=body), 400, code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(found) == [field]
    assert expectation in found[field]


def test_list_for_a_single_value(client: httpx.Client) -> None:
    """A list where one value belongs is refused; the transcoder does not tell which field it is."""
    response = client.post("/v1/users", json={"name": ["Ana"]})
    _assert_refused(response, 400, code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")
    assert "list" in response.json()["message"]


@pytest.mark.parametrize("body", [{"cpf": 52998224725}, {"name": {"Ana": 1}}, {"user_id": "ana@example.com"}])
def test_refusals_repeat_no_value(client: httpx.Client, body: dict[str, object]) -> None:
    """What a client sent, which may be personal, is not in the error."""
    text = client.post("/v1/users", json=body).text
    assert "52998224725" not in text
    assert "Ana" not in text
    assert "ana@example.com" not in text


def test_wrong_type_in_path_and_query(client: httpx.Client) -> None:
    """A path variable or query parameter of the wrong type is named like a field."""
    found = _assert_refused(client.get("/v1/users/abc"), 400, code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(found) == ["user_id"]
    found = _assert_refused(client.get("/v1/users?page_size=x"), 400, code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(found) == ["page_size"]
    response = client.post("/historico-visualizacao?user_id=1&conteudo_id=x")
    assert list(_assert_refused(response, 400, code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")) == ["content_id"]


@pytest.mark.parametrize("path", ["/v1/users/0/recommendations", "/v1/users/-00/recommendations:generate?max_items=1"])
def test_a_path_without_an_identifier(client: httpx.Client, path: str) -> None:
    """An identifier of 0 is none, and is not mistaken for a command that leaves it to demo data."""
    response = client.post(path)
    assert list(_assert_refused(response, 400, code_pb2.INVALID_ARGUMENT, "INVALID_FIELD")) == ["user_id"]


@pytest.mark.parametrize("query", ["=1", "page_size=1&=x"])
def test_query_parameter_without_a_name(client: httpx.Client, query: str) -> None:
    """A value that no parameter has is refused."""
    _assert_refused(client.get(f"/v1/users?{query}"), 400, code_pb2.INVALID_ARGUMENT, "UNKNOWN_QUERY_PARAMETER")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_query_parameter(client: httpx.Client, method: str) -> None:
    """A query parameter that the method does not have is refused by its name."""
    response = client.request(method, "/v1/users?pagesize=1")
    found = _assert_refused(response, 400, code_pb2.INVALID_ARGUMENT, "UNKNOWN_QUERY_PARAMETER")
    assert list(found) == ["pagesize"]


def test_inherited_parameter_only_on_its_path(client: httpx.Client) -> None:
    """`conteudo_id` is unknown elsewhere."""
    response = client.post("/v1/views?user_id=1&conteudo_id=2")
    _assert_refused(response, 400, code_pb2.INVALID_ARGUMENT, "UNKNOWN_QUERY_PARAMETER")


@pytest.mark.parametrize("path", ["/v1/user", "/v1/users/1/2/3/4", "/docsx", "/v2/users", "/usuarios/1/nada"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_unknown_path(client: httpx.Client, method: str, path: str) -> None:
    """A path that does not exist is NOT_FOUND and points to the documentation."""
    response = client.request(method, path)
    _assert_refused(response, 404, code_pb2.NOT_FOUND, "UNKNOWN_PATH")
    assert "/docs" in response.json()["message"]
    assert not [name for name in response.headers if name.startswith("x-edge")]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/users/7", {"GET", "PATCH", "DELETE"}),
        ("DELETE", "/v1/users?page_size=1", {"GET", "POST"}),
        ("POST", "/health", {"GET"}),
        ("GET", "/v1/operations/x:wait", {"POST"}),
        ("OPTIONS", "/v1/users", {"GET", "POST"}),
        ("GET", "/recomendacoes/gerar", {"POST"}),
        ("DELETE", "/recomendacoes/gerar?x=1", {"POST"}),
    ],
)
def test_wrong_method(client: httpx.Client, method: str, path: str, allowed: set[str]) -> None:
    """A known path with another method is 405, with the methods that it takes."""
    response = client.request(method, path)
    _assert_refused(response, 405, code_pb2.UNIMPLEMENTED, "METHOD_NOT_ALLOWED")
    assert set(response.headers["allow"].split(", ")) == allowed


def test_head_is_refused_without_a_body(client: httpx.Client) -> None:
    """HEAD is no method of the API."""
    response = client.head("/v1/users")
    assert response.status_code == 405
    assert response.content == b""


@pytest.mark.parametrize("chunked", [False, True])
def test_oversized_body(client: httpx.Client, chunked: bool) -> None:
    """A body over the limit is refused whether or not its length is announced; one at the limit is not."""
    filler = {"name": "a" * MAX_BODY_BYTES}
    content = httpx.Request("POST", "http://edge", json=filler).content
    headers = {"content-type": "application/json"}
    sent = iter([content]) if chunked else content
    response = client.post("/v1/users", content=sent, headers=headers)
    _assert_refused(response, 413, code_pb2.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")
    fitting = content.replace(b"a" * (len(content) - MAX_BODY_BYTES), b"", 1)
    assert len(fitting) == MAX_BODY_BYTES
    assert client.post("/v1/users", content=fitting, headers=headers).status_code == 200


def test_far_oversized_body(client: httpx.Client) -> None:
    """A body that is larger than anything the edge would buffer is refused the same way."""
    chunks = (b"x" * 65536 for _ in range(160))
    response = client.post("/v1/users", content=chunks, headers={"content-type": "application/json"})
    _assert_refused(response, 413, code_pb2.INVALID_ARGUMENT, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/jsonp"])
def test_unsupported_content_type(client: httpx.Client, content_type: str) -> None:
    """A body that does not claim to be JSON is refused, and the message tells which header to send."""
    response = client.post("/v1/users", content=b'{"name":"a"}', headers={"content-type": content_type})
    _assert_refused(response, 415, code_pb2.INVALID_ARGUMENT, "UNSUPPORTED_CONTENT_TYPE")
    assert "content-type: application/json" in response.json()["message"]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=utf-8", "Application/JSON", "application/a+json", None]
)
def test_json_content_types(client: httpx.Client, content_type: str | None) -> None:
    """JSON is taken under each of its names, and without one."""
    headers = {} if content_type is None else {"content-type": content_type}
    response = client.post("/v1/users", content=b'{"name":"a"}', headers=headers)
    assert response.status_code == 200


def test_oversized_headers(client: httpx.Client) -> None:
    """Headers beyond the limit are refused."""
    response = client.get("/v1/users", headers={"x-long": "a" * 40_000})
    _assert_refused(response, 431, code_pb2.INVALID_ARGUMENT, "HEADERS_TOO_LARGE")


def test_path_that_is_none(client: httpx.Client) -> None:
    """A path with a NUL is no path."""
    _assert_refused(client.get("/v1/users/%00"), 400, code_pb2.INVALID_ARGUMENT, "MALFORMED_REQUEST")


def test_json_to_a_grpc_path(client: httpx.Client) -> None:
    """An RPC's own path is not for JSON."""
    response = client.post("/polystream.v1.UserService/CreateUser", json={"name": "a"})
    _assert_refused(response, 404, code_pb2.NOT_FOUND, "UNKNOWN_PATH")
