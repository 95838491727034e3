"""What one `up` starts: the context, the engines of the set, and the environment of the services."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dotenv import dotenv_values

from mesh.settings import (
    EdgeSettings,
    EventStoreSettings,
    KafkaSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
)
from stack.engines import ENGINE_SETS
from stack.engines.spec import HOST, EngineSpec, ProcessSpec, StackContext, StackError
from stack.ports import Ports
from stack.supervisor.services import PROVISION, default_gateways, is_settled, service_stages
from stack.supervisor.state import for_display

_LOOPBACK: Final = f"{HOST},localhost"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start and where."""

    context: StackContext
    engine_set: str
    engines: tuple[EngineSpec, ...]
    stages: tuple[tuple[ProcessSpec, ...], ...]  # the services, in the order of their stopping; they start all at once
    provision: tuple[tuple[str, ...], ...]  # Python's arguments, for what must have run before the services start
    port_offset: int
    settings: dict[str, str]  # what the platform itself sets for its services
    endpoints: dict[str, str | None]  # credentials included
    is_settled: Callable[[StackContext], bool]  # whether the parts, all ready, have heard of each other


def make_plan(
    engine_set: str, data_dir: Path, port_offset: int, *, gateways: int | None = None, edge: bool = False
) -> Plan:
    """Decide what to start. Raises StackError where a setting is wrong.

    `gateways` is how many share the gateways' ports, as many as suit the machine without it; `edge` puts Envoy before
    them.

    Reads `.env` in the working folder, which becomes that of the services. Changes the environment of this process:
    what `.env` says is in it afterwards, and so are the engines' addresses.
    """
    if engine_set not in ENGINE_SETS:
        raise StackError(f"there is no engine set {engine_set}; there are {', '.join(sorted(ENGINE_SETS))}")
    for name, value in dotenv_values(Path(".env")).items():
        if value is not None:
            os.environ.setdefault(name, value)
    try:
        ports = Ports().shifted(port_offset)
        context = StackContext(data_dir, ports, PostgresSettings())
        engines = ENGINE_SETS[engine_set]
        settings = _settings(context, engines)
        os.environ.update(settings)
        endpoints = _endpoints(ports, edge=edge)
    except ValueError as error:  # pydantic's too
        raise StackError(str(error)) from error
    settings["MONITOR_ENDPOINTS_JSON"] = json.dumps({name: for_display(url) for name, url in endpoints.items()})
    environment = _service_environment(settings)
    return Plan(
        context=StackContext(data_dir, ports, context.postgres, environment, Path.cwd()),
        engine_set=engine_set,
        engines=engines,
        stages=service_stages(
            volatile=any(engine.volatile for engine in engines),
            gateways=default_gateways() if gateways is None else gateways,
            edge=edge,
        ),
        provision=PROVISION,
        port_offset=port_offset,
        settings=settings,
        endpoints=endpoints,
        is_settled=is_settled,
    )


def _settings(context: StackContext, engines: tuple[EngineSpec, ...]) -> dict[str, str]:
    """Return the engines' addresses, and what follows from the platform starting its engines itself."""
    settings = {name: value for engine in engines for name, value in engine.environment(context).items()}
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{context.ports.otlp}"}
    if engines:
        return settings | otlp | {"DEMO_DATA": os.environ.get("DEMO_DATA", "1")}
    return {name: os.environ.get(name, value) for name, value in otlp.items()}


def _endpoints(ports: Ports, *, edge: bool) -> dict[str, str | None]:
    """Return where clients reach each part, from the settings that this process has now."""
    rest = f"http://{HOST}:{ports.rest}"
    edge_scheme = "https" if EdgeSettings().certificate_file else "http"
    return {
        "rest": rest,
        "grpc": f"{HOST}:{ports.gateway}",
        "edge": f"{edge_scheme}://{HOST}:{ports.edge}" if edge else None,
        "dashboard": f"http://{HOST}:{ports.dashboard}",
        "docs": f"{rest}/docs",
        "kafka": KafkaSettings().bootstrap_servers,
        "schema_registry": RegistrySettings().url,
        "postgresql": PostgresSettings().dsn,
        "mongodb": MongoSettings().url,
        "redis": RedisSettings().url,
        "opensearch": EventStoreSettings().elasticsearch_host or None,
        "otlp": f"http://{HOST}:{ports.otlp}",
        "jaeger": os.environ.get("JAEGER_URL") or None,
    }


def _service_environment(settings: Mapping[str, str]) -> dict[str, str]:
    environment = {**os.environ, **settings}
    # Compiled modules make every later start faster.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for name in ("no_proxy", "NO_PROXY"):
        # HTTP and gRPC clients would ask a company's proxy for the loopback interface.
        environment[name] = ",".join(filter(None, (environment.get(name), _LOOPBACK)))
    return environment
