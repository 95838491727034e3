"""Redis's states."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from tests.support.dependency_faults.world import World

_SECRET = "a password that the platform does not have"
_PAUSE_MAX_MS = 120_000  # it ends with the block; this is the bound


@contextmanager
def wants_a_password(world: World) -> Iterator[None]:
    """Answer NOAUTH to everybody who comes now."""
    with redis.Redis.from_url(world.redis) as admin:
        admin.config_set("requirepass", _SECRET)
        admin.client_kill_filter(_type="normal", skipme=True)
    try:
        yield
    finally:
        with redis.Redis.from_url(world.redis, password=_SECRET) as admin:
            admin.config_set("requirepass", "")


@contextmanager
def answers_reads_only(world: World) -> Iterator[None]:
    """Hold every write back, unanswered."""
    with redis.Redis.from_url(world.redis) as admin:
        admin.execute_command("CLIENT", "PAUSE", _PAUSE_MAX_MS, "WRITE")
        try:
            yield
        finally:
            admin.execute_command("CLIENT", "UNPAUSE")
