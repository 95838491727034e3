"""Asking a server whether it serves, in its own protocol, with nothing but the standard library.

A client library costs the supervisor up to 40 MB and half a second of start time each; a probe needs one
exchange. Each returns whether the server is ready, and raises OSError where it does not answer.
"""

import http.client
import json
import socket
import struct
from typing import Self

_TIMEOUT_S = 1.0
_MAX_ANSWER_BYTES = 65_536


class _Connection:
    """One TCP connection that reads exact amounts."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.create_connection((host, port), _TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, count: int) -> bytes:
        if count > _MAX_ANSWER_BYTES:
            raise OSError(f"an answer of {count} bytes is none of this protocol")
        data = b""
        while len(data) < count:
            chunk = self._socket.recv(count - len(data))
            if not chunk:
                raise OSError("the server closed the connection")
            data += chunk
        return data


def postgresql_answers(host: str, port: int, user: str, database: str) -> bool:
    """Tell whether PostgreSQL takes logins: past recovery, it asks for the password."""
    parameters = b"".join(text.encode() + b"\0" for text in ("user", user, "database", database)) + b"\0"
    with _Connection(host, port) as connection:
        connection.send(struct.pack(">ii", len(parameters) + 8, 3 << 16) + parameters)
        return connection.read(1) == b"R"  # `E` while it starts up or shuts down


def redis_answers(host: str, port: int) -> bool:
    """Tell whether Redis has loaded its data. One that wants a password is ready too."""
    with _Connection(host, port) as connection:
        connection.send(b"*1\r\n$4\r\nPING\r\n")
        return connection.read(5) in {b"+PONG", b"-NOAU"}


def mongodb_answers(host: str, port: int) -> bool:
    """Tell whether MongoDB answers `hello` as one that takes writes."""
    document = b"\x10hello\0\1\0\0\0" + b"\x02$db\0\6\0\0\0admin\0" + b"\0"
    body = struct.pack("<iB", 0, 0) + struct.pack("<i", len(document) + 4) + document
    with _Connection(host, port) as connection:
        connection.send(struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body)
        (length,) = struct.unpack("<i", connection.read(4))
        return b"\x08isWritablePrimary\0\1" in connection.read(length - 4)


def kafka_answers(host: str, port: int) -> bool:
    """Tell whether a Kafka broker answers a request for metadata with itself as a broker."""
    header = struct.pack(">hhih", 3, 1, 1, -1)  # Metadata, version 1, correlation 1, no client ID
    body = header + struct.pack(">i", 0)  # of no topic
    with _Connection(host, port) as connection:
        connection.send(struct.pack(">i", len(body)) + body)
        (length,) = struct.unpack(">i", connection.read(4))
        correlation, brokers = struct.unpack(">ii", connection.read(length)[:8])
    return bool(correlation == 1 and brokers >= 1)


def http_answers(host: str, port: int, path: str) -> bool:
    """Tell whether an HTTP server answers GET `path` with 200."""
    with _Connection(host, port) as connection:
        connection.send(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        return connection.read(12)[8:] == b" 200"


def says_healthy(host: str, port: int, path: str) -> bool:
    """Tell whether GET `path` is answered with a JSON object whose `status` is HEALTHY. One that is not there is not.

    Raises no error.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", path)
        told = json.loads(connection.getresponse().read(_MAX_ANSWER_BYTES))
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return isinstance(told, dict) and told.get("status") == "HEALTHY"


_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS, _GOAWAY = 0, 1, 4, 7
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_SERVING = b"\x08\x01"  # grpc.health.v1.HealthCheckResponse{status: SERVING}
_MAX_FRAMES = 50


def grpc_serves(host: str, port: int) -> bool:
    """Tell whether a gRPC server's `grpc.health.v1` says SERVING for the whole server."""
    headers = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/grpc.health.v1.Health/Check"),
        (b":authority", f"{host}:{port}".encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    # Literal header fields, neither indexed nor compressed: the encoding that needs no tables.
    block = b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in headers)
    with _Connection(host, port) as connection:
        connection.send(
            _PREFACE
            + _frame(_SETTINGS, 0, 0, b"")
            + _frame(_HEADERS, _END_HEADERS, 1, block)
            + _frame(_DATA, _END_STREAM, 1, b"\0\0\0\0\0")  # an empty HealthCheckRequest
        )
        answer = b""
        for _ in range(_MAX_FRAMES):
            head = connection.read(9)
            kind, flags = head[3], head[4]
            payload = connection.read(int.from_bytes(head[:3], "big"))
            if kind == _SETTINGS and not flags & _ACK:
                connection.send(_frame(_SETTINGS, _ACK, 0, b""))
            elif kind == _DATA:
                answer += payload
            if kind == _GOAWAY or (kind in {_DATA, _HEADERS} and flags & _END_STREAM):
                break
        return answer[5:] == _SERVING


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload
