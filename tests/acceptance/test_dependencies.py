"""Each dependency in each bad state, on the native engines, while commands trickle in.

In every cell of tests/support/dependency_faults/table.py: whoever the table names tells of it within 10 s; what does
not need the dependency goes on; the platform is HEALTHY within 30 s of the end of the cause, by itself, or within 45 s
where consumers may have to be made anew; and then every acknowledged command is done once, and in its user's order.

Cells that do not touch each other happen at once. How long something took is read from the product's own clock, the
`since_time` of health: on a machine that is busy, the test itself may be late to see it, and waits longer. Where there
is no such time, as of a part that stood still, it is what the test sees.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.support.dependency_faults.cell import Cell, State, Told
from tests.support.dependency_faults.rounds import ROUNDS, FaultRound
from tests.support.dependency_faults.table import CELLS, ENGINES, HELD_ELSEWHERE, NOT_MADE, PARTS
from tests.support.dependency_faults.world import World, running_world
from tests.support.native import provide_native
from tests.support.trickle import Sent, Trickle, make_users
from tests.support.waiting import eventually

_TOLD_MAX_S: Final = 10.0
_GRACE_S: Final = 3.0  # a part tells of a wait once it has lasted that long, and of its beginning
_SEEN_MAX_S: Final = 45.0  # until this test sees what the product has told long since
_GO_ON_MAX_S: Final = 60.0
_USERS: Final = 3
_HEALTH_TIMEOUT_S: Final = 10.0
_QUERY_TIMEOUT_S: Final = 15.0
_REPOSITORY: Final = Path(__file__).parents[2]

# Of which components a cell may be told, beside the dependency's own and its lane's. Of no other one.
_AFFECTED: Final = {
    "redis": {"gateway"},  # it keeps receipts there
    "kafka": {"gateway", "monitor", "lane-postgresql", "lane-mongodb", "lane-redis"},
    "event_store": {"monitor"},
    "jaeger": {"monitor"},
    "monitor": {"lane-postgresql", "lane-mongodb", "lane-redis"},  # nobody hears of them
}

Components = dict[str, dict[str, Any]]


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
    """Each engine is there in each state, or it is said why no machine can make that, or which test holds it."""
    made = {(cell.dependency, cell.state) for cell in CELLS}
    unmade = {(cell.dependency, cell.state) for cell in NOT_MADE}
    elsewhere = {(cell.dependency, cell.state) for cell in HELD_ELSEWHERE}
    assert (made | elsewhere).isdisjoint(unmade)
    assert {(engine, state) for engine in ENGINES for state in State} <= made | unmade | elsewhere
    assert {(part, state) for part in PARTS for state in (State.DOWN, State.HALF_THERE)} <= made
    assert all(cell.why for cell in NOT_MADE)
    for cell in HELD_ELSEWHERE:
        assert cell.case in (_REPOSITORY / cell.file).read_text(encoding="utf-8"), f"{cell.file} lacks {cell.how}"
    assert sorted(cell.name for one in ROUNDS for cell in one.cells) == sorted(cell.name for cell in CELLS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault_round", ROUNDS, ids=[one.name for one in ROUNDS])
def test_cells(world: World, user_ids: list[int], fault_round: FaultRound) -> None:
    """Each is told, the rest goes on, all recovers, and nothing is lost or done twice."""
    url = world.platform.door("gateway")
    _await_healthy(url)
    restarts = {part: _restarts(world, part) for part in map(_process_of, fault_round.cells)}
    trickle = Trickle(url, user_ids)
    with trickle.running(_SEEN_MAX_S):
        eventually(lambda: len(trickle.acknowledged) >= _USERS, _GO_ON_MAX_S)
        began_s = time.time()
        with ExitStack() as causes:
            for cell in fault_round.cells:
                causes.enter_context(cell.cause(world))
            _assert_told(url, fault_round.cells, began_s)
            _assert_supervisor_tells(world, fault_round.cells, restarts)
            _assert_rest_goes_on(url, fault_round, trickle)
        ended_s = time.time()
        healthy_since_s = _await_healthy(url)
        # A part that stood still knows nothing of it: of its return only this test can tell.
        recovered_s = (healthy_since_s if healthy_since_s > ended_s else time.time()) - ended_s
    assert recovered_s < fault_round.recovered_max_s
    _assert_nothing_lost(world, trickle)


def _process_of(cell: Cell) -> str:
    return "monitor" if cell.dependency == "monitor" else f"{cell.dependency}-0"


def _health(url: str) -> Components:
    answer = httpx.get(f"{url}/health", timeout=_HEALTH_TIMEOUT_S).raise_for_status().json()
    return {one["name"]: one for one in answer["components"]}


def _since_s(component: dict[str, Any]) -> float:
    return datetime.fromisoformat(component["since_time"]).timestamp()


def _seen(components: Components) -> list[str]:
    return [f"{name}: {one['status']}: {one['detail']}" for name, one in components.items() if _is_sick(one)]


def _is_sick(component: dict[str, Any]) -> bool:
    return bool(component["status"] != "HEALTHY")


def _await_healthy(url: str) -> float:
    """Wait until all is HEALTHY, and return since when it is, as the product says, in seconds since the epoch."""
    last: Components = {}

    def healthy() -> bool:
        last.clear()
        last.update(_health(url))
        return not _seen(last)

    try:
        eventually(healthy, 2 * _SEEN_MAX_S)
    except AssertionError as error:
        raise AssertionError(f"not HEALTHY: {_seen(last)}") from error
    return max(_since_s(component) for component in last.values())


def _restarts(world: World, part: str) -> int:
    return next((one.restarts for one in world.platform.state.processes if one.name == part), 0)


def _assert_told(url: str, cells: Sequence[Cell], began_s: float) -> None:
    """Check that each component which the table names has not been HEALTHY since ten seconds after the beginning."""
    missing = [wanted for cell in cells for wanted in cell.told]
    if not missing:
        return
    affected: set[str] = set()
    for cell in cells:
        affected |= {cell.dependency, f"lane-{cell.dependency}"} | _AFFECTED.get(cell.dependency, set())
    last: Components = {}
    late: list[str] = []

    def all_is_told() -> bool:
        last.clear()
        last.update(_health(url))
        for wanted in [wanted for wanted in missing if _tells(last, wanted)]:
            missing.remove(wanted)
            told_s = _told_s(last[wanted.component], began_s)
            if told_s > _TOLD_MAX_S:
                late.append(f"{wanted} after {told_s:.1f} s")
        return not missing and not accused()

    def accused() -> list[str]:
        return [name for name, one in last.items() if _is_sick(one) and name not in affected]

    try:
        eventually(all_is_told, _SEEN_MAX_S)
    except AssertionError as error:
        raise AssertionError(f"nobody tells {missing}, {accused()} wrongly, but {_seen(last)}") from error
    assert late == []
    # Whatever is not HEALTHY says why.
    assert [name for name, one in last.items() if _is_sick(one) and not one["detail"]] == []


def _tells(components: Components, wanted: Told) -> bool:
    component = components[wanted.component]
    words = component["detail"].lower()
    return _is_sick(component) and (not wanted.words or any(word.lower() in words for word in wanted.words))


def _told_s(component: dict[str, Any], began_s: float) -> float:
    """Return how long after the beginning it was told, as the product's own clock says."""
    silence = re.search(r"not heard of for (\d+) s", component["detail"])
    if silence:  # it began no earlier, and this is the first answer that tells of it
        return float(silence[1])
    since_s = _since_s(component) - began_s
    return since_s + _GRACE_S if "waits for " in component["detail"] else since_s


def _assert_supervisor_tells(world: World, cells: Sequence[Cell], restarts: dict[str, int]) -> None:
    """Check that `status` tells of a lane that waits, and of a part that nobody else tells of."""
    if any(wanted.component.startswith("lane-") for cell in cells for wanted in cell.told):
        eventually(lambda: world.platform.state.status == "degraded", _SEEN_MAX_S)

    unheard = {_process_of(cell) for cell in cells if not cell.told}

    def all_are_shown() -> bool:
        processes = [one for one in world.platform.state.processes if one.name in unheard]
        return all(one.restarts > restarts[one.name] or one.status != "ready" for one in processes)

    eventually(all_are_shown, _SEEN_MAX_S)


def _assert_rest_goes_on(url: str, fault_round: FaultRound, trickle: Trickle) -> None:
    """Commands that are sent from now on succeed, one of each store that no cell needs; queries are answered."""
    already = len(trickle.acknowledged)
    with httpx.Client(base_url=url, timeout=_QUERY_TIMEOUT_S) as client:

        def is_done(sent: Sent) -> bool:
            answer = client.get(f"/v1/operations/{sent.correlation_id}")
            return answer.is_success and bool(answer.json()["state"] == "SUCCEEDED")

        for store in sorted(fault_round.commands_go_on):

            def one_is_done(store: str = store) -> bool:
                return any(is_done(sent) for sent in trickle.acknowledged[already:][-20:] if sent.store == store)

            try:
                eventually(one_is_done, _GO_ON_MAX_S)
            except AssertionError as error:
                new = [sent.store for sent in trickle.acknowledged[already:]]
                raise AssertionError(f"{store} does not go on; acknowledged since: {new}") from error
        user_id = trickle.user_ids[0]
        paths = {
            "postgresql": f"/v1/users/{user_id}/payments",
            "mongodb": f"/v1/users/{user_id}/views",
            "redis": "/v1/contents/1001",
        }
        for store in sorted(fault_round.queries_go_on):
            answer = client.get(paths[store])
            assert answer.is_success, f"queries of {store} do not go on: {answer.status_code} {answer.text}"


def _assert_nothing_lost(world: World, trickle: Trickle) -> None:
    """Check that what was acknowledged is done, once and in order, and that what was refused says why."""
    last = ["nothing was asked"]

    def all_is_right() -> bool:
        last[:] = trickle.faults(world.postgresql, world.mongodb)
        return not last

    try:
        eventually(all_is_right, _SEEN_MAX_S, interval_s=0.3)
    except AssertionError as error:
        raise AssertionError(f"{_SEEN_MAX_S:.0f} s after HEALTHY: {last[:6]}") from error
    unclear = [text for _, text in trickle.refused if '"message"' not in text]
    assert unclear == []
