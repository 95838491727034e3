"""The engines that the platform stands on, and the sets that they come in."""

from collections.abc import Callable
from typing import Final

from stack.engines import kafka, mongodb, native, postgresql, redis, schema_registry
from stack.engines.spec import EngineSpec

EMBEDDED: Final = (postgresql.ENGINE, mongodb.ENGINE, redis.ENGINE, kafka.ENGINE, schema_registry.ENGINE)

# A set's engines are started by it; `external` starts none and uses what the settings point at.
ENGINE_SETS: Final[dict[str, tuple[EngineSpec, ...]]] = {"embedded": EMBEDDED, "native": native.NATIVE, "external": ()}


def provide(engine_set: str, report: Callable[[str], None]) -> None:
    """Bring what the engines of a set need and the installation has not, telling how it goes. Raises StackError."""
    if engine_set == "native":
        native.provide(report)
