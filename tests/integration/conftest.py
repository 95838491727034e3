"""Engines that several files of tests use, one after the other."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis

from tests.support.platform import EngineSet, engines


@pytest.fixture(scope="session")
def _command_path(tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack) -> Iterator[EngineSet]:
    with engines({"kafka", "schema_registry", "redis"}, tmp_path_factory.mktemp("command_path")) as started:
        until_group_ends.callback(started.stop_all)
        yield started


@pytest.fixture(scope="module")
def command_path(_command_path: EngineSet) -> EngineSet:
    """What a command takes to be acknowledged and answered: all of it running, and Redis empty, for request IDs."""
    _command_path.start_all()
    with redis.Redis.from_url(_command_path.endpoints["redis"]) as client:
        client.flushall()
    return _command_path
