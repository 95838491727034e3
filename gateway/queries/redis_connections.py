"""Connections to Redis of which it is noticed that they were reset while nobody used them."""

from collections.abc import Iterable
from typing import cast

from redis.asyncio.connection import AbstractConnection
from redis.asyncio.connection import ConnectionPool as RedisPool
from redis.exceptions import ConnectionError as RedisConnectionError


class _NoticingConnection(AbstractConnection):
    """Tells of a closed connection by the client's own error, for which it connects again."""

    async def send_packed_command(
        self,
        command: bytes | str | Iterable[bytes],
        check_health: bool = True,
    ) -> None:
        """Send a command. Raises ConnectionError where the connection was closed.

        uvloop says so by a RuntimeError, of which redis-py knows nothing: the first command after a reset would fail
        with an unexpected error, although nothing was sent.
        """
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:
            await self.disconnect(nowait=True)
            raise RedisConnectionError("the connection was closed") from error


def notice_resets(pool: RedisPool) -> None:
    """Have a pool's connections, be they encrypted or not, notice that they were reset."""
    base = pool.connection_class
    noticing = type(f"Noticing{base.__name__}", (_NoticingConnection, base), {})
    pool.connection_class = cast(type[AbstractConnection], noticing)
