"""The services of the platform: what each is started with, and when it is ready."""

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from stack import probes
from stack.edge.admin import admin_socket, finds_gateways
from stack.engines.process import bare_environment
from stack.engines.spec import HOST, CommandLine, ProcessSpec, StackContext
from stack.supervisor.drain import drain_edge, tell_open_operations
from stack.supervisor.state_socket import SOCKET_NAME

_LANE_STORES: Final = ("postgresql", "mongodb", "redis")
_PROCESSORS_OF_ONE_GATEWAY: Final = 3
_DEFAULT_GATEWAYS_MAX: Final = 4


def _service(context: StackContext, argv: tuple[str, ...], settings: Mapping[str, str]) -> CommandLine:
    """Return a service's command line; `argv` is its module and its arguments."""
    launched = (*context.launcher, str(context.data_dir), *argv) if context.launcher else argv
    return CommandLine(
        argv=(sys.executable, "-m", *launched),
        env={**context.environment, **settings},
        cwd=context.work_dir,
        stop_timeout_s=15.0,  # longer than a service's own drain
    )


def _monitor_command(context: StackContext) -> CommandLine:
    settings = {
        "MONITOR_HOST": HOST,
        "MONITOR_HTTP_PORT": str(context.ports.dashboard),
        "MONITOR_OTLP_PORT": str(context.ports.otlp),
        "MONITOR_DATA_DIR": str(context.folder("monitor")),
        "MONITOR_GATEWAY_ADDRESS": f"{HOST}:{context.ports.gateway}",
        "MONITOR_READY_FILE": str(_health_file(context, "monitor")),
        "SUPERVISOR_SOCKET": str(context.data_dir / "run" / SOCKET_NAME),
    }
    return _service(context, ("monitor",), settings)


def _health_file(context: StackContext, name: str) -> Path:
    return context.data_dir / "run" / f"{name}.ready.json"


def default_gateways() -> int:
    """Return how many gateways suit the processors that this process may use.

    A busy gateway takes a whole processor, and the broker, the lanes and the stores need the others. So it is one for
    up to three processors, then one for every two, and four at the most: the lanes of one machine keep up with no more.
    It is one where the system does not share a port's connections out among processes, as Linux does.
    """
    if sys.platform != "linux":
        return 1
    processors = len(os.sched_getaffinity(0))
    return 1 if processors <= _PROCESSORS_OF_ONE_GATEWAY else min(processors // 2, _DEFAULT_GATEWAYS_MAX)


def gateway(index: int, *, shares_ports: bool) -> ProcessSpec:
    """Return one gateway. Those that share their ports are told apart by their health files alone."""
    name = f"gateway-{index}"

    def command(context: StackContext) -> CommandLine:
        settings = {
            "GATEWAY_NAME": name,
            "GATEWAY_HOST": HOST,
            "GATEWAY_PORT": str(context.ports.gateway),
            "GATEWAY_HTTP_PORT": str(context.ports.rest),
            "GATEWAY_SHARES_PORTS": "1" if shares_ports else "0",
            "GATEWAY_READY_FILE": str(_health_file(context, name)),
            "MONITOR_ADDRESS": f"{HOST}:{context.ports.otlp}",
        }
        return _service(context, ("gateway",), settings)

    def is_ready(context: StackContext) -> bool:
        ports = context.ports
        return shares_ports or (
            probes.grpc_serves(HOST, ports.gateway) and probes.http_answers(HOST, ports.rest, "/healthz")
        )

    return ProcessSpec(
        name=name,
        ports=("gateway", "rest"),
        command=command,
        is_ready=is_ready,
        health_file=lambda context: _health_file(context, name),
    )


def _lane(store: str, index: int) -> ProcessSpec:
    name = f"lane-{store}-{index}"

    def command(context: StackContext) -> CommandLine:
        settings = {
            "LANE_NAME": name,
            "READY_FILE": str(_health_file(context, name)),
            "MONITOR_ADDRESS": f"{HOST}:{context.ports.otlp}",
        }
        return _service(context, ("processor", "--store", store), settings)

    return ProcessSpec(
        name=name,
        ports=(),
        command=command,
        is_ready=lambda _: True,  # it has no port: all there is to know is in its health file
        health_file=lambda context: _health_file(context, name),
    )


def _envoy_command(context: StackContext) -> CommandLine:
    folder, ports = context.folder("envoy"), context.ports
    settings = {name: value for name, value in context.environment.items() if name.startswith("EDGE_")}
    return CommandLine(
        # It renders the configuration, then becomes Envoy: the supervisor imports nothing for it.
        argv=(
            *(sys.executable, "-m", "stack.engines.envoy", str(folder)),
            *map(str, (ports.edge, ports.gateway, ports.rest)),
        ),
        env=bare_environment() | settings,
        cwd=context.work_dir,
        stop_signal=signal.SIGTERM,
        stop_timeout_s=3.0,  # it has drained before
    )


GATEWAY: Final = gateway(0, shares_ports=False)
MONITOR: Final = ProcessSpec(
    name="monitor",
    ports=("dashboard", "otlp"),
    command=_monitor_command,
    is_ready=lambda context: probes.http_answers(HOST, context.ports.dashboard, "/healthz"),
    health_file=lambda context: _health_file(context, "monitor"),
    before_stop=tell_open_operations,
)
ENVOY: Final = ProcessSpec(
    name="envoy",
    ports=("edge",),
    command=_envoy_command,
    # Live is not enough: it is to answer, and that it does once it has found a gateway.
    is_ready=lambda context: finds_gateways(admin_socket(context.folder("envoy"))),
    before_stop=drain_edge,
)
# What must have run before the services start; each waits for the engines that it needs by itself.
PROVISION: Final = (("-m", "stack.provision"), ("-m", "processor", "migrate"))


def is_healthy(context: StackContext) -> bool:
    """Tell whether the gateway, asked for its health, says that all is well."""
    return probes.says_healthy(HOST, context.ports.rest, "/health")


def service_stages(*, gateways: int, edge: bool, lanes_per_store: int = 1) -> tuple[tuple[ProcessSpec, ...], ...]:
    """Return the services in the order of their stopping, so that what is accepted is still answered and told of.

    `lanes_per_store` is how many processes share the partitions of each store's lane.
    """
    doors = [gateway(index, shares_ports=gateways > 1) for index in range(gateways)]
    lanes = [_lane(store, index) for index in range(lanes_per_store) for store in _LANE_STORES]
    told = [_with_metrics(spec, index) for index, spec in enumerate((MONITOR, *doors, *lanes))]
    monitor, doors, lanes = told[0], told[1 : gateways + 1], told[gateways + 1 :]
    return ((ENVOY,) if edge else (), tuple(doors), tuple(lanes), (monitor,))


def _with_metrics(spec: ProcessSpec, index: int) -> ProcessSpec:
    """Return a service with a port of its own for its metrics. One that is taken keeps no service from starting."""

    def command(context: StackContext) -> CommandLine:
        line = spec.command(context)
        own = {
            "OTEL_EXPORTER_PROMETHEUS_HOST": HOST,
            "OTEL_EXPORTER_PROMETHEUS_PORT": str(context.ports.metrics + index),
        }
        return replace(line, env={**line.env, **own})

    return replace(spec, command=command, metrics_index=index)
