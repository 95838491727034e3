"""Engines that several files of tests use, one after the other."""

import pytest

from tests.support.engine_pool import Lease
from tests.support.gateways import SERVERS
from tests.support.platform import EngineSet


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Serve by the gateway's usual gRPC server, and where the servers could differ, by each: see `every_server`."""
    if "server_kind" in metafunc.fixturenames:
        everywhere = metafunc.definition.get_closest_marker("every_server") is not None
        metafunc.parametrize("server_kind", SERVERS if everywhere else SERVERS[:1])


@pytest.fixture(scope="module")
def command_path(lease: Lease) -> EngineSet:
    """What a command takes to be acknowledged and answered: all of it running, and empty."""
    return lease("kafka", "schema_registry", "redis")
