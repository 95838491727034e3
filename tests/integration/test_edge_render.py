"""The rendered configuration: what Envoy makes of it, and what is refused before Envoy sees it."""

import json
import subprocess
from pathlib import Path

import httpx
import pytest
from google.protobuf import descriptor_pb2

from stack.edge.contract import path_pattern, read_contract
from stack.edge.errors import EDGE_ERRORS
from stack.edge.render import DESCRIPTOR_SET, Address, EdgeConfig, envoy_argv, render_config
from tests.support.edge import running_edge
from tests.support.waiting import eventually

_BARE = EdgeConfig(
    listen=Address("127.0.0.1", 8000), admin=Address("127.0.0.1", 9901), gateways=(Address("127.0.0.1", 50051),)
)
_IN_CONTAINERS = EdgeConfig(
    listen=Address("0.0.0.0", 8000),
    admin=Address("127.0.0.1", 9901),
    gateways=(Address("gateway-0", 50051), Address("gateway-1", 50051)),
    monitor_http=Address("monitor", 8089),
    otlp=Address("monitor", 4317),
    allowed_origins=("https://a.example", 'https://"quoted".example'),
    access_log=True,
)


@pytest.mark.parametrize("config", [_BARE, _IN_CONTAINERS], ids=["bare", "containers"])
def test_envoy_takes_the_configuration(tmp_path: Path, config: EdgeConfig) -> None:
    """With little and with everything set, with addresses and with host names, the configuration is valid."""
    file = tmp_path / "envoy.yaml"
    file.write_text(render_config(config), encoding="utf-8")
    checked = subprocess.run([*envoy_argv(file), "--mode", "validate"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_host_names_are_resolved_again() -> None:
    """Containers move: a gateway known by its name is looked up while the edge runs."""
    assert "type: STRICT_DNS" in render_config(_IN_CONTAINERS)
    assert "type: STRICT_DNS" not in render_config(_BARE)


def test_descriptor_set_that_is_missing_or_empty(tmp_path: Path) -> None:
    """Without the API's descriptors nothing is rendered."""
    missing = EdgeConfig(_BARE.listen, _BARE.admin, _BARE.gateways, descriptor_set=tmp_path / "none.binpb")
    with pytest.raises(FileNotFoundError):
        render_config(missing)
    empty = tmp_path / "empty.binpb"
    empty.write_bytes(descriptor_pb2.FileDescriptorSet().SerializeToString())
    with pytest.raises(ValueError, match=r"empty\.binpb has no service"):
        read_contract(empty)


def test_contract_of_the_api() -> None:
    """The services, the late and the streaming methods, and every path's methods come from the descriptor set."""
    contract = read_contract(DESCRIPTOR_SET)
    assert "polystream.v1.UserService" in contract.services
    assert not [service for service in contract.services if not service.startswith("polystream.v1.")]
    assert "polystream.v1.OperationService/WatchOperation" in contract.streams
    assert "polystream.v1.OperationService/WaitOperation" in contract.waits
    assert set(contract.rest_methods["/v1/users"]) == {"GET", "POST"}
    assert contract.enums["polystream.v1.Content.Kind"] == ("MOVIE", "SERIES", "DOCUMENTARY")


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("/v1/users", "^/v1/users$"),
        ("/v1/users/{user_id}/views/{view_id}", "^/v1/users/[^/:]+/views/[^/:]+$"),
        ("/v1/operations/{correlation_id}:wait", "^/v1/operations/[^/:]+:wait$"),
        ("/historico-visualizacao/{user_id}", "^/historico%-visualizacao/[^/:]+$"),
    ],
)
def test_path_pattern(template: str, pattern: str) -> None:
    """A path template becomes a Lua pattern of the paths that it matches."""
    assert path_pattern(template) == pattern


@pytest.mark.parametrize("template", ["/v1/{name=users/*}", "/v1/**"])
def test_path_templates_of_other_kinds_are_refused(template: str) -> None:
    """What is not understood is not guessed."""
    with pytest.raises(ValueError, match="is not supported"):
        path_pattern(template)


def test_every_error_tells_a_remedy() -> None:
    """Each error of the edge has a reason in capitals and one sentence without a full stop."""
    for error in EDGE_ERRORS:
        assert error.reason == error.reason.upper()
        assert not error.message.endswith(".")
        assert json.loads(error.status_json())["code"] == error.code


def test_access_log_holds_no_personal_data(tmp_path: Path) -> None:
    """A line of the access log has the RPC, the result and the IDs, and neither body nor query string."""
    with running_edge(tmp_path, access_log=True) as edge:
        httpx.post(f"{edge.url}/v1/users?email=ana@example.com", json={"name": "Ana Souza"}).raise_for_status()
        httpx.get(f"{edge.url}/v1/nowhere/ana@example.com")
        log = tmp_path / "envoy.log"
        eventually(lambda: log.read_text(encoding="utf-8").count("\n") == 2, 20)
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [(line["rpc"], line["status"]) for line in lines] == [
        ("polystream.v1.UserService/CreateUser", 200),
        ("rest", 404),
    ]
    assert lines[0]["correlation_id"]
    assert "ana" not in str(lines).lower()
