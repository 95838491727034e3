"""A real Envoy between a test and echo gateways, with a monitor's stand-in that keeps the edge's spans."""

import asyncio
import subprocess
import threading
from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import grpc
import httpx
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2

from mesh.errors import DOMAIN
from stack.edge.render import Address, EdgeConfig, envoy_argv, render_config
from tests.support import echo_gateway
from tests.support.echo_gateway import EchoGateway
from tests.support.ports import free_port_run
from tests.support.waiting import eventually

T = TypeVar("T")

DASHBOARD_ORIGIN = "https://dashboard.example"
_HOST = "127.0.0.1"
_START_TIMEOUT_S = 20.0
_CALL_TIMEOUT_S = 10.0
_MAX_SPANS_KEPT = 1000
_DETAIL_FIELDS = {
    "ErrorInfo": {"reason", "domain", "metadata"},
    "BadRequest": {"field_violations"},
    "RetryInfo": {"retry_delay"},
}


class LoopThread:
    """An event loop in a thread of its own, so that servers outlive the tests that use them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="edge-test-servers")
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT_S)

    def close(self) -> None:
        """Stop the loop and end the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CALL_TIMEOUT_S)
        self._loop.close()


class Gateways:
    """Echo gateways on ports of their own, each to be stopped and started again."""

    def __init__(self, loop: LoopThread, count: int) -> None:
        self._loop = loop
        self.ports = [free_port_run(1) for _ in range(count)]
        self.echoes = [EchoGateway(f"echo-{index}") for index in range(count)]
        self._servers: list[Any] = [None] * count

    def start(self, index: int) -> None:
        """Serve on the gateway's port."""
        self._servers[index], _ = self._loop.run(echo_gateway.start(self.echoes[index], self.ports[index]))

    def stop(self, index: int) -> None:
        """Close the gateway's port and cut its calls."""
        server, self._servers[index] = self._servers[index], None
        if server is not None:
            self._loop.run(_stopped(server))

    def set_serving(self, index: int, serving: bool) -> None:
        """Change what the gateway's health service answers."""
        self._loop.run(self.echoes[index].set_serving(serving))

    @property
    def last_call(self) -> echo_gateway.Call:
        """The first gateway's latest call."""
        return self.echoes[0].calls[-1]


@dataclass
class MonitorStandIn:
    """Takes spans, and answers any HTTP request with its path."""

    spans: deque[trace_pb2.Span] = field(default_factory=lambda: deque(maxlen=_MAX_SPANS_KEPT))
    services: set[str] = field(default_factory=set)

    async def Export(  # noqa: N802 - the service's own name
        self, request: trace_service_pb2.ExportTraceServiceRequest, _context: Any
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keep the spans."""
        for resource in request.resource_spans:
            self.services.update(a.value.string_value for a in resource.resource.attributes if a.key == "service.name")
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)
        return trace_service_pb2.ExportTraceServiceResponse()

    async def serve_http(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        request = (await reader.readuntil(b"\r\n\r\n")).split(b" ")
        body = b"monitor:" + request[1]
        head = f"HTTP/1.1 200 OK\r\nserver: stand-in\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()


@dataclass(frozen=True)
class Edge:
    """A running edge and what is around it."""

    config: EdgeConfig
    process: "subprocess.Popen[bytes]"
    gateways: Gateways
    monitor: MonitorStandIn

    @property
    def url(self) -> str:
        """Where REST clients go."""
        return f"http://{self.target}"

    @property
    def target(self) -> str:
        """Where gRPC clients go."""
        return f"{self.config.listen.host}:{self.config.listen.port}"

    def stat(self, name: str) -> int:
        """Read one of Envoy's counters or gauges; 0 where there is none of that name."""
        answer = httpx.get(f"{_admin(self.config)}/stats", params={"filter": f"^{name}$"})
        return sum(int(line.rpartition(":")[2]) for line in answer.text.splitlines())

    def await_health(self, index: int, healthy: bool) -> None:
        """Wait until Envoy knows how a gateway is."""
        address = f"{_HOST}:{self.gateways.ports[index]}"

        def known() -> bool:
            for line in httpx.get(f"{_admin(self.config)}/clusters").text.splitlines():
                if line.startswith(f"gateway::{address}::health_flags::"):
                    return line.endswith("::healthy") == healthy
            return False

        eventually(known, _CALL_TIMEOUT_S)


def status_of(response: httpx.Response) -> status_pb2.Status:
    """Return the error that a REST response holds; fails where its shape is not that of the platform's errors."""
    assert response.headers["content-type"] == "application/json"
    fields = response.json()
    assert set(fields) == {"code", "message", "details"}
    for detail in fields["details"]:
        kind = detail["@type"].rpartition(".")[2]
        assert set(detail) - {"@type"} == _DETAIL_FIELDS[kind]
    return json_format.ParseDict(fields, status_pb2.Status())


def error_info(status: status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """Return the error's ErrorInfo, which every error has as its first detail."""
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert info.domain == DOMAIN
    return info


def violations(status: status_pb2.Status) -> dict[str, str]:
    """Return what is wrong with which field, as the error's BadRequest tells it; empty without one."""
    request = error_details_pb2.BadRequest()
    for detail in status.details:
        if detail.Unpack(request):
            return {violation.field: violation.description for violation in request.field_violations}
    return {}


def retry_delay_s(status: status_pb2.Status) -> float | None:
    """Return how long the error asks its caller to wait, None where it does not."""
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    return None


@contextmanager
def running_edge(folder: Path, *, gateways: int = 1, beside: tuple[Address, ...] = (), **config: Any) -> Iterator[Edge]:
    """Start gateways, the monitor's stand-in and Envoy, and stop them all.

    `beside` are further gateways, the test's own; `config` overrides fields of EdgeConfig.
    """
    loop = LoopThread()
    around = Gateways(loop, gateways)
    monitor = MonitorStandIn()
    servers = loop.run(_serve(monitor))
    try:
        for index in range(gateways):
            around.start(index)
        edge_config = _config([*(Address(_HOST, port) for port in around.ports), *beside], servers)
        edge_config = replace(edge_config, **config)
        with _envoy(folder, edge_config) as process:
            yield Edge(edge_config, process, around, monitor)
    finally:
        for index in range(gateways):
            around.stop(index)
        loop.run(servers.close())
        loop.close()


@dataclass(frozen=True)
class _Servers:
    otlp: grpc.aio.Server
    otlp_port: int
    http: asyncio.Server
    http_port: int

    async def close(self) -> None:
        await self.otlp.stop(None)
        self.http.close()


async def _serve(monitor: MonitorStandIn) -> _Servers:
    otlp = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(monitor, otlp)  # type: ignore[no-untyped-call] # generated
    otlp_port = otlp.add_insecure_port(f"{_HOST}:0")
    await otlp.start()
    http = await asyncio.start_server(monitor.serve_http, _HOST, 0)
    return _Servers(otlp, otlp_port, http, http.sockets[0].getsockname()[1])


async def _stopped(server: grpc.aio.Server) -> None:
    await server.stop(None)


def _config(gateways: Sequence[Address], servers: _Servers) -> EdgeConfig:
    return EdgeConfig(
        listen=Address(_HOST, free_port_run(1)),
        admin=Address(_HOST, free_port_run(1)),
        gateways=tuple(gateways),
        monitor_http=Address(_HOST, servers.http_port),
        otlp=Address(_HOST, servers.otlp_port),
        allowed_origins=(DASHBOARD_ORIGIN,),
    )


def _admin(config: EdgeConfig) -> str:
    return f"http://{config.admin.host}:{config.admin.port}"


@contextmanager
def _envoy(folder: Path, config: EdgeConfig) -> Iterator["subprocess.Popen[bytes]"]:
    file = folder / "envoy.yaml"
    file.write_text(render_config(config), encoding="utf-8")
    log = folder / "envoy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(envoy_argv(file, log_level="error"), stdout=output, stderr=subprocess.STDOUT)
    try:

        def ready() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            return httpx.get(f"{_admin(config)}/ready").status_code == 200

        eventually(ready, _START_TIMEOUT_S)
        yield process
    finally:
        process.kill()
        process.wait(_CALL_TIMEOUT_S)
