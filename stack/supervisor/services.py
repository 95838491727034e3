"""The services of the platform: what each is started with, and when it is ready."""

import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from stack import probes
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, ProcessSpec, StackContext, nothing
from stack.supervisor.drain import drain_edge, drain_operations

_LANE_STORES: Final = ("postgresql", "mongodb", "redis")


def _service(context: StackContext, argv: tuple[str, ...], settings: Mapping[str, str]) -> CommandLine:
    return CommandLine(
        argv=(sys.executable, *argv),
        env={**context.environment, **settings},
        cwd=context.work_dir,
        stop_timeout_s=15.0,  # longer than a service's own drain
    )


def _gateway_command(context: StackContext) -> CommandLine:
    settings = {
        "GATEWAY_NAME": "gateway-0",
        "GATEWAY_HOST": HOST,
        "GATEWAY_PORT": str(context.ports.gateway),
        "MONITOR_ADDRESS": f"{HOST}:{context.ports.otlp}",
    }
    return _service(context, ("-m", "gateway"), settings)


def _monitor_command(context: StackContext) -> CommandLine:
    settings = {
        "MONITOR_HOST": HOST,
        "MONITOR_HTTP_PORT": str(context.ports.dashboard),
        "MONITOR_OTLP_PORT": str(context.ports.otlp),
        "MONITOR_DATA_DIR": str(context.folder("monitor")),
        "MONITOR_GATEWAY_ADDRESS": f"{HOST}:{context.ports.gateway}",
    }
    return _service(context, ("-m", "monitor"), settings)


def _ready_file(context: StackContext, name: str) -> Path:
    return context.folder("run") / f"{name}.ready.json"


def _lane(store: str, before_stop: Callable[[StackContext], None]) -> ProcessSpec:
    name = f"lane-{store}-0"

    def command(context: StackContext) -> CommandLine:
        settings = {"LANE_NAME": name, "READY_FILE": str(_ready_file(context, name))}
        return _service(context, ("-m", "processor", "--store", store), settings)

    return ProcessSpec(
        name=name,
        ports=(),
        prepare=lambda context: _ready_file(context, name).unlink(missing_ok=True),  # of one that was killed
        command=command,
        is_ready=lambda context: _ready_file(context, name).exists(),
        follows_broker=True,
        before_stop=before_stop,
    )


def _envoy_command(context: StackContext) -> CommandLine:
    ports = context.ports
    numbers = (ports.edge, ports.edge_admin, ports.gateway, ports.dashboard, ports.otlp)
    return CommandLine(
        # It renders the configuration, then becomes Envoy: the supervisor imports nothing for it.
        argv=(sys.executable, "-m", "stack.engines.envoy", str(_envoy_file(context)), *map(str, numbers)),
        env=bare_environment(),
        cwd=context.folder("envoy"),
        stop_signal=signal.SIGTERM,
        stop_timeout_s=3.0,  # it has drained before
    )


def _envoy_file(context: StackContext) -> Path:
    return context.folder("envoy") / "envoy.yaml"


GATEWAY: Final = ProcessSpec(
    name="gateway-0",
    ports=("gateway",),
    command=_gateway_command,
    is_ready=lambda context: probes.grpc_serves(HOST, context.ports.gateway),
)
MONITOR: Final = ProcessSpec(
    name="monitor",
    ports=("dashboard", "otlp"),
    command=_monitor_command,
    is_ready=lambda context: probes.http_answers(HOST, context.ports.dashboard, "/healthz"),
    follows_broker=True,
)
ENVOY: Final = ProcessSpec(
    name="envoy",
    ports=("edge", "edge_admin"),
    command=_envoy_command,
    # Live is not enough: it is to answer, and that it does once it has found the gateway.
    is_ready=lambda context: probes.envoy_reaches(HOST, context.ports.edge_admin, "gateway"),
    before_stop=drain_edge,
)
# What must have run before the services start; each waits for the engines that it needs by itself.
PROVISION: Final = (("-m", "stack.provision"), ("-m", "processor", "migrate"))


def service_stages(*, volatile: bool) -> tuple[tuple[ProcessSpec, ...], ...]:
    """Return the services in the order of their stopping, so that what is accepted is still answered and told of.

    With a `volatile` broker, which forgets what it holds when it stops, the lanes finish it first.
    """
    lanes = tuple(_lane(store, drain_operations if volatile else nothing) for store in _LANE_STORES)
    return ((ENVOY,), (GATEWAY,), lanes, (MONITOR,))
