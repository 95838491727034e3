"""Where the containers are reached on this machine: the ports, whether they are free, and the addresses."""

import re
from collections.abc import Collection, Mapping
from typing import Final

from pydantic import SecretStr

from mesh.settings import PostgresSettings
from stack.engines.spec import StackError
from stack.ports import PORT_MAX, Ports
from stack.supervisor.free_ports import require_free

_USUAL: Final = Ports()
# The port of each part on this machine, unless a variable says otherwise, and the services that publish it.
_PUBLISHED: Final = {
    "rest": (_USUAL.rest, ("gateway",)),
    "grpc": (_USUAL.gateway, ("gateway",)),
    "edge": (_USUAL.edge, ("envoy",)),
    "dashboard": (_USUAL.dashboard, ("monitor",)),
    "otlp": (_USUAL.otlp, ("monitor",)),
    "kafka": (_USUAL.kafka, ("kafka",)),
    "schema_registry": (_USUAL.schema_registry, ("schema-registry",)),
    "postgresql": (_USUAL.postgresql, ("postgresql",)),
    "mongodb": (_USUAL.mongodb, ("mongodb",)),
    "redis": (_USUAL.redis, ("redis",)),
    "opensearch": (_USUAL.opensearch, ("opensearch", "elasticsearch")),
    "dashboards": (5601, ("opensearch-dashboards", "kibana")),
    "jaeger": (_USUAL.jaeger, ("jaeger",)),
    "kafka_ui": (8080, ("kafka-ui",)),
    "adminer": (8081, ("adminer",)),
    "mongo_express": (8082, ("mongo-express",)),
    "redis_commander": (8083, ("redis-commander",)),
}
USUAL_PORTS: Final = {name: port for name, (port, _) in _PUBLISHED.items()}


def publishers(name: str) -> tuple[str, ...]:
    """Return the services that may publish a part's port, of which one runs at a time."""
    return _PUBLISHED[name][1]


def variable_of(name: str) -> str:
    """Return the variable of `deploy/compose/.env` that has a part's port."""
    return f"HOST_PORT_{name.upper()}"


def host_ports(said: Mapping[str, str], offset: int) -> dict[str, int]:
    """Return the port of each part, by the variables that Compose reads and moved by an offset. Raises StackError."""
    ports = {}
    for name, usual in USUAL_PORTS.items():
        text = said.get(variable_of(name), "") or str(usual)
        if re.fullmatch(r"[0-9]{1,5}", text) is None or not 1 <= int(text) + offset <= PORT_MAX:
            moved = f", moved by --port-offset {offset}" if offset else ""
            raise StackError(
                f"{variable_of(name)} is {text!r}{moved}: write a whole number so that it is 1 to {PORT_MAX}"
            )
        ports[name] = int(text) + offset
    return ports


def require_free_ports(ports: Mapping[str, int], running: Collection[str], offset: int) -> None:
    """Raise StackError that names every port that is taken; those of services that run already are their own."""
    wanted = {name: port for name, port in ports.items() if not set(publishers(name)) & set(running)}
    require_free(wanted, offset)


def settings_on(ports: Mapping[str, int]) -> dict[str, str]:
    """Return the settings that lead a process on this machine to the engines."""
    return {
        "POSTGRES_HOST": "127.0.0.1",
        "POSTGRES_PORT": str(ports["postgresql"]),
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{ports['kafka']}",
        "SCHEMA_REGISTRY_URL": f"http://127.0.0.1:{ports['schema_registry']}/apis/ccompat/v7",
        "MONGODB_URL": f"mongodb://127.0.0.1:{ports['mongodb']}/streaming_db",
        "REDIS_URL": f"redis://127.0.0.1:{ports['redis']}/0",
    }


def endpoints_on(ports: Mapping[str, int], settings: Mapping[str, str]) -> dict[str, str | None]:
    """Return the address of each part, as clients on this machine take it. Credentials are in it."""
    postgresql = PostgresSettings.model_construct(
        host=settings["POSTGRES_HOST"],
        port=int(settings["POSTGRES_PORT"]),
        user=settings["POSTGRES_USER"],
        password=SecretStr(settings["POSTGRES_PASSWORD"]),
        db=settings["POSTGRES_DB"],
    ).dsn
    pages = ("edge", "dashboard", "opensearch", "otlp", "jaeger", "dashboards", "kafka_ui", "adminer")
    return {
        "rest": f"http://127.0.0.1:{ports['rest']}",
        "grpc": f"127.0.0.1:{ports['grpc']}",
        "docs": f"http://127.0.0.1:{ports['rest']}/docs",
        "kafka": settings["KAFKA_BOOTSTRAP_SERVERS"],
        "schema_registry": settings["SCHEMA_REGISTRY_URL"],
        "postgresql": postgresql.partition("?")[0],
        "mongodb": settings["MONGODB_URL"],
        "redis": settings["REDIS_URL"],
        **{page: f"http://127.0.0.1:{ports[page]}" for page in (*pages, "mongo_express", "redis_commander")},
    }
