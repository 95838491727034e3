"""Each dependency in each bad state, on the native engines, while commands trickle in.

In every cell of tests/support/dependency_faults/table.py: whoever the table names tells of it within 10 s; what does
not need the dependency goes on; the platform is HEALTHY within 30 s of the end of the cause, by itself; and then every
acknowledged command is done once, and in its user's order.

It is run by its name, beside the suite: `python3 start.py test tests/acceptance/dependencies.py`.
The bounds are for a quiet machine. On a busy one they grow with its load, up to four times.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.support.dependency_faults.cell import Cell, State
from tests.support.dependency_faults.table import CELLS, ENGINES, NOT_MADE
from tests.support.dependency_faults.world import World, running_world
from tests.support.native import provide_native
from tests.support.trickle import Sent, Trickle, make_users
from tests.support.waiting import eventually

_TOLD_MAX_S: Final = 10.0
_RECOVERED_MAX_S: Final = 30.0
_GO_ON_MAX_S: Final = 20.0
_PATIENCE_MAX: Final = 4.0
_USERS: Final = 3
_HEALTH_TIMEOUT_S: Final = 5.0
_QUERY_TIMEOUT_S: Final = 10.0
_PART_OF: Final = {"gateway": "gateway-0", "monitor": "monitor"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All engines, a proxy before each, and a platform that all cells share."""
    provide_native()
    with running_world(tmp_path_factory.mktemp("dependencies")) as running:
        yield running


@pytest.fixture(scope="module")
def user_ids(world: World) -> list[int]:
    """Users whom every lane knows."""
    return make_users(world.platform.door("gateway"), _USERS)


def test_the_table_has_every_cell() -> None:
    """Each engine is there in each state, or it is said why no machine can make that."""
    made = {(cell.dependency, cell.state) for cell in CELLS}
    unmade = {(cell.dependency, cell.state) for cell in NOT_MADE}
    assert made.isdisjoint(unmade)
    assert {(engine, state) for engine in ENGINES for state in State} <= made | unmade
    assert all(cell.why for cell in NOT_MADE)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_cell(world: World, user_ids: list[int], cell: Cell) -> None:
    """It is told, the rest goes on, it recovers, and nothing is lost or done twice."""
    url = world.platform.door("gateway")
    patience = _patience()
    _await_health(url, patience)
    trickle = Trickle(url, user_ids)
    part = _PART_OF.get(cell.dependency, f"{cell.dependency}-0")
    restarts = _restarts(world, part)
    with trickle.running(_RECOVERED_MAX_S * patience):
        eventually(lambda: len(trickle.acknowledged) >= _USERS, _GO_ON_MAX_S * patience)
        with cell.cause(world):
            _assert_told(world, url, cell, part, restarts, patience)
            _assert_rest_goes_on(url, cell, trickle, patience)
        ended_s = time.monotonic()
        _await_health(url, patience)
    left_s = max(5.0, _RECOVERED_MAX_S * patience - (time.monotonic() - ended_s))
    _assert_nothing_lost(world, trickle, left_s, patience)


def _patience() -> float:
    """Return how many times longer this machine may take than a quiet one."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return min(_PATIENCE_MAX, max(1.0, waiting))


def _health(url: str) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{url}/health", timeout=_HEALTH_TIMEOUT_S).raise_for_status().json()
    return answer


def _await_health(url: str, patience: float) -> None:
    def trouble() -> list[str]:
        health = _health(url)
        return [
            f"{one['name']}: {one['status']}: {one['detail']}"
            for one in health["components"]
            if one["status"] != "HEALTHY"
        ]

    last: list[str] = ["nothing was asked"]

    def healthy() -> bool:
        last[:] = trouble()
        return not last

    try:
        eventually(healthy, _RECOVERED_MAX_S * patience)
    except AssertionError as error:
        raise AssertionError(f"not HEALTHY after {_RECOVERED_MAX_S * patience:.0f} s: {last}") from error


def _restarts(world: World, part: str) -> int:
    return next((one.restarts for one in world.platform.state.processes if one.name == part), 0)


def _assert_told(world: World, url: str, cell: Cell, part: str, restarts: int, patience: float) -> None:
    """Check that a component which the table names is not HEALTHY, and says why; a part's end shows at `status`."""
    if not cell.told:

        def shown() -> bool:
            (process,) = (one for one in world.platform.state.processes if one.name == part)
            return process.restarts > restarts or process.status != "ready"

        eventually(shown, _TOLD_MAX_S * patience)
        return
    last: dict[str, Any] = {}

    def told() -> bool:
        last.clear()
        last.update({one["name"]: one for one in _health(url)["components"]})
        return any(
            last[wanted.component]["status"] != "HEALTHY"
            and (
                not wanted.words
                or any(word.lower() in last[wanted.component]["detail"].lower() for word in wanted.words)
            )
            for wanted in cell.told
        )

    try:
        eventually(told, _TOLD_MAX_S * patience)
    except AssertionError as error:
        seen = {name: f"{one['status']} {one['detail']}" for name, one in last.items()}
        raise AssertionError(f"not told after {_TOLD_MAX_S * patience:.0f} s, but {seen}") from error
    _assert_detail(last, cell)
    if any(wanted.component.startswith("lane-") and wanted.words for wanted in cell.told):
        _assert_status_tells(world, patience)


def _assert_detail(components: dict[str, Any], cell: Cell) -> None:
    """Whatever is not HEALTHY says why."""
    silent = [name for name, one in components.items() if one["status"] != "HEALTHY" and not one["detail"]]
    assert silent == [], cell.name


def _assert_status_tells(world: World, patience: float) -> None:
    """`status` ends with 1 and says `degraded` while a lane waits."""

    def degraded() -> bool:
        done = world.platform.command("status", "--json")
        return done.returncode == 1 and json.loads(done.stdout)["status"] == "degraded"

    eventually(degraded, _TOLD_MAX_S * patience)


def _assert_rest_goes_on(url: str, cell: Cell, trickle: Trickle, patience: float) -> None:
    """Commands that are sent from now on succeed, one of each store that the table names; queries are answered."""
    already = len(trickle.acknowledged)
    with httpx.Client(base_url=url, timeout=_QUERY_TIMEOUT_S) as client:

        def is_done(sent: Sent) -> bool:
            answer = client.get(f"/v1/operations/{sent.correlation_id}")
            return answer.is_success and bool(answer.json()["state"] == "SUCCEEDED")

        for store in sorted(cell.commands_go_on):

            def one_is_done(store: str = store) -> bool:
                return any(is_done(sent) for sent in trickle.acknowledged[already:][-20:] if sent.store == store)

            try:
                eventually(one_is_done, _GO_ON_MAX_S * patience)
            except AssertionError as error:
                new = [sent.store for sent in trickle.acknowledged[already:]]
                raise AssertionError(f"{store} does not go on; acknowledged since: {new}") from error
        user_id = trickle.user_ids[0]
        paths = {
            "postgresql": f"/v1/users/{user_id}/payments",
            "mongodb": f"/v1/users/{user_id}/views",
            "redis": "/v1/contents/1001",
        }
        for store in sorted(cell.queries_go_on):
            answer = client.get(paths[store])
            assert answer.is_success, f"queries of {store} do not go on: {answer.status_code} {answer.text}"


def _assert_nothing_lost(world: World, trickle: Trickle, timeout_s: float, patience: float) -> None:
    """Check that what was acknowledged is done, once and in order, and that what was refused says why."""
    last = ["nothing was asked"]

    def all_is_right() -> bool:
        last[:] = trickle.faults(world.postgresql, world.mongodb)
        return not last

    try:
        eventually(all_is_right, timeout_s, interval_s=0.3)
    except AssertionError as error:
        raise AssertionError(f"{timeout_s:.0f} s after HEALTHY (patience {patience:.1f}): {last[:6]}") from error
    unclear = [text for _, text in trickle.refused if '"message"' not in text]
    assert unclear == []
