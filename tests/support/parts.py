"""The platform's own parts as processes on a test's engines, and the health of them as each door tells it."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc
from polystream.v1.system_pb2 import GetHealthRequest, Health
from polystream.v1.system_pb2_grpc import SystemServiceStub

from tests.support.lanes import LaneProcess
from tests.support.platform import CHECKOUT, EngineSet
from tests.support.ports import free_ports

_STOP_TIMEOUT_S: Final = 30.0
STORES: Final = ("postgresql", "mongodb", "redis")


class Parts:
    """A gateway, a monitor and a lane of each store, and clients of their doors."""

    def __init__(self, engines: EngineSet, folder: Path) -> None:
        self.engines = engines
        self._folder = folder
        ports = free_ports()
        self.environment = engines.environment | {
            "DEMO_DATA": "1",
            "OTEL_SDK_DISABLED": "true",
            "GATEWAY_PORT": str(ports.gateway),
            "GATEWAY_HTTP_PORT": str(ports.rest),
            "MONITOR_ADDRESS": f"127.0.0.1:{ports.otlp}",
            "MONITOR_OTLP_PORT": str(ports.otlp),
            "MONITOR_HTTP_PORT": str(ports.dashboard),
            "MONITOR_DATA_DIR": str(folder / "monitor"),
            "MONITOR_GATEWAY_ADDRESS": f"127.0.0.1:{ports.gateway}",
            "MONITOR_READY_FILE": str(folder / "monitor.ready"),
        }
        self.monitor_file = folder / "monitor.ready"
        lane_settings = {"MONITOR_ADDRESS": self.environment["MONITOR_ADDRESS"]}
        self.lanes: Mapping[str, LaneProcess] = {
            store: LaneProcess(engines, store, folder, f"lane-{store}-0", lane_settings) for store in STORES
        }
        self.rest = httpx.Client(base_url=f"http://127.0.0.1:{ports.rest}", timeout=20)
        self.dashboard = httpx.Client(base_url=f"http://127.0.0.1:{ports.dashboard}", timeout=20)
        self.channel = grpc.insecure_channel(f"127.0.0.1:{ports.gateway}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have all of them run while the block does."""
        with ExitStack() as ending:
            for client in (self.rest, self.dashboard, self.channel):
                ending.callback(client.close)
            for module in ("monitor", "gateway"):
                ending.enter_context(_process(module, self.environment, self._folder / f"{module}.log"))
            for lane in self.lanes.values():
                ending.enter_context(lane)
                lane.start(wait=False)
            yield

    def health(self) -> dict[str, dict[str, Any]]:
        """Return what `GET /health` says of each component, by name; the whole under the empty name."""
        answer = self.rest.get("/health")
        assert answer.status_code == 200
        return _by_name(answer.json())

    def dashboard_health(self) -> dict[str, dict[str, Any]]:
        """Return what the dashboard reads, in the same form."""
        return _by_name(self.dashboard.get("/api/platform").json()["health"])

    def grpc_health(self) -> Health:
        """Return what GetHealth says over gRPC."""
        return SystemServiceStub(self.channel).GetHealth(GetHealthRequest(), timeout=10)

    def serves(self, name: str) -> bool:
        """Return whether gRPC health says SERVING of a name."""
        stub: Any = health_pb2_grpc.HealthStub(self.channel)  # typed without its methods
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def is_healthy(self) -> bool:
        """Return whether every part is."""
        try:
            return bool(self.health()[""]["status"] == "HEALTHY")
        except httpx.HTTPError:
            return False

    def send(self, path: str) -> str:
        """Have the demo make up a command, and return its correlation ID once it is acknowledged."""
        answer = self.rest.post(path)
        answer.raise_for_status()
        return str(answer.json()["correlation_id"])

    def operation(self, correlation_id: str) -> dict[str, Any]:
        """Return an operation."""
        answer: dict[str, Any] = self.rest.get(f"/v1/operations/{correlation_id}").json()
        return answer


def _by_name(health: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {"": dict(health)} | {component["name"]: component for component in health["components"]}


@contextmanager
def _process(module: str, environment: Mapping[str, str], log: Path) -> Iterator[None]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module], env=environment, cwd=CHECKOUT, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(_STOP_TIMEOUT_S)
