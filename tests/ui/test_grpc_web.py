"""A page in a browser calls the platform by gRPC-Web."""

import struct
from typing import Any, Final

import pytest
from google.protobuf.message import Message
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, Route
from polystream.v1 import contents_pb2, operations_pb2, users_pb2

from tests.support.doors import web_frames
from tests.support.platform import Platform

# What a gRPC-Web client does, without the client: a frame out, frames in.
_CALL: Final = """
async ([url, bytes]) => {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1", "x-user-agent": "test" },
    body: new Uint8Array(bytes),
  });
  return {
    bytes: Array.from(new Uint8Array(await response.arrayBuffer())),
    headers: Object.fromEntries(response.headers),
    status: response.status,
  };
}
"""


def _open(page: Page, origin: str) -> None:
    """Show an empty page that comes from an origin, whoever that is."""

    def answer(route: Route) -> None:
        route.fulfill(content_type="text/html", body="<!doctype html><title>A page</title>")

    page.route(f"{origin}/**", answer)
    # Such a page comes from no address of this machine, and a person would be asked whether it may call one.
    page.context.grant_permissions(["local-network-access"])
    page.goto(f"{origin}/")


def _call(page: Page, platform: Platform, method: str, request: Message) -> dict[str, Any]:
    payload = request.SerializeToString()
    framed = b"\0" + struct.pack(">I", len(payload)) + payload
    answer: dict[str, Any] = page.evaluate(_CALL, [f"{platform.endpoints['rest']}/{method}", list(framed)])
    return answer


@pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:8089"])
def test_page_sends_a_command_and_follows_it(page: Page, platform: Platform, origin: str) -> None:
    """From another origin on this machine, the answer and its correlation ID can be read."""
    _open(page, origin)
    request = contents_pb2.CacheContentRequest(content_id=5678, title="Cidade", kind=contents_pb2.Content.MOVIE)
    answer = _call(page, platform, "polystream.v1.ContentService/CacheContent", request)
    assert answer["status"] == 200
    message, trailers = web_frames(bytes(answer["bytes"]))
    operation = operations_pb2.Operation.FromString(message)
    assert operation.state == operations_pb2.Operation.ACCEPTED
    assert trailers["grpc-status"] == "0"
    assert answer["headers"]["x-correlation-id"] == operation.correlation_id
    waiting = operations_pb2.WaitOperationRequest(correlation_id=operation.correlation_id)
    answer = _call(page, platform, "polystream.v1.OperationService/WaitOperation", waiting)
    done = operations_pb2.Operation.FromString(web_frames(bytes(answer["bytes"]))[0])
    assert done.state == operations_pb2.Operation.SUCCEEDED


def test_page_reads_what_went_wrong(page: Page, platform: Platform) -> None:
    """An error's code, message and details can be read by a page of another origin."""
    _open(page, "http://localhost:3000")
    answer = _call(page, platform, "polystream.v1.UserService/GetUser", users_pb2.GetUserRequest(user_id=999_999_999))
    told = {**answer["headers"], **web_frames(bytes(answer["bytes"]))[1]}
    assert told["grpc-status"] == "5"
    assert told["grpc-message"]
    assert told["grpc-status-details-bin"]


def test_page_of_a_stranger_may_not_call(page: Page, platform: Platform) -> None:
    """The browser keeps the answer from a page whose origin the gateway does not know."""
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    _open(page, "https://elsewhere.example")
    with pytest.raises(BrowserError, match="Failed to fetch"):
        _call(page, platform, "polystream.v1.ContentService/CacheContent", contents_pb2.CacheContentRequest())
    assert any("No 'Access-Control-Allow-Origin' header" in text for text in told), told


# What a browser lets a page send anywhere without asking first.
_BLIND_CALL: Final = """
([url, body, type]) => fetch(url, {
  method: "POST", mode: "no-cors", body: body === null ? undefined : new Blob([body], { type }),
}).then(() => "sent")
"""


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("/usuarios", None, ""),
        ("/v1/users", '{"name": "Ana", "email": "ana@example.com", "cpf": "52998224725"}', ""),
        ("/v1/users", '{"name": "Ana", "email": "ana@example.com", "cpf": "52998224725"}', "text/plain"),
        ("/polystream.v1.ContentService/CacheContent", "\0\0\0\0\0", "text/plain"),
    ],
)
def test_page_of_a_stranger_does_nothing_blindly(
    page: Page, platform: Platform, path: str, body: str | None, content_type: str
) -> None:
    """What it may send without asking, and could not read the answer of, is refused."""
    _open(page, "https://elsewhere.example")
    with page.expect_response(f"**{path}") as answered:
        page.evaluate(_BLIND_CALL, [f"{platform.endpoints['rest']}{path}", body, content_type])
    assert answered.value.status == 403
