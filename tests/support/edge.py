"""A real Envoy between a test and echo gateways, with a stand-in for the monitor that keeps the edge's spans."""

import asyncio
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
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
from stack.edge.admin import admin_socket, finds_gateways
from stack.edge.drain import admin_client
from stack.edge.render import Address, EdgeConfig, envoy_argv, render_config
from tests.support import echo_gateway
from tests.support.echo_gateway import EchoGateway
from tests.support.echo_http import EchoHttp, HttpCall
from tests.support.ports import free_port_run
from tests.support.waiting import eventually

T = TypeVar("T")

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 20.0
_CALL_TIMEOUT_S = 10.0
_MAX_SPANS_KEPT = 1000
_DETAIL_FIELDS = {
    "ErrorInfo": {"reason", "domain", "metadata"},
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
        self.grpc_ports = [free_port_run(1) for _ in range(count)]
        self.http_ports = [free_port_run(1) for _ in range(count)]
        self.echoes = [EchoGateway(f"echo-{index}") for index in range(count)]
        self.http = [EchoHttp(f"echo-{index}") for index in range(count)]
        self._servers: list[Any] = [None] * count

    def start(self, index: int) -> None:
        """Serve on the gateway's ports."""
        self._servers[index], _ = self._loop.run(echo_gateway.start(self.echoes[index], self.grpc_ports[index]))
        self._loop.run(self.http[index].start(self.http_ports[index]))

    def stop(self, index: int) -> None:
        """Close the gateway's ports and cut its calls."""
        server, self._servers[index] = self._servers[index], None
        if server is not None:
            self._loop.run(_stopped(server))
            self._loop.run(self.http[index].stop())

    def set_serving(self, index: int, serving: bool) -> None:
        """Change what the gateway says of itself when it is asked whether it serves."""
        self._loop.run(self.echoes[index].set_serving(serving))
        self.http[index].serving = serving

    @property
    def last_call(self) -> echo_gateway.Call:
        """The first gateway's latest call by gRPC."""
        return self.echoes[0].calls[-1]

    @property
    def last_http(self) -> HttpCall:
        """The first gateway's latest HTTP request."""
        return self.http[0].calls[-1]


@dataclass
class MonitorStandIn:
    """Takes spans, as the monitor would."""

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


@dataclass(frozen=True)
class Edge:
    """A running edge and what is around it."""

    config: EdgeConfig
    process: "subprocess.Popen[bytes]"
    gateways: Gateways
    monitor: MonitorStandIn

    @property
    def url(self) -> str:
        """Where HTTP clients go."""
        return f"{'https' if self.config.tls else 'http'}://{self.target}"

    @property
    def target(self) -> str:
        """Where gRPC clients go."""
        return f"{self.config.listen.host}:{self.config.listen.port}"

    def stat(self, name: str) -> int:
        """Read one of Envoy's counters or gauges; 0 where there is none of that name."""
        with admin_client(Path(self.config.admin_socket)) as client:
            answer = client.get("/stats", params={"filter": f"^{name}$"})
        return sum(int(line.rpartition(":")[2]) for line in answer.text.splitlines())

    def await_health(self, index: int, healthy: bool) -> None:
        """Wait until Envoy knows how a gateway is, at each of its ports."""
        ports = {"gateway_grpc": self.gateways.grpc_ports[index], "gateway_http": self.gateways.http_ports[index]}

        def known() -> bool:
            with admin_client(Path(self.config.admin_socket)) as client:
                lines = client.get("/clusters").text.splitlines()
            for cluster, port in ports.items():
                start = f"{cluster}::{_HOST}:{port}::health_flags::"
                found = [line for line in lines if line.startswith(start)]
                if not found or (found[0] == f"{start}healthy") != healthy:
                    return False
            return True

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


def retry_delay_s(status: status_pb2.Status) -> float | None:
    """Return how long the error asks its caller to wait, None where it does not."""
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            return float(retry.retry_delay.ToTimedelta().total_seconds())
    return None


@contextmanager
def running_edge(folder: Path, *, gateways: int = 1, traced: bool = False, **config: Any) -> Iterator[Edge]:
    """Start gateways, what takes spans if it is `traced`, and Envoy, and stop them all.

    `config` overrides fields of EdgeConfig.
    """
    loop = LoopThread()
    around = Gateways(loop, gateways)
    monitor = MonitorStandIn()
    otlp, otlp_port = loop.run(_serve(monitor))
    try:
        for index in range(gateways):
            around.start(index)
        edge_config = EdgeConfig(
            listen=Address(_HOST, free_port_run(1)),
            admin_socket=admin_socket(folder),
            grpc_gateways=tuple(Address(_HOST, port) for port in around.grpc_ports),
            http_gateways=tuple(Address(_HOST, port) for port in around.http_ports),
            otlp=Address(_HOST, otlp_port) if traced else None,
        )
        edge_config = replace(edge_config, **config)
        with _envoy(folder, edge_config) as process:
            edge = Edge(edge_config, process, around, monitor)
            for index in range(gateways):
                edge.await_health(index, healthy=True)
            yield edge
    finally:
        for index in range(gateways):
            around.stop(index)
        loop.run(_stopped(otlp))
        loop.close()


@contextmanager
def short_folder() -> Iterator[Path]:
    """Give a folder whose path leaves room for the name of a socket: pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="edge-", dir="/tmp") as name:
        yield Path(name)


async def _serve(monitor: MonitorStandIn) -> tuple[grpc.aio.Server, int]:
    otlp = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(monitor, otlp)  # type: ignore[no-untyped-call] # generated
    port = otlp.add_insecure_port(f"{_HOST}:0")
    await otlp.start()
    return otlp, port


async def _stopped(server: grpc.aio.Server) -> None:
    await server.stop(None)


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
            try:
                return finds_gateways(config.admin_socket)
            except OSError:
                return False

        eventually(ready, _START_TIMEOUT_S)
        yield process
    finally:
        process.kill()
        process.wait(_CALL_TIMEOUT_S)
        Path(config.admin_socket).unlink(missing_ok=True)
