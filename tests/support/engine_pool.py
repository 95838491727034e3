"""Engines that run for all tests of a worker: each is started when a test first asks for it, and then once.

A start costs seconds of CPU, emptying what runs some milliseconds. So a module is leased running engines, emptied of
what the module before has left in them:

- PostgreSQL: the schema `public` is dropped and made anew, other sessions are ended.
- MongoDB: every database is dropped. Redis: every key, and every script.
- Kafka: topics and consumer groups are deleted, so that topics which are created again are new incarnations.
- OpenSearch, Elasticsearch: all indices are deleted but their own.
- The registry keeps its schemas, which are the same for all; a test that counts them uses subjects of its own.

Modules have them one after the other: a lease ends with the next one. A test may kill or stop an engine that it has
leased: the next lease starts it again. It leaves none that hangs, and none without the data that it had.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

import httpx
import psycopg
import pymongo
import redis
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaError, KafkaException

from stack.engines.spec import EngineSpec
from tests.support.engine_sets import chosen_engines
from tests.support.platform import EngineSet
from tests.support.waiting import eventually

# Longer than a group waits for a member that was killed: only then its group can be deleted.
_EMPTY_TIMEOUT_S: Final = 60.0
_INTERNAL: Final = {"admin", "config", "local"}  # MongoDB's own databases


class Lease(Protocol):
    """What gives a test engines by their names."""

    def __call__(self, *names: str, among: Sequence[EngineSpec] | None = None) -> EngineSet:
        """Return these engines, running and empty: of the run's set, or of those among which they are."""


class EnginePool:
    """The engines of the set that the run uses, and of others for tests that name them."""

    def __init__(self, folder: Path, until_group_ends: ExitStack) -> None:
        self._folder = folder
        self._until_group_ends = until_group_ends
        self._sets: dict[tuple[EngineSpec, ...], EngineSet] = {}
        self._used: set[tuple[Path, str]] = set()  # what somebody has had before

    def lease(self, *names: str, among: Sequence[EngineSpec] | None = None) -> EngineSet:
        """Return these engines, running and empty: of the run's set, or of those among which they are."""
        engines = self._set(chosen_engines() if among is None else tuple(among))
        leased = engines.part(names)
        if not engines.is_running():
            self._until_group_ends.callback(engines.stop_all)
        leased.start_all()
        for name in names:
            if (engines.context.data_dir, name) in self._used:
                _EMPTY.get(name, _keep)(leased.endpoints[name])
            self._used.add((engines.context.data_dir, name))
        return leased

    def stop_all(self) -> None:
        """Stop whatever runs."""
        for engines in self._sets.values():
            engines.stop_all()

    def _set(self, among: tuple[EngineSpec, ...]) -> EngineSet:
        if among not in self._sets:
            folder = self._folder / str(len(self._sets))
            self._sets[among] = EngineSet({engine.name for engine in among}, folder, among)
        return self._sets[among]


def _keep(_: str) -> None:
    """Leave what is there."""


def _empty_postgresql(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = current_user AND pid <> pg_backend_pid()"
        )
        connection.execute("DROP SCHEMA public CASCADE")
        connection.execute("CREATE SCHEMA public")


def _empty_mongodb(url: str) -> None:
    with pymongo.MongoClient[dict[str, object]](url) as client:
        for name in set(client.list_database_names()) - _INTERNAL:
            client.drop_database(name)


def _empty_redis(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.flushall()
        client.script_flush()


def _empty_kafka(address: str) -> None:
    admin = AdminClient({"bootstrap.servers": address, "log_level": 2})
    found = [name for name in admin.list_topics(timeout=_EMPTY_TIMEOUT_S).topics if not name.startswith("__")]
    if found:
        for deleted in admin.delete_topics(found, operation_timeout=_EMPTY_TIMEOUT_S).values():
            deleted.result(_EMPTY_TIMEOUT_S)
    eventually(lambda: not _delete_groups(admin), _EMPTY_TIMEOUT_S)


def _delete_groups(admin: AdminClient) -> list[str]:
    """Delete the consumer groups, and return those that could not be: they still have members."""
    listed = admin.list_consumer_groups(request_timeout=_EMPTY_TIMEOUT_S).result(_EMPTY_TIMEOUT_S)
    names = [str(group.group_id) for group in listed.valid or ()]
    left: list[str] = []
    for name, deleted in (admin.delete_consumer_groups(names) if names else {}).items():
        try:
            deleted.result(_EMPTY_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.GROUP_ID_NOT_FOUND:
                left.append(name)
    return left


def _empty_search_engine(url: str) -> None:
    indices: Iterable[Mapping[str, str]] = httpx.get(
        f"{url}/_cat/indices", params={"h": "index", "format": "json", "expand_wildcards": "all"}, timeout=30
    ).json()
    for index in indices:
        if not index["index"].startswith("."):
            httpx.delete(f"{url}/{index['index']}", timeout=30).raise_for_status()


_EMPTY: Final[Mapping[str, Callable[[str], None]]] = {
    "postgresql": _empty_postgresql,
    "mongodb": _empty_mongodb,
    "redis": _empty_redis,
    "kafka": _empty_kafka,
    "opensearch": _empty_search_engine,
    "elasticsearch": _empty_search_engine,
}
