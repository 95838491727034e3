"""The stores' engines, for conformance tests: every one that the platform starts, and servers of somebody else's.

To hold another server to a suite, name its URL in CONFORMANCE_POSTGRESQL_URL, CONFORMANCE_MONGODB_URL or
CONFORMANCE_REDIS_URL: PostgreSQL 15 and later, MongoDB 7 and later, Redis 7 and later. The database in the URL has to
be empty, and is left with what the tests put there. Tests that kill the server run on the platform's own engines only.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from mesh.settings import MongoSettings, PostgresSettings, RedisSettings
from stack.engines import mongodb, native, postgresql, redis
from stack.engines.spec import CommandLine, EngineSpec, StackContext
from tests.support.debian import install
from tests.support.platform import EngineSet
from tests.support.unavailable import UnavailableError, once

EXTERNAL: Final = "external"
# Nothing else may stand in for these: by the engine, a program and the package that has it.
_DEBIAN: Final[Mapping[str, tuple[Path, str]]] = {
    "postgresql-15": (Path("/usr/lib/postgresql/15/bin/initdb"), "postgresql"),
    "redis": (Path("/usr/bin/redis-server"), "redis-server"),
}


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the platform's, and the engines that claim it."""

    engines: Mapping[str, EngineSpec]
    url_variable: str

    @property
    def own(self) -> list[str]:
        """The engines that the platform starts: they may be killed."""
        return list(self.engines)

    @property
    def all(self) -> list[str]:
        """They, and the server of somebody else's where one is named."""
        return [*self.engines, *([EXTERNAL] if os.environ.get(self.url_variable) else [])]


RELATIONAL: Final = Port(
    {"postgresql-18": postgresql.ENGINE, "postgresql-15": native.POSTGRESQL}, "CONFORMANCE_POSTGRESQL_URL"
)
# The native set starts the same program: a MongoDB is in no package registry.
DOCUMENT: Final = Port({"secantusdb": mongodb.ENGINE}, "CONFORMANCE_MONGODB_URL")
CACHE: Final = Port({"valkey": redis.ENGINE, "redis": native.REDIS}, "CONFORMANCE_REDIS_URL")


class StoreServer:
    """A store's server: on a free port, over a data folder that outlives its process; or somebody else's."""

    def __init__(self, port: Port, name: str, folder: Path, *options: str) -> None:
        """`options` are further arguments of its command line."""
        self.name = name
        if name == EXTERNAL:
            self.url = os.environ[port.url_variable]
            return
        if name in _DEBIAN:
            provide_debian_stores()
        engine = port.engines[name]
        self.kind = engine.name
        self.engines = EngineSet({engine.name}, folder, [_with(engine, options)])
        self.url = self.engines.endpoints[engine.name]

    @property
    def postgres(self) -> PostgresSettings:
        """Settings that lead to it."""
        parts = {key: value for key, value in conninfo_to_dict(self.url).items() if value is not None}
        names = {"host": "host", "port": "port", "user": "user", "password": "password", "dbname": "db"}
        return PostgresSettings(**{names[key]: parts[key] for key in names if key in parts})  # type: ignore[arg-type]

    @property
    def mongo(self) -> MongoSettings:
        """Settings that lead to it."""
        return MongoSettings(url=self.url)

    @property
    def redis(self) -> RedisSettings:
        """Settings that lead to it."""
        return RedisSettings(url=self.url)

    def start(self) -> None:
        """Start it, again on its data if it ran before, and wait until it is ready."""
        if self.name != EXTERNAL:
            self.engines.start(self.kind)

    def stop(self) -> None:
        """Stop it as the supervisor would, if it runs."""
        if self.name != EXTERNAL:
            self.engines.stop_all()

    def kill(self) -> None:
        """Send SIGKILL to it and its children, and wait until all of them are dead."""
        self.engines.kill(self.kind)


@once
def provide_debian_stores() -> None:
    """Make sure that Debian's PostgreSQL and Redis are there, installed where this is root on Debian."""
    if packages := _missing():
        install(*packages)
    if packages := _missing():
        raise UnavailableError(
            "PostgreSQL 15 and Redis 7 of Debian's: install them with "
            f"`apt-get install -y --no-install-recommends {' '.join(packages)}`"
        )


def _missing() -> list[str]:
    return [package for program, package in _DEBIAN.values() if not program.exists()]


def _with(engine: EngineSpec, options: Sequence[str]) -> EngineSpec:
    def command(context: StackContext) -> CommandLine:
        plain = engine.command(context)
        return replace(plain, argv=(*plain.argv, *options))

    return replace(engine, command=command)
