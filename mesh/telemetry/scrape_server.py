"""`/metrics` over HTTP: one thread, one request at a time, and bounds on everything that a client may do.

It is no web server: a scrape every few seconds is all that it is for. What it cannot do, it leaves, and the service
beside it goes on.
"""

import json
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from mesh.errors import PolystreamError, Reason
from mesh.hosts import HostRules, host_and_port
from mesh.http_status import http_status
from mesh.proto_json import to_dict
from mesh.telemetry.logs import describe
from mesh.telemetry.repeats import RepeatCounter

PATH: Final = "/metrics"
_HEAD_MAX_BYTES: Final = 8192
_REQUEST_MAX_S: Final = 2.0  # from the connection to the end of the request's head
_ANSWER_MAX_S: Final = 5.0  # for the client to take the answer
_WAITING_MAX: Final = 16  # connections that may wait for their turn; the system refuses more
_STOP_TIMEOUT_S: Final = 2.0
_RECEIVE_BYTES: Final = 4096
_OK: Final = 200

_LOG = structlog.stdlib.get_logger(__name__)


class ScrapeServer:
    """Answers `GET /metrics` with what a registry of Prometheus's library collects, as text or as OpenMetrics."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        """`host` is the address to listen on; names of elsewhere in the header `host` are refused."""
        self._registry = registry
        self._host = host
        self._port = port
        self._hosts = HostRules(host)
        self._server: socket.socket | None = None
        self._failures = RepeatCounter()
        self._thread = threading.Thread(target=self._run, name="metrics-http", daemon=True)

    def start(self) -> bool:
        """Listen; return False, and say so in the log, where the port cannot be had."""
        try:
            self._server = self._listen()
        except OSError as error:
            _LOG.warning(
                "no /metrics: the port cannot be had; set OTEL_EXPORTER_PROMETHEUS_PORT to another one",
                address=host_and_port(self._host, self._port),
                error=error.strerror or type(error).__name__,
            )
            return False
        self._thread.start()
        return True

    def stop(self) -> None:
        """Listen no more."""
        if self._server is None:
            return
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)  # `close` alone would leave the thread waiting
        self._server.close()
        self._thread.join(_STOP_TIMEOUT_S)

    def _listen(self) -> socket.socket:
        family, _, _, _, address = socket.getaddrinfo(
            self._host.strip("[]"), self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        server = socket.socket(family, socket.SOCK_STREAM)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address)
            server.listen(_WAITING_MAX)
        except OSError:
            server.close()
            raise
        return server

    def _run(self) -> None:
        assert self._server is not None  # noqa: S101 - `start` has set it
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # it was stopped
            with connection:
                try:
                    self._answer(connection)
                except OSError:
                    continue  # the client has left, or was too slow
                except Exception as error:  # noqa: BLE001 - the next one may be answered all the same
                    times = self._failures.count()
                    if times:
                        _LOG.error("metrics were not told", times=times, error=describe(error))

    def _answer(self, connection: socket.socket) -> None:
        head = _read_head(connection)
        connection.settimeout(_ANSWER_MAX_S)
        try:
            method, headers = self._check(head)
        except PolystreamError as error:
            status = error.to_status()
            _send(
                connection,
                http_status(status.code, error.reason.name),
                json.dumps(to_dict(status)).encode(),
                "application/json",
            )
            return
        encode, content_type = choose_encoder(", ".join(headers.get("accept", ())))
        body = encode(self._registry)
        _send(connection, _OK, body, content_type, with_body=method == "GET")

    def _check(self, head: bytes) -> tuple[str, Mapping[str, Sequence[str]]]:
        """Return a request's method and headers, by their names in lower case. Raises PolystreamError."""
        line, *fields = head.decode("latin-1").split("\r\n")
        parts = line.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            raise PolystreamError(Reason.MALFORMED_REQUEST, "this is no request of HTTP/1.1")
        method, target, _ = parts
        headers: dict[str, list[str]] = {}
        for field in fields:
            name, _, value = field.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        hosts = headers.get("host", [])
        if len(hosts) != 1:
            raise PolystreamError(Reason.MALFORMED_REQUEST, "the request must have one header host")
        if not self._hosts.knows(hosts[0]):
            raise PolystreamError(
                Reason.FOREIGN_HOST, "metrics are not told under the name in the header host; use localhost"
            )
        if target.partition("?")[0] != PATH:
            raise PolystreamError(Reason.UNKNOWN_PATH, f"there is no such path; there is {PATH}")
        if method not in {"GET", "HEAD"}:
            raise PolystreamError(Reason.METHOD_NOT_ALLOWED, f"{PATH} takes GET and HEAD")
        return method, headers


def _read_head(connection: socket.socket) -> bytes:
    """Return a request's line and headers, without the empty line. Raises OSError where they take too long."""
    give_up_s = time.monotonic() + _REQUEST_MAX_S
    head = b""
    while b"\r\n\r\n" not in head:
        left_s = give_up_s - time.monotonic()
        if left_s <= 0 or len(head) > _HEAD_MAX_BYTES:
            raise TimeoutError
        connection.settimeout(left_s)
        received = connection.recv(_RECEIVE_BYTES)
        if not received:
            raise ConnectionResetError
        head += received
    return head.partition(b"\r\n\r\n")[0]


def _send(connection: socket.socket, code: int, body: bytes, content_type: str, *, with_body: bool = True) -> None:
    head = (
        f"HTTP/1.1 {code} {HTTPStatus(code).phrase}\r\n"
        f"content-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
        "cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
    )
    connection.sendall(head.encode() + (body if with_body else b""))
