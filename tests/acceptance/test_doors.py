"""gRPC, gRPC-Web and REST are one API: the same results, the same errors."""

import subprocess
from collections.abc import Callable

import grpc
import httpx
import pytest
from google.protobuf.message import Message
from polystream.v1 import contents_pb2, operations_pb2, users_pb2, views_pb2

from tests.acceptance.conftest import Finished
from tests.support.doors import Answer, call_grpc, call_grpc_web, call_rest
from tests.support.people import person
from tests.support.tools import go_tool

pytestmark = pytest.mark.every_door

Call = Callable[[str, Message, str, str, dict[str, object] | None, type[Message]], Answer]
USERS = "polystream.v1.UserService"


@pytest.fixture(params=["grpc", "grpc-web", "rest", "grpc-port"])
def ask(
    request: pytest.FixtureRequest,
    door_url: str,
    rest: httpx.Client,
    channel: grpc.Channel,
    gateway_channel: grpc.Channel,
) -> Call:
    """Return a function that calls by one protocol; each is given the request in both its forms."""

    def call(
        method: str, message: Message, verb: str, path: str, body: dict[str, object] | None, answer: type[Message]
    ) -> Answer:
        if request.param == "rest":
            return call_rest(rest, verb, path, json=body) if body is not None else call_rest(rest, verb, path)
        if request.param == "grpc-web":
            return call_grpc_web(door_url, method, message, answer)
        return call_grpc(channel if request.param == "grpc" else gateway_channel, method, message, answer)

    return call


def test_a_command_and_its_query_agree(ask: Call, finished: Finished) -> None:
    """A user created through a door is read back through it as it was sent."""
    someone = person()
    created = ask(
        f"{USERS}/CreateUser",
        users_pb2.CreateUserRequest(**someone),
        "POST",
        "/v1/users",
        dict(someone),
        operations_pb2.Operation,
    )
    assert created.body["state"] == "ACCEPTED", created
    user_id = created.body["user_id"]
    operation = finished(created.body["correlation_id"])
    assert operation["state"] == "SUCCEEDED"
    assert operation["result"]["user_id"] == user_id
    assert not {"name", "email", "cpf"} & {key for key, value in operation["result"].items() if value}
    user = ask(
        f"{USERS}/GetUser",
        users_pb2.GetUserRequest(user_id=int(user_id)),
        "GET",
        f"/v1/users/{user_id}",
        None,
        users_pb2.User,
    )
    assert {key: user.body[key] for key in someone} == someone


def test_an_invalid_request_gets_the_same_details(ask: Call) -> None:
    """Every violation is named by its field, with its rule."""
    answer = ask(
        f"{USERS}/CreateUser",
        users_pb2.CreateUserRequest(name="A", email="nobody", cpf="12345678900"),
        "POST",
        "/v1/users",
        {"name": "A", "email": "nobody", "cpf": "12345678900"},
        operations_pb2.Operation,
    )
    assert (answer.code, answer.reason) == (3, "INVALID_FIELD")
    assert sorted(answer.fields) == ["cpf", "email"]
    assert "nobody" not in str(answer.error)


def test_what_does_not_exist_gets_the_same_details(ask: Call) -> None:
    """A query for an unknown user names the field and the remedy."""
    answer = ask(
        f"{USERS}/GetUser",
        users_pb2.GetUserRequest(user_id=999_999_999),
        "GET",
        "/v1/users/999999999",
        None,
        users_pb2.User,
    )
    assert (answer.code, answer.reason, answer.fields) == (5, "USER_NOT_FOUND", ["user_id"])


def test_a_refusal_says_why(ask: Call, finished: Finished) -> None:
    """A command about a user who does not exist is acknowledged, and its operation fails with the reason."""
    answer = ask(
        "polystream.v1.ViewService/RecordView",
        views_pb2.RecordViewRequest(user_id=999_999_999, content_id=1, title="t", kind=contents_pb2.Content.MOVIE),
        "POST",
        "/v1/users/999999999/views",
        {"content_id": 1, "title": "t", "kind": "MOVIE"},
        operations_pb2.Operation,
    )
    operation = finished(answer.body["correlation_id"])
    assert operation["state"] == "FAILED"
    refused = Answer({}, operation["error"])
    assert (refused.code, refused.reason, refused.fields) == (5, "USER_NOT_FOUND", ["user_id"])


def test_grpcurl_lists_describes_and_calls(door_url: str) -> None:
    """Reflection is answered, so that grpcurl needs no proto."""
    grpcurl = go_tool("grpcurl")
    address = httpx.URL(door_url).netloc.decode()

    def run(*arguments: str) -> str:
        finished = subprocess.run(
            [grpcurl, "-plaintext", *arguments], capture_output=True, text=True, timeout=30, check=False
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    listed = run(address, "list").split()
    assert {USERS, "polystream.v1.OperationService", "google.longrunning.Operations", "grpc.health.v1.Health"} <= {
        *listed
    }
    assert "rpc CreateUser" in run(address, "describe", USERS)
    assert '"state": "ACCEPTED"' in run(
        "-d",
        '{"content_id": 1001, "title": "Cidade", "kind": "MOVIE"}',
        address,
        "polystream.v1.ContentService/CacheContent",
    )
