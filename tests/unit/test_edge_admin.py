"""Envoy's admin socket: where it is, and what its pages say of the gateways."""

import socket
import threading
from pathlib import Path

import pytest

from stack.edge.admin import admin_socket, finds_gateways
from tests.support.edge import short_folder

_BOTH = "gateway_grpc::127.0.0.1:1::health_flags::healthy\ngateway_http::127.0.0.1:2::health_flags::healthy\n"


def _clusters(lines: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(lines)}\r\nConnection: close\r\n\r\n{lines}".encode()


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (_clusters(_BOTH), True),
        (_clusters(_BOTH.replace("1:2::health_flags::healthy", "1:2::health_flags::/failed_active_hc")), False),
        (_clusters(_BOTH.replace("gateway_http", "otlp")), False),
        (_clusters(""), False),
        (b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_the_gateways_are_found_once_both_ports_are_healthy(answer: bytes, found: bool) -> None:
    """Until then Envoy would answer some requests with 503."""
    with short_folder() as folder:
        assert _asked(admin_socket(folder), answer) is found


def test_what_is_no_http_is_an_os_error() -> None:
    """So is nobody who listens: the one who waits takes both for "not yet"."""
    with short_folder() as folder:
        with pytest.raises(OSError, match="answers no HTTP"):
            _asked(admin_socket(folder), b"nonsense\r\n\r\n")
        with pytest.raises(OSError, match="refused"):
            finds_gateways(admin_socket(folder))


def test_the_socket_is_in_the_folder_unless_its_path_is_too_long(tmp_path: Path) -> None:
    """The system bounds the path of a socket; two folders never have the same one."""
    with short_folder() as folder:
        assert Path(admin_socket(folder)).parent == folder.resolve()
    long, other = (tmp_path / (letter * 120) for letter in "ab")
    assert len(admin_socket(long)) < 104
    assert admin_socket(long) != admin_socket(other)
    assert admin_socket(long) == admin_socket(long)


def _asked(path: str, answer: bytes) -> bool:
    """Serve one connection on the socket while Envoy's stand-in is asked."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return finds_gateways(path)
        finally:
            thread.join()
