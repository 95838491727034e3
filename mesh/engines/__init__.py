"""The engines that the platform stands on, and the sets that they come in."""

from typing import Final

from mesh.engines import kafka, mongodb, postgresql, redis, schema_registry
from mesh.engines.part import Engine

EMBEDDED: Final = (postgresql.ENGINE, mongodb.ENGINE, redis.ENGINE, kafka.ENGINE, schema_registry.ENGINE)

# A set's engines are started by it; `external` starts none and uses what the settings point at.
ENGINE_SETS: Final[dict[str, tuple[Engine, ...]]] = {"embedded": EMBEDDED, "external": ()}
