"""Every bad input gets a structured error, or a failed operation that says why; the platform stays up."""

from typing import Any

import grpc
import httpx
import pytest
from polystream.v1 import contents_pb2, operations_pb2, users_pb2

from mesh.ids import new_correlation_id
from tests.acceptance.conftest import Finished
from tests.support.doors import Answer, call_grpc, call_rest
from tests.support.people import cpf, person
from tests.support.waiting import eventually

pytestmark = pytest.mark.every_door

GOOD = {"name": "Ana", "email": "ana.bad.input@example.com", "cpf": "39053344705"}
JSON = {"content-type": "application/json"}
# Of an operation that never was. Tests have the same names in every process that collects them.
_NOBODYS = "01a20000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("verb", "path", "arguments", "status", "reason", "fields"),
    [
        ("POST", "/v1/users", {"content": b'{"name": ', "headers": JSON}, 400, "MALFORMED_REQUEST", []),
        ("POST", "/v1/users", {"json": {**GOOD, "nmae": "x"}}, 400, "UNKNOWN_FIELD", ["nmae"]),
        (
            "POST",
            "/v1/users/1234/payments",
            {"json": {"amount": {"currency_code": "BRL", "unit": "5"}, "method": "PIX"}},
            400,
            "UNKNOWN_FIELD",
            ["amount.unit"],
        ),
        ("POST", "/v1/users/1234/views", {"json": {"content_id": "many"}}, 400, "INVALID_FIELD", ["content_id"]),
        ("POST", "/v1/users/1234/views", {"json": {"content_id": [1]}}, 400, "INVALID_FIELD", ["content_id"]),
        (
            "POST",
            "/v1/users/1234/views",
            {"json": {"content_id": 1, "title": "t", "kind": "MOVIE", "position_percent": 101}},
            400,
            "INVALID_FIELD",
            ["position_percent"],
        ),
        ("POST", "/v1/users/1234/views", {"json": {"content_id": 1, "kind": "OPERA"}}, 400, "INVALID_FIELD", ["kind"]),
        ("POST", "/v1/users", {"json": {**GOOD, "email": "ana"}}, 400, "INVALID_FIELD", ["email"]),
        ("POST", "/v1/users", {"json": {**GOOD, "cpf": "11111111111"}}, 400, "INVALID_FIELD", ["cpf"]),
        ("POST", "/v1/users", {"json": {**GOOD, "name": "x" * 100_000}}, 413, "REQUEST_TOO_LARGE", []),
        ("GET", "/nowhere", {}, 404, "UNKNOWN_PATH", []),
        ("GET", "/v1/users/abc", {}, 400, "INVALID_FIELD", ["user_id"]),
        ("GET", "/v1/users?page=2", {}, 400, "UNKNOWN_FIELD", ["page"]),
        ("GET", "/v1/users?page_token=xyz", {}, 400, "INVALID_PAGE_TOKEN", ["page_token"]),
        ("GET", "/v1/users?page_size=5000", {}, 400, "INVALID_FIELD", ["page_size"]),
        ("GET", f"/status/{_NOBODYS}", {}, 404, "OPERATION_NOT_FOUND", ["correlation_id"]),
        ("GET", "/status/yesterday", {}, 400, "INVALID_FIELD", ["correlation_id"]),
    ],
)
def test_over_rest(
    rest: httpx.Client,
    verb: str,
    path: str,
    arguments: dict[str, Any],
    status: int,
    reason: str,
    fields: list[str],
) -> None:
    """The status, the reason and the fields at fault."""
    response = rest.request(verb, path, **arguments)
    assert response.headers["content-type"].startswith("application/json")
    answer = Answer({}, response.json())
    assert (response.status_code, answer.reason) == (status, reason), response.text
    assert answer.fields == fields
    assert answer.error is not None
    assert answer.error["message"]
    eventually(lambda: rest.get("/health").json()["status"] == "HEALTHY", 30)


def test_a_wrong_method_over_rest(rest: httpx.Client) -> None:
    """It is said that the method is what is wrong."""
    response = rest.put("/v1/users", json=GOOD)
    assert response.status_code == 405
    assert Answer({}, response.json()).reason == "METHOD_NOT_ALLOWED"


def test_an_unknown_method_over_grpc(channel: grpc.Channel) -> None:
    """UNIMPLEMENTED, as gRPC has it."""
    answer = call_grpc(
        channel,
        "polystream.v1.UserService/Promote",
        users_pb2.GetUserRequest(user_id=1),
        users_pb2.User,
    )
    assert answer.code == 12


def test_an_unknown_correlation_id_over_grpc(channel: grpc.Channel) -> None:
    """NOT_FOUND with the field."""
    answer = call_grpc(
        channel,
        "polystream.v1.OperationService/GetOperation",
        operations_pb2.GetOperationRequest(correlation_id=new_correlation_id()),
        operations_pb2.Operation,
    )
    assert (answer.code, answer.reason, answer.fields) == (5, "OPERATION_NOT_FOUND", ["correlation_id"])


def test_an_oversized_request_over_grpc(channel: grpc.Channel) -> None:
    """It is refused with a status that says so, and the next request works."""
    huge = contents_pb2.CacheContentRequest(content_id=1, title="x" * 200_000)
    answer = call_grpc(channel, "polystream.v1.ContentService/CacheContent", huge, operations_pb2.Operation)
    assert answer.code in {3, 8}, answer
    small = contents_pb2.CacheContentRequest(content_id=1, title="x", kind=contents_pb2.Content.MOVIE)
    assert call_grpc(channel, "polystream.v1.ContentService/CacheContent", small, operations_pb2.Operation).code == 0


def test_an_expired_deadline_over_grpc(channel: grpc.Channel) -> None:
    """DEADLINE_EXCEEDED."""
    answer = call_grpc(
        channel,
        "polystream.v1.OperationService/GetOperation",
        operations_pb2.GetOperationRequest(correlation_id=new_correlation_id()),
        operations_pb2.Operation,
        timeout_s=0.000001,
    )
    assert answer.code == 4


@pytest.mark.parametrize(("taken", "reason"), [("email", "EMAIL_ALREADY_EXISTS"), ("cpf", "CPF_ALREADY_EXISTS")])
def test_a_duplicate_is_refused(rest: httpx.Client, finished: Finished, taken: str, reason: str) -> None:
    """An e-mail address or a CPF that somebody has fails the operation, and says which."""
    first = person()
    assert finished(rest.post("/v1/users", json=first).json()["correlation_id"])["state"] == "SUCCEEDED"
    second = {**person(), taken: first[taken]}
    operation = finished(rest.post("/v1/users", json=second).json()["correlation_id"])
    assert operation["state"] == "FAILED"
    refused = Answer({}, operation["error"])
    assert (refused.code, refused.reason, refused.fields) == (6, reason, [taken])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/users/999999999/subscriptions", {"plan": "BASIC"}),
        ("/v1/users/999999999/views", {"content_id": 1, "title": "t", "kind": "MOVIE"}),
        ("/v1/sessions", {"user_id": 999999999, "device": "TV"}),
    ],
)
def test_an_unknown_user_is_refused_by_every_store(
    rest: httpx.Client, finished: Finished, path: str, body: dict[str, Any]
) -> None:
    """The operation fails with USER_NOT_FOUND, whichever lane applies it."""
    operation = finished(call_rest(rest, "POST", path, json=body).body["correlation_id"])
    assert (operation["state"], Answer({}, operation["error"]).reason) == ("FAILED", "USER_NOT_FOUND")


@pytest.mark.parametrize("path", ["/v1/users", "/usuarios"])
def test_a_command_that_sets_a_field_is_held_to_its_rules(rest: httpx.Client, path: str) -> None:
    """Demo data fills only what says nothing: a name alone is not enough for a user, and an empty one is a name."""
    answer = call_rest(rest, "POST", path, json={"name": "Ana", "cpf": cpf()})
    assert (answer.code, answer.reason, answer.fields) == (3, "INVALID_FIELD", ["email"])
    answer = call_rest(rest, "POST", path, json={"name": ""})
    assert (answer.code, answer.reason) == (3, "INVALID_FIELD")
    assert set(answer.fields) == {"name", "email", "cpf"}


@pytest.mark.parametrize("arguments", [{}, {"json": {}}, {"json": {"request_id": "silent"}}])
@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("POST", "/v1/users", ["name", "email", "cpf"]),
        ("POST", "/v1/users/1234/subscriptions", ["plan"]),
        ("POST", "/v1/users/1234/payments", ["amount", "method"]),
        ("POST", "/v1/users/1234/views", ["content_id", "title", "kind"]),
        ("POST", "/v1/contents/77", ["title", "kind"]),
        ("POST", "/v1/sessions", ["user_id", "device"]),
        ("POST", "/v1/recommendations:generate", ["user_id"]),
        ("POST", "/v1/users/1234/preferences", [""]),
        ("PATCH", "/v1/users/1234/preferences", [""]),
        ("PATCH", "/v1/users/1234", [""]),
        ("PATCH", f"/v1/sessions/{_NOBODYS}", ["ttl_seconds"]),
    ],
)
def test_a_command_that_says_nothing_does_nothing(
    rest: httpx.Client, method: str, path: str, fields: list[str], arguments: dict[str, Any]
) -> None:
    """Below `/v1` nothing is made up: an update of nothing changed a name, and a subscription was bought."""
    answer = call_rest(rest, method, path, **arguments)
    assert (answer.code, answer.reason) == (3, "EMPTY_COMMAND")
    assert set(answer.fields) == set(fields)


@pytest.mark.parametrize(
    ("path", "body", "rule"),
    [
        ("/v1/users/1234", {}, "update_user.nothing"),
        ("/v1/users/1234", {"name": None}, "update_user.nothing"),
        ("/v1/users/1234", {"name": None, "email": None}, "update_user.nothing"),
        ("/v1/users/1234/preferences", {}, "update_preferences.nothing"),
        ("/v1/users/1234/preferences", {"language": None, "theme": None}, "update_preferences.nothing"),
        (f"/v1/sessions/{_NOBODYS}", {"ttl_seconds": None}, "int32.gt_lte"),
    ],
)
def test_an_update_of_nothing_names_its_rule(rest: httpx.Client, path: str, body: dict[str, Any], rule: str) -> None:
    """So that a program can tell. Null is unset."""
    answer = rest.patch(path, json=body)
    assert answer.status_code == 400
    assert f'"reason":"{rule}"' in answer.text.replace(" ", "")


def test_an_earlier_path_takes_null_as_unset(rest: httpx.Client) -> None:
    """A call that gives every field the value null says nothing, and is filled."""
    answer = call_rest(rest, "POST", "/usuarios", json={"name": None, "email": None, "cpf": None})
    assert answer.body["command"] == "CreateUser"
