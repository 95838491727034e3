"""The probes, against servers that answer as the real ones do in their different states."""

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from stack import probes

HOST = "127.0.0.1"


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """Serve one connection: read something, answer, close."""
    with socket.create_server((HOST, 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def _postgresql(port: int) -> bool:
    return probes.postgresql_answers(HOST, port, "user", "streaming_db")


def _redis(port: int) -> bool:
    return probes.redis_answers(HOST, port)


def _http(port: int) -> bool:
    return probes.http_answers(HOST, port, "/ready")


def _kafka(port: int) -> bool:
    return probes.kafka_answers(HOST, port)


def _mongodb(port: int) -> bool:
    return probes.mongodb_answers(HOST, port)


@pytest.mark.parametrize(
    ("probe", "answer", "ready"),
    [
        (_postgresql, b"R\0\0\0\x08\0\0\0\x0a", True),
        (_postgresql, b"E\0\0\0\x10SFATAL\0C57P03\0", False),
        (_redis, b"+PONG\r\n", True),
        (_redis, b"-NOAUTH Authentication required.\r\n", True),
        (_redis, b"-LOADING Redis is loading the dataset in memory\r\n", False),
        (_http, b"HTTP/1.1 200 OK\r\n\r\n", True),
        (_http, b"HTTP/1.1 503 Service Unavailable\r\n\r\n", False),
        (_kafka, b"\0\0\0\x08\0\0\0\x01\0\0\0\x01", True),
        (_kafka, b"\0\0\0\x08\0\0\0\x01\0\0\0\0", False),
        (_mongodb, b"\x19\0\0\0" + b"\x08isWritablePrimary\0\1\0", True),
        (_mongodb, b"\x19\0\0\0" + b"\x08isWritablePrimary\0\0\0", False),
    ],
)
def test_a_probe_tells_ready_from_not_yet(probe: Callable[[int], bool], answer: bytes, ready: bool) -> None:
    """A server that is still starting says so in its protocol, and the probe believes it."""
    with answering(answer) as port:
        assert probe(port) is ready


@pytest.mark.parametrize("probe", [_postgresql, _redis, _http, _kafka, _mongodb])
def test_a_probe_raises_when_nobody_listens(probe: Callable[[int], bool]) -> None:
    """No server is an OSError, which the one who waits takes as "not yet"."""
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        probe(port)


def test_a_probe_raises_when_the_connection_is_cut() -> None:
    """A server that ends in the middle of its answer is an OSError too."""
    with answering(b"\0\0") as port, pytest.raises(OSError, match="closed the connection"):
        _kafka(port)


def test_a_probe_does_not_wait_for_an_endless_answer() -> None:
    """A length that no answer has is an OSError, not memory."""
    with answering(b"\x7f\xff\xff\xff") as port, pytest.raises(OSError, match="none of this protocol"):
        _kafka(port)


def test_the_grpc_probe_follows_the_health_service() -> None:
    """SERVING is ready; NOT_SERVING, and a server without the service, are not."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    port = server.add_insecure_port(f"{HOST}:0")
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.start()
    try:
        assert probes.grpc_serves(HOST, port)
        servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        assert not probes.grpc_serves(HOST, port)
    finally:
        server.stop(0).wait()
    bare = grpc.server(futures.ThreadPoolExecutor(max_workers=1))
    port = bare.add_insecure_port(f"{HOST}:0")
    bare.start()
    try:
        assert not probes.grpc_serves(HOST, port)
    finally:
        bare.stop(0).wait()
