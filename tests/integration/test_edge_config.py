"""The rendered configuration: what Envoy makes of it, its admin socket, TLS, and the access log."""

import json
import socket
import ssl
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from stack.edge.render import Address, EdgeConfig, TlsFiles, envoy_argv, render_config
from stack.edge.replies import LOCAL_REPLIES
from tests.support.certificates import self_signed
from tests.support.edge import running_edge
from tests.support.waiting import eventually

_BARE = EdgeConfig(
    listen=Address("127.0.0.1", 8443),
    admin_socket="admin.sock",
    grpc_gateways=(Address("127.0.0.1", 50051),),
    http_gateways=(Address("127.0.0.1", 8000),),
)
_IN_CONTAINERS = EdgeConfig(
    listen=Address("0.0.0.0", 8443),
    admin_socket='/tmp/"quoted".sock',
    grpc_gateways=(Address("gateway-0", 50051), Address("gateway-1", 50051)),
    http_gateways=(Address("gateway-0", 8000), Address("gateway-1", 8000)),
    otlp=Address("monitor", 4317),
    access_log=True,
)


@pytest.mark.parametrize("config", [_BARE, _IN_CONTAINERS], ids=["bare", "containers"])
def test_envoy_takes_the_configuration(tmp_path: Path, config: EdgeConfig) -> None:
    """With little and with everything set, with addresses and with host names, the configuration is valid."""
    file = tmp_path / "envoy.yaml"
    file.write_text(render_config(config), encoding="utf-8")
    _validate(file)


def test_the_program_writes_what_envoy_takes(tmp_path: Path) -> None:
    """`python -m stack.edge`, as compose runs it; a certificate without its key is refused."""
    argv = [sys.executable, "-m", "stack.edge", "--listen=0.0.0.0:8443", "--admin-socket=/tmp/admin.sock"]
    argv += ["--grpc-gateway=gateway:50051", "--http-gateway=gateway:8000"]
    subprocess.run([*argv, str(tmp_path)], check=True)
    _validate(tmp_path / "envoy.yaml")
    refused = subprocess.run([*argv, "--certificate=a.pem", str(tmp_path)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "--key" in refused.stderr


def test_host_names_are_resolved_again() -> None:
    """Containers move: a gateway known by its name is looked up while the edge runs."""
    assert "type: STRICT_DNS" in render_config(_IN_CONTAINERS)
    assert "type: STRICT_DNS" not in render_config(_BARE)


def test_every_local_reply_tells_a_remedy() -> None:
    """Each has a reason in capitals and one sentence without a full stop, and only the last one takes what is left."""
    for reply in LOCAL_REPLIES:
        assert reply.reason == reply.reason.upper()
        assert not reply.message.endswith(".")
        assert json.loads(reply.status_json())["code"] == reply.code
    assert [reply for reply in LOCAL_REPLIES if not reply.flags and not reply.status and reply.min_status == 400] == [
        LOCAL_REPLIES[-1]
    ]


def test_the_admin_pages_are_on_a_socket_of_the_owner_alone(tmp_path: Path) -> None:
    """Envoy listens on one port, the edge's; its admin socket is closed to every other user."""
    with running_edge(tmp_path) as edge:
        assert stat.S_IMODE(Path(edge.config.admin_socket).stat().st_mode) == 0o600
        listening = {
            connection.laddr.port
            for connection in psutil.Process(edge.process.pid).net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
        assert listening == {edge.config.listen.port}


def test_clients_come_by_tls_where_there_is_a_certificate(tmp_path: Path) -> None:
    """By HTTP/1.1 and by HTTP/2, and not without TLS or by a version that is out of use."""
    key_file, certificate_file = tmp_path / "key.pem", tmp_path / "certificate.pem"
    key, certificate = self_signed("127.0.0.1")
    key_file.write_bytes(key)
    certificate_file.write_bytes(certificate)
    with running_edge(tmp_path, tls=TlsFiles(str(certificate_file), str(key_file))) as edge:
        context = ssl.create_default_context(cafile=str(certificate_file))
        with httpx.Client(verify=context) as client:
            client.get(f"{edge.url}/v1/users").raise_for_status()
            with pytest.raises(httpx.HTTPError):
                client.get(f"http://{edge.target}/v1/users")
        context.set_alpn_protocols(["h2"])
        host, port = edge.config.listen.host, edge.config.listen.port
        with (
            socket.create_connection((host, port)) as plain,
            context.wrap_socket(plain, server_hostname=host) as secure,
        ):
            assert secure.selected_alpn_protocol() == "h2"


def test_access_log_holds_no_personal_data(tmp_path: Path) -> None:
    """A line of the access log has the door, the result and the IDs, and neither path nor query string nor body."""
    with running_edge(tmp_path, access_log=True) as edge:
        httpx.post(f"{edge.url}/v1/users?email=ana@example.com", json={"name": "Ana Souza"}).raise_for_status()
        httpx.get(f"{edge.url}/v1/nowhere/ana@example.com", headers={"user_id": "ana"})
        log = tmp_path / "envoy.log"
        eventually(lambda: log.read_text(encoding="utf-8").count("\n") == 2, 20)
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert [line["status"] for line in lines] == [200, 400]
    assert lines[0]["door"] == "http"
    assert lines[0]["request_id"]
    assert "ana" not in str(lines).lower()


def _validate(file: Path) -> None:
    checked = subprocess.run([*envoy_argv(file), "--mode", "validate"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
