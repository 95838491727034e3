"""The stores, as queries read them: each connects when it is first asked, and its absence is nobody else's matter."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, LiteralString, TypeVar

import psycopg
import redis.asyncio
import structlog
from psycopg_pool import AsyncConnectionPool, PoolTimeout, TooManyRequests
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.queries.redis_connections import notice_resets
from mesh.error_classes.classes import ErrorClass, ErrorVerdict
from mesh.error_classes.mongodb import classify_mongodb
from mesh.error_classes.postgresql import classify_postgresql
from mesh.error_classes.redis import classify_redis
from mesh.errors import PolystreamError, Reason
from mesh.settings import MongoSettings, PostgresSettings, RedisSettings

POSTGRESQL: Final = "POSTGRESQL"
MONGODB: Final = "MONGODB"
REDIS: Final = "REDIS"

_ANSWER_TIMEOUT_S: Final = 2.0  # for a query, its connection included
_CONNECT_TIMEOUT_MS: Final = 1500
_MAX_CONNECTIONS: Final = 16  # to each store
_MAX_WAITING: Final = 1000  # queries that wait for a connection
_CLOSE_TIMEOUT_S: Final = 2.0
_DATABASE: Final = "streaming_db"  # where the URL names none

_LATE: Final = ErrorVerdict(ErrorClass.WAIT, "the store does not answer in time")
# What each store's part of this client raises, beside what it is asked for.
_FAILURES: Final = (TimeoutError, PoolTimeout, TooManyRequests, psycopg.Error, PyMongoError, RedisError)

Row = tuple[Any, ...]
Parameters = Sequence[Any] | Mapping[str, Any]
Document = dict[str, Any]
T = TypeVar("T")

log = structlog.stdlib.get_logger(__name__)


class Stores:
    """The three stores' clients. Belongs to one event loop; nothing connects before it is asked.

    Every query answers within about two seconds, or raises PolystreamError with STORE_UNAVAILABLE and the store's
    name.
    """

    def __init__(self, postgres: PostgresSettings, mongo: MongoSettings, redis_settings: RedisSettings) -> None:
        self._postgres = postgres
        self._pool: AsyncConnectionPool | None = None
        self._opening = asyncio.Lock()
        self._mongo: AsyncMongoClient[Document] = AsyncMongoClient(
            mongo.url,
            connect=False,
            tz_aware=True,
            appname="polystream-gateway",
            maxPoolSize=_MAX_CONNECTIONS,
            serverSelectionTimeoutMS=_CONNECT_TIMEOUT_MS,
            connectTimeoutMS=_CONNECT_TIMEOUT_MS,
            waitQueueTimeoutMS=_CONNECT_TIMEOUT_MS,
            timeoutMS=int(_ANSWER_TIMEOUT_S * 1000),
        )
        connections = redis.asyncio.BlockingConnectionPool.from_url(
            redis_settings.url,
            max_connections=_MAX_CONNECTIONS,
            timeout=_CONNECT_TIMEOUT_MS / 1000,
            socket_timeout=_ANSWER_TIMEOUT_S,
            socket_connect_timeout=_CONNECT_TIMEOUT_MS / 1000,
            retry=Retry(NoBackoff(), 1),
        )
        notice_resets(connections)
        self._redis = Redis.from_pool(connections)
        self._away: set[str] = set()  # stores that did not answer the last query
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def redis_client(self) -> Redis:
        """The Redis client itself, for the operations."""
        return self._redis

    async def rows(self, sql: LiteralString, parameters: Parameters) -> list[Row]:
        """Return the rows of a SELECT."""
        return await self._bounded(POSTGRESQL, self._select(sql, parameters))

    async def documents(self, work: Callable[[AsyncDatabase[Document]], Awaitable[T]]) -> T:
        """Return what `work` reads from the MongoDB database."""
        return await self._bounded(MONGODB, work(self._mongo.get_default_database(_DATABASE)))

    async def keys(self, work: Callable[[Redis], Awaitable[T]]) -> T:
        """Return what `work` reads from Redis."""
        return await self._bounded(REDIS, work(self._redis))

    async def close(self) -> None:
        """Close every connection, within seconds."""
        for task in self._abandoned:
            task.cancel()
        closing = [self._mongo.close(), self._redis.aclose()]
        if self._pool is not None:
            closing.append(self._pool.close(timeout=_CLOSE_TIMEOUT_S))
        with suppress(TimeoutError):
            async with asyncio.timeout(2 * _CLOSE_TIMEOUT_S):
                await asyncio.gather(*closing, return_exceptions=True)

    async def _select(self, sql: LiteralString, parameters: Parameters) -> list[Row]:
        pool = await self._open_pool()
        try:
            return await _fetch(pool, sql, parameters)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None and not error.sqlstate.startswith(("08", "57P")):
                raise
        # The server was restarted: its other connections are dead too. Reading twice does no harm.
        await pool.check()
        return await _fetch(pool, sql, parameters)

    async def _open_pool(self) -> AsyncConnectionPool:
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    pool = _new_pool(self._postgres)
                    await pool.open(wait=False)
                    self._pool = pool
        return self._pool

    async def _bounded(self, store: str, answer: Awaitable[T]) -> T:
        """Wait for a store's answer, no longer than it may take.

        A client may take its time to give a query up, where the server has stopped dead: it does so by itself.
        """
        task = asyncio.ensure_future(answer)
        try:
            await asyncio.wait({task}, timeout=_ANSWER_TIMEOUT_S)
            if not task.done():
                raise TimeoutError
            result = task.result()
        except _FAILURES as error:
            verdict = _classified(error)
            if not verdict.waits:
                raise
            self._note_absence(store, verdict.cause)
            raise PolystreamError(
                Reason.STORE_UNAVAILABLE, metadata={"store": store, "error": verdict.cause}
            ) from error
        finally:
            if not task.done():
                self._abandon(task)
        self._note_presence(store)
        return result

    def _note_absence(self, store: str, cause: str) -> None:
        if store not in self._away:
            self._away.add(store)
            log.warning("a store does not answer", store=store, error=cause)

    def _note_presence(self, store: str) -> None:
        if store in self._away:
            self._away.discard(store)
            log.info("a store answers again", store=store)

    def _abandon(self, task: "asyncio.Future[Any]") -> None:
        task.cancel()
        if isinstance(task, asyncio.Task):
            self._abandoned.add(task)
            task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of: nobody waits for it


def _classified(error: Exception) -> ErrorVerdict:
    if isinstance(error, psycopg.Error) and not isinstance(error, PoolTimeout | TooManyRequests):
        return classify_postgresql(error)
    if isinstance(error, PyMongoError):
        return classify_mongodb(error)
    if isinstance(error, RedisError):
        return classify_redis(error)
    return _LATE


async def _fetch(
    pool: AsyncConnectionPool, sql: LiteralString, parameters: Sequence[Any] | Mapping[str, Any]
) -> list[Row]:
    async with pool.connection() as connection:
        cursor = await connection.execute(sql, parameters)
        return await cursor.fetchall()


def _new_pool(settings: PostgresSettings) -> AsyncConnectionPool:
    # It would log every attempt to connect: that the store is away is said once, by `Stores`.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    return AsyncConnectionPool(
        settings.dsn,
        kwargs={
            "autocommit": True,
            "application_name": "polystream-gateway",
            "options": f"-c statement_timeout={int(_ANSWER_TIMEOUT_S * 1000)} -c default_transaction_read_only=on",
            "tcp_user_timeout": _CONNECT_TIMEOUT_MS * 2,
        },
        min_size=0,
        max_size=_MAX_CONNECTIONS,
        max_waiting=_MAX_WAITING,
        timeout=_CONNECT_TIMEOUT_MS / 1000,
        # The next query tries again: a server that is back is found at once, not after a long pause.
        reconnect_timeout=_CONNECT_TIMEOUT_MS / 1000,
        name="queries",
        open=False,
    )
