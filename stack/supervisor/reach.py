"""Whether the engines that the settings point at can be reached, before services are started on them."""

import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mesh.hosts import host_and_port
from mesh.settings import (
    KafkaSettings,
    MigrationSettings,
    MongoSettings,
    PostgresSettings,
    RedisSettings,
    RegistrySettings,
)
from stack.engines.spec import StackError

_CONNECT_TIMEOUT_S: Final = 2.0
_PAUSE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Engine:
    name: str
    variable: str  # the setting that says where it is
    addresses: tuple[str, ...]  # `host:port`; one that answers is enough

    def __str__(self) -> str:
        return f"{self.name} at {' or '.join(self.addresses)} ({self.variable})"

    def is_reached(self) -> bool:
        return any(map(_connects, self.addresses))


def wait_for_engines(report: Callable[[str], None]) -> None:
    """Return once each engine takes connections. What is waited for is reported, once.

    Raises StackError, which names those that have not answered within STORE_WAIT_MAX_S.
    """
    give_up_s = time.monotonic() + MigrationSettings().store_wait_max_s
    absent = [engine for engine in _engines() if not engine.is_reached()]
    if absent:
        report(f"waiting for {_listed(absent)}")
    while absent:
        if time.monotonic() >= give_up_s:
            raise StackError(f"these do not answer: {_listed(absent)}: start them, or say in .env where they are")
        time.sleep(_PAUSE_S)
        absent = [engine for engine in absent if not engine.is_reached()]


def _listed(engines: list[_Engine]) -> str:
    return ", ".join(map(str, engines))


def _engines() -> Iterator[_Engine]:
    """Return those that have an address of their own: no socket in the file system, no service of DNS."""
    postgres, registry = PostgresSettings(), RegistrySettings()
    if not postgres.host.startswith("/"):
        hosts = tuple(host_and_port(host, postgres.port) for host in postgres.host.split(","))
        yield _Engine("PostgreSQL", "POSTGRES_HOST, POSTGRES_PORT", hosts)
    mongodb, redis = urlsplit(MongoSettings().url), urlsplit(RedisSettings().url)
    if mongodb.scheme == "mongodb":
        hosts = tuple(_with_port(host, 27017) for host in mongodb.netloc.rpartition("@")[2].split(","))
        yield _Engine("MongoDB", "MONGODB_URL", hosts)
    if redis.scheme != "unix":
        yield _Engine("Redis", "REDIS_URL", (_with_port(redis.netloc.rpartition("@")[2], 6379),))
    brokers = (broker.strip().rpartition("://")[2] for broker in KafkaSettings().bootstrap_servers.split(","))
    yield _Engine("Kafka", "KAFKA_BOOTSTRAP_SERVERS", tuple(brokers))
    if not registry.proxy_url:
        url = urlsplit(registry.url)
        port = 443 if url.scheme == "https" else 80
        yield _Engine("the schema registry", "SCHEMA_REGISTRY_URL", (_with_port(url.netloc.rpartition("@")[2], port),))


def _with_port(address: str, port: int) -> str:
    has_port = address.rpartition("]")[2].rpartition(":")[1]
    return address if has_port else f"{address}:{port}"


def _connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_TIMEOUT_S).close()
    except (OSError, ValueError):
        return False
    return True
