"""One platform of each engine set for the acceptance tests, started by the command line as a user would."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tests.support.engine_sets import chosen_sets
from tests.support.platform import Platform, Platforms
from tests.support.waiting import eventually

DOORS = ("gateway", "edge")
FINISH_TIMEOUT_S = 30.0

Json = dict[str, Any]
Finished = Callable[[str], Json]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what uses the platform on a set of engines: on the lighter one, or on those that a test names itself.

    Where users would see a difference between the sets, a test is marked with `every_engine_set`. What holds at the
    gateway's own port and behind the edge alike is marked with `every_door`; the rest goes to the gateway.
    """
    named = any("engine_set" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "engine_set" in metafunc.fixturenames and not named:
        everywhere = metafunc.definition.get_closest_marker("every_engine_set") is not None
        sets = chosen_sets() if everywhere else chosen_sets()[-1:]
        metafunc.parametrize("engine_set", sets, scope="session")
    if "door" in metafunc.fixturenames:
        everywhere = metafunc.definition.get_closest_marker("every_door") is not None
        metafunc.parametrize("door", DOORS if everywhere else DOORS[:1])


@pytest.fixture(scope="session")
def platform(engine_set: str, platforms: Platforms) -> Platform:
    """Run the whole platform on a set of engines."""
    return platforms.get(engine_set)


@pytest.fixture
def door_url(platform: Platform, door: str) -> str:
    """Return where REST, gRPC-Web and gRPC are taken."""
    return platform.door(door)


@pytest.fixture
def rest(door_url: str) -> Iterator[httpx.Client]:
    """Return a REST client."""
    with httpx.Client(base_url=door_url, timeout=10) as client:
        yield client


@pytest.fixture
def channel(door_url: str) -> Iterator[grpc.Channel]:
    """Return a gRPC channel to the port that takes every client."""
    with grpc.insecure_channel(httpx.URL(door_url).netloc.decode()) as connected:
        yield connected


@pytest.fixture
def gateway_channel(platform: Platform) -> Iterator[grpc.Channel]:
    """Return a gRPC channel to the gateway's port for gRPC alone."""
    with grpc.insecure_channel(platform.endpoints["grpc"]) as connected:
        yield connected


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
