"""Engines that several files of tests use, one after the other."""

import pytest

from tests.support.engine_pool import Lease
from tests.support.platform import EngineSet


@pytest.fixture(scope="module")
def command_path(lease: Lease) -> EngineSet:
    """What a command takes to be acknowledged and answered: all of it running, and empty."""
    return lease("kafka", "schema_registry", "redis")
