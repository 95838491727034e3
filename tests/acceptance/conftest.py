"""One platform for the acceptance tests, started by the command line as a user would."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.support.engine_sets import chosen_sets
from tests.support.platform import Platform
from tests.support.waiting import eventually

FINISH_TIMEOUT_S = 30.0

Json = dict[str, Any]
Finished = Callable[[str], Json]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses the platform on every set of engines that was chosen, or on those that a test names itself."""
    named = any("engine_set" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "engine_set" in metafunc.fixturenames and not named:
        metafunc.parametrize("engine_set", chosen_sets(), scope="session")


@pytest.fixture(scope="session")
def platform(
    engine_set: str, tmp_path_factory: pytest.TempPathFactory, until_group_ends: ExitStack
) -> Iterator[Platform]:
    """Run the whole platform on free ports and its own data."""
    with Platform(tmp_path_factory.mktemp("platform"), engine_set=engine_set) as running:
        until_group_ends.callback(running.stop)
        yield running


@pytest.fixture
def rest(platform: Platform) -> Iterator[httpx.Client]:
    """Return a REST client of the edge."""
    with httpx.Client(base_url=platform.endpoints["rest"], timeout=10) as client:
        yield client


@pytest.fixture
def edge_channel(platform: Platform) -> Iterator[grpc.Channel]:
    """Return a gRPC channel to the edge."""
    with grpc.insecure_channel(httpx.URL(platform.endpoints["rest"]).netloc.decode()) as channel:
        yield channel


@pytest.fixture
def gateway_channel(platform: Platform) -> Iterator[grpc.Channel]:
    """Return a gRPC channel straight to the gateway."""
    with grpc.insecure_channel(platform.endpoints["grpc"]) as channel:
        yield channel


@pytest.fixture
def finished(rest: httpx.Client) -> Finished:
    """Return a function that waits until an operation is done, and returns it."""

    def wait(correlation_id: str) -> Json:
        found: list[Json] = []

        def done() -> bool:
            operation = rest.get(f"/status/{correlation_id}").raise_for_status().json()
            found[:] = [operation]
            return bool(operation["state"] != "ACCEPTED")

        eventually(done, FINISH_TIMEOUT_S)
        return found[0]

    return wait


@pytest.fixture(scope="session")
def repository() -> Path:
    """Return the root of the checkout."""
    return Path(__file__).parents[2]
