"""The `native` set: real engines, as processes without containers."""

from collections.abc import Callable
from functools import partial
from typing import Final

from stack.engines import mongodb, postgresql, redis
from stack.engines.native import fetch, golang, jaeger, kafka, opensearch, schema_registry
from stack.engines.native.archive import make_archive
from stack.engines.native.folders import moved
from stack.engines.process import in_background
from stack.engines.spec import EngineSpec

# Debian's where they are installed, else the wheels'.
POSTGRESQL: Final = moved(postgresql.INSTALLED_ENGINE)
REDIS: Final = moved(redis.INSTALLED_ENGINE)
_JAVA: Final = (kafka.ENGINE, schema_registry.ENGINE, opensearch.ENGINE)
# A real MongoDB is in no package registry: the wheel's server stands in for it here too.
NATIVE: Final[tuple[EngineSpec, ...]] = (POSTGRESQL, moved(mongodb.ENGINE), REDIS, *_JAVA, jaeger.ENGINE)


def provide(report: Callable[[str], None]) -> None:
    """Fetch, verify and prepare what the engines need, side by side; quick where all is there. Raises StackError."""
    built = golang.begin(jaeger.MODULE, report)
    fetch.provide([engine.name for engine in _JAVA], report)
    archives = [in_background(partial(make_archive, engine, report), f"archive {engine.name}") for engine in _JAVA]
    for done in (*archives, built):
        done.result()
