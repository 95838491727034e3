"""What one `up` starts: the context, the engines of the set, and the environment of the services."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mesh.settings import (
    EdgeSettings,
    EventStoreSettings,
    JaegerSettings,
    KafkaSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
)
from mesh.settings_base import (
    COLLECTOR_NAMES,
    ENV_FILE_VARIABLE,
    Settings,
    check_settings,
    env_file,
    given_settings,
    names_without_effect,
)
from stack.engines import ENGINE_SETS
from stack.engines.spec import HOST, EngineSpec, ProcessSpec, StackContext, StackError
from stack.environments import LAUNCHER_VARIABLE, service_environment
from stack.ports import Ports
from stack.supervisor.services import PROVISION, default_gateways, is_healthy, service_stages
from stack.supervisor.state import for_display

_FILE_NAMES: Final = (
    "POSTGRES_SSLROOTCERT",
    "KAFKA_SSL_CA_LOCATION",
    "SCHEMA_REGISTRY_CA_FILE",
    "ELASTICSEARCH_CA_FILE",
    "JAEGER_CA_FILE",
    "EDGE_CERTIFICATE_FILE",
    "EDGE_KEY_FILE",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What to start and where."""

    context: StackContext
    engine_set: str
    engines: tuple[EngineSpec, ...]
    stages: tuple[tuple[ProcessSpec, ...], ...]  # the services, in the order of their stopping; they start all at once
    provision: tuple[tuple[str, ...], ...]  # Python's arguments, for what must have run before the services start
    port_offset: int
    settings: dict[str, str]  # every setting that its services are given
    endpoints: dict[str, str | None]  # credentials included
    is_healthy: Callable[[StackContext], bool]  # whether the parts, all ready, have heard of each other
    notes: tuple[str, ...] = ()  # what is to be told before anything is started


def make_plan(
    engine_set: str,
    data_dir: Path,
    port_offset: int,
    *,
    gateways: int | None = None,
    edge: bool = False,
    lanes: int = 1,
) -> Plan:
    """Decide what to start. Raises StackError where a setting is wrong.

    `gateways` is how many share the gateways' ports, as many as suit the machine without it; `edge` puts Envoy before
    them; `lanes` is how many processes each store's lane has.

    Reads the settings of the environment and of the file that POLYSTREAM_ENV_FILE names, once: what a service is given
    when it is started again is what it was given first. Changes the environment of this process: all settings are in it
    afterwards, and the file is not named any more.
    """
    if engine_set not in ENGINE_SETS:
        raise StackError(f"there is no engine set {engine_set}; there are {', '.join(sorted(ENGINE_SETS))}")
    try:
        ports = Ports().shifted(port_offset)
        given, notes = _read_settings()
        context = StackContext(data_dir, ports, PostgresSettings())
        engines = ENGINE_SETS[engine_set]
        own = _own_settings(context, engines, given)
        settings = {name: value for name, value in given.items() if not (engines and name in COLLECTOR_NAMES)} | own
        os.environ.update(settings)
        endpoints = _endpoints(ports, edge=edge)
    except ValueError as error:
        raise StackError(str(error)) from error
    settings["GATEWAY_DASHBOARD_URL"] = endpoints["dashboard"] or ""
    settings["MONITOR_ENDPOINTS_JSON"] = json.dumps({name: for_display(url) for name, url in endpoints.items()})
    return Plan(
        context=StackContext(
            *(data_dir, ports, context.postgres, service_environment(settings), Path.cwd()),
            launcher=tuple(os.environ.get(LAUNCHER_VARIABLE, "").split()),
        ),
        engine_set=engine_set,
        engines=engines,
        stages=service_stages(
            gateways=default_gateways() if gateways is None else gateways,
            edge=edge,
            lanes_per_store=lanes,
        ),
        provision=PROVISION,
        port_offset=port_offset,
        settings=settings,
        endpoints=endpoints,
        notes=notes,
        is_healthy=is_healthy,
    )


def _read_settings() -> tuple[dict[str, str], tuple[str, ...]]:
    """Return every setting that was given, and what is to be told of the file. Raises SettingsError.

    Paths are absolute: whoever works with these settings later may be in another folder.
    """
    file = env_file()
    check_settings(Settings.__subclasses__())
    given = given_settings(os.environ, file)
    files = {name: Path(given[name]) for name in _FILE_NAMES if given.get(name)}
    given |= {name: str(path.absolute()) for name, path in files.items() if path.exists()}  # else a word: `system`
    os.environ.pop(ENV_FILE_VARIABLE, None)
    os.environ.update(given)
    return given, tuple(names_without_effect(file)) if file else ()


def _own_settings(context: StackContext, engines: Sequence[EngineSpec], given: Mapping[str, str]) -> dict[str, str]:
    """Return the engines' addresses, and what follows from the platform starting its engines itself."""
    settings = {name: value for engine in engines for name, value in engine.environment(context).items()}
    otlp = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{HOST}:{context.ports.otlp}"}
    metrics = {"OTEL_METRICS_EXPORTER": given.get("OTEL_METRICS_EXPORTER", "otlp,prometheus")}
    if engines:
        return settings | otlp | metrics | {"DEMO_DATA": given.get("DEMO_DATA", "1")}
    return {name: given.get(name, value) for name, value in otlp.items()} | metrics


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
        "jaeger": JaegerSettings().url or None,
    }
