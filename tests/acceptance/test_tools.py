"""Standard tools, as they come, work with the platform: probes, reflection, gRPC-Web, long-running operations."""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from google.api_core import operation as lro
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.api_core.operations_v1 import OperationsClient
from polystream.v1 import contents_pb2, contents_pb2_grpc, users_pb2, users_pb2_grpc, views_pb2, views_pb2_grpc

from tests.support.people import person
from tests.support.platform import Platform
from tests.support.tools import go_tool
from tests.support.waiting import eventually

_TOOL_TIMEOUT_S = 30
_RESULT_TIMEOUT_S = 30
_NEWEST = 120  # operations: three pages of the event log
_BUILD_TIMEOUT_S = 600  # of a test that may have to build its tool first
_BUF = Path(sys.executable).with_name("buf")


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=_TOOL_TIMEOUT_S, check=False)


def _address(platform: Platform, at: str) -> str:
    """Return where gRPC is taken: at the gateway's port for every client, at the edge's, or at that for gRPC alone."""
    if at == "grpc":
        return str(platform.endpoints["grpc"])
    return httpx.URL(platform.door(at)).netloc.decode()


@pytest.mark.timeout(_BUILD_TIMEOUT_S)
@pytest.mark.parametrize("at", ["gateway", "edge", "grpc"])
@pytest.mark.parametrize("service", ["", "polystream.v1.UserService", "google.longrunning.Operations"])
def test_grpc_health_probe_says_serving(platform: Platform, at: str, service: str) -> None:
    """The probe that Kubernetes and others run succeeds, for the whole and for a service."""
    probed = _run(go_tool("grpc-health-probe"), f"-addr={_address(platform, at)}", f"-service={service}")
    assert probed.returncode == 0, probed.stderr
    assert "status: SERVING" in probed.stdout + probed.stderr


@pytest.mark.timeout(_BUILD_TIMEOUT_S)
def test_grpc_health_probe_fails_for_what_is_not_there(platform: Platform) -> None:
    """A service that does not exist is not healthy."""
    probed = _run(go_tool("grpc-health-probe"), f"-addr={_address(platform, 'gateway')}", "-service=no.such.Service")
    assert probed.returncode != 0


@pytest.mark.parametrize("at", ["gateway", "edge", "grpc"])
@pytest.mark.parametrize("reflection", ["grpc-v1", "grpc-v1alpha"])
def test_buf_curl_calls_by_reflection(platform: Platform, at: str, reflection: str) -> None:
    """`buf curl` needs no proto, in either version of reflection."""
    called = _run(
        *(_BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect-protocol", reflection),
        *("-d", '{"content_id": "5678", "title": "Cidade", "kind": "MOVIE"}'),
        f"http://{_address(platform, at)}/polystream.v1.ContentService/CacheContent",
    )
    assert called.returncode == 0, called.stderr
    answer: dict[str, Any] = json.loads(called.stdout)
    assert (answer["command"], answer["state"]) == ("CacheContent", "ACCEPTED")


def test_buf_curl_lists_every_service(platform: Platform) -> None:
    """Reflection names itself in both versions, the platform's services and the standard ones."""
    listed = _run(_BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--list-services", _url(platform))
    assert {
        "google.longrunning.Operations",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "polystream.v1.UserService",
    } <= set(listed.stdout.split())


@pytest.mark.every_door
def test_buf_curl_calls_by_grpc_web(door_url: str, repository: Path) -> None:
    """gRPC-Web is taken from any client, and errors keep their details there. Reflection is no call of gRPC-Web's."""
    called = _run(
        *(_BUF, "curl", "--protocol", "grpcweb", "--schema", repository / "gen" / "descriptors.binpb"),
        *("-d", '{"user_id": "999999999"}', f"{door_url}/polystream.v1.UserService/GetUser"),
    )
    error = json.loads(called.stderr)
    assert error["code"] == "not_found"
    assert [detail["type"] for detail in error["details"]] == ["google.rpc.ErrorInfo", "google.rpc.BadRequest"]


@pytest.mark.timeout(_BUILD_TIMEOUT_S)
def test_grpcurl_describes_everything(platform: Platform) -> None:
    """Every service that is listed can be described, reflection itself included."""
    described = _run(go_tool("grpcurl"), "-plaintext", _address(platform, "gateway"), "describe")
    assert described.returncode == 0, described.stderr
    for service in ("grpc.reflection.v1.ServerReflection", "polystream.v1.ViewService"):
        assert f"{service} is a service" in described.stdout


@pytest.mark.parametrize("at", ["gateway", "edge", "grpc"])
def test_google_client_awaits_an_operation(platform: Platform, at: str) -> None:
    """A standard client of long-running operations polls until it is done, and gets the typed result."""
    with grpc.insecure_channel(_address(platform, at)) as channel:
        accepted = users_pb2_grpc.UserServiceStub(channel).CreateUser(users_pb2.CreateUserRequest(**person()))
        client = OperationsClient(channel)
        running = lro.from_gapic(client.get_operation(accepted.name), client, users_pb2.User)
        user = running.result(timeout=_RESULT_TIMEOUT_S)
        assert user.user_id == accepted.user_id
        assert running.done()
        assert client.get_operation(accepted.name).done


def test_google_client_raises_what_went_wrong(platform: Platform) -> None:
    """A failed operation raises its error, with the code and the reason."""
    with grpc.insecure_channel(_address(platform, "gateway")) as channel:
        accepted = views_pb2_grpc.ViewServiceStub(channel).RecordView(
            views_pb2.RecordViewRequest(user_id=999_999_999, content_id=1, title="t", kind=contents_pb2.Content.MOVIE)
        )
        client = OperationsClient(channel)
        running = lro.from_gapic(client.get_operation(accepted.name), client, views_pb2.View)
        with pytest.raises(GoogleAPICallError) as caught:
            running.result(timeout=_RESULT_TIMEOUT_S)
    assert caught.value.grpc_status_code is grpc.StatusCode.NOT_FOUND


def test_google_client_lists_operations(platform: Platform) -> None:
    """The standard client's pager goes through pages of the event log, newest first."""
    with grpc.insecure_channel(_address(platform, "gateway")) as channel:
        contents = contents_pb2_grpc.ContentServiceStub(channel)
        kind = contents_pb2.Content.MOVIE
        requests = [contents_pb2.CacheContentRequest(content_id=n, title="Cidade", kind=kind) for n in range(1, 4)]
        sent = [contents.CacheContent(request).name for request in requests]
        client = OperationsClient(channel)

        def listed() -> bool:
            newest = islice(client.list_operations("operations", ""), _NEWEST)
            return [operation.name for operation in newest if operation.name in sent] == sent[::-1]

        eventually(listed, _RESULT_TIMEOUT_S)


def test_google_client_does_not_find_what_is_not_there(platform: Platform) -> None:
    """An unknown operation is NotFound."""
    with grpc.insecure_channel(_address(platform, "gateway")) as channel, pytest.raises(NotFound):
        OperationsClient(channel).get_operation("operations/01920000-0000-7000-8000-000000000001")


def _url(platform: Platform) -> str:
    return str(platform.endpoints["rest"])
