"""What the cells act on: native engines, a proxy before each, and one platform that reaches them through these."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from cli.verify.fault_proxy import FaultProxy
from mesh.settings import PostgresSettings
from stack.engines.native import NATIVE
from stack.engines.native import kafka as native_kafka
from stack.engines.native.folders import data_folder
from stack.engines.spec import HOST, EngineSpec, StackContext
from tests.support.platform import EngineSet, Platform
from tests.support.ports import free_port_run

# Kafka's own way to keep rules about who may do what: without one, everybody may do everything.
_AUTHORIZER: Final = (
    "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
    "allow.everyone.if.no.acl.found=true\n"
)
ENGINES: Final = ("postgresql", "mongodb", "redis", "kafka", "schema_registry", "opensearch", "jaeger")
_START_TIMEOUT_S: Final = 180.0  # seven engines have just been started on the same machine


class World:
    """All of it, running."""

    def __init__(self, engines: EngineSet, proxies: dict[str, FaultProxy], platform: Platform) -> None:
        self.engines = engines
        self.proxies = proxies
        self.platform = platform

    @property
    def postgresql(self) -> str:
        """The address of PostgreSQL itself, past the proxy."""
        return self.engines.endpoints["postgresql"]

    @property
    def mongodb(self) -> str:
        """The address of the MongoDB server itself."""
        return self.engines.endpoints["mongodb"]

    @property
    def redis(self) -> str:
        """The address of Redis itself."""
        return self.engines.endpoints["redis"]

    @property
    def kafka(self) -> str:
        """The address of Kafka itself: a listener of its own, which leads back to itself."""
        return self.engines.endpoints["kafka"]

    @property
    def opensearch(self) -> str:
        """The address of OpenSearch itself."""
        return self.engines.endpoints["opensearch"]


@contextmanager
def running_world(folder: Path) -> Iterator[World]:
    """Start engines, proxies and platform, and stop them again."""
    with ExitStack() as stack:
        proxied_kafka, kafka_port = free_port_run(1), free_port_run(1)
        among = [_behind(kafka_port, proxied_kafka) if e.name == "kafka" else e for e in NATIVE]
        engines = EngineSet(ENGINES, folder / "engines", among)
        stack.callback(engines.stop_all)
        engines.start_all()
        ports = engines.context.ports
        targets = {
            "postgresql": ports.postgresql,
            "mongodb": ports.mongodb,
            "redis": ports.redis,
            "schema_registry": ports.schema_registry,
            "opensearch": ports.opensearch,
            "jaeger": ports.jaeger_otlp,
        }
        proxies = {name: FaultProxy(free_port_run(1), port) for name, port in targets.items()}
        proxies["kafka"] = FaultProxy(proxied_kafka, kafka_port)
        for proxy in proxies.values():
            stack.enter_context(proxy)
        platform = Platform(
            folder / "platform",
            engine_set="external",
            settings=_settings(engines, proxies),
            start_timeout_s=_START_TIMEOUT_S,
        )
        stack.callback(platform.stop)  # also of one that did not become ready
        platform.start()
        yield World(engines, proxies, platform)


def _settings(engines: EngineSet, proxies: dict[str, FaultProxy]) -> dict[str, str]:
    """Return the settings that lead the platform to the proxies."""
    at = {name: f"{HOST}:{proxy.port}" for name, proxy in proxies.items()}
    database = PostgresSettings().db
    return {
        **engines.settings,
        "POSTGRES_HOST": HOST,
        "POSTGRES_PORT": str(proxies["postgresql"].port),
        # Else the client would follow the address that the server gives of itself, past the proxy.
        "MONGODB_URL": f"mongodb://{at['mongodb']}/{database}?directConnection=true",
        "REDIS_URL": f"redis://{at['redis']}/0",
        "KAFKA_BOOTSTRAP_SERVERS": at["kafka"],
        "SCHEMA_REGISTRY_URL": f"http://{at['schema_registry']}/apis/ccompat/v7",
        "ELASTICSEARCH_HOST": f"http://{at['opensearch']}",
        "JAEGER_OTLP_ENDPOINT": f"http://{at['jaeger']}",
        "DEMO_DATA": "1",
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
    }


def _behind(port: int, advertised: int) -> EngineSpec:
    """Return a Kafka with an authorizer, and a second listener, which tells its clients to come through the proxy."""
    engine = native_kafka.ENGINE

    def prepare(context: StackContext) -> None:
        engine.prepare(context)
        file = data_folder(context, engine.name) / "server.properties"
        lines = []
        for line in file.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            added = {
                "listeners": f",PROXIED://{HOST}:{port}",
                "advertised.listeners": f",PROXIED://{HOST}:{advertised}",
                "listener.security.protocol.map": ",PROXIED:PLAINTEXT",
            }
            lines.append(f"{name}={value}{added.get(name, '')}\n")
        file.write_text("".join(lines) + _AUTHORIZER, encoding="utf-8")

    return replace(engine, prepare=prepare)
