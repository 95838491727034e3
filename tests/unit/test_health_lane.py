"""What a lane tells of its health: every wait that it has, and nothing that is over."""

from collections.abc import Callable

import pytest

from mesh.envelope import RedriveAction
from mesh.errors import PolystreamError, Reason
from mesh.health.report import HealthState
from processor.lanes import lane as lane_module
from processor.model import Store
from tests.support.lane_rig import Rig, delete


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Rig:
    """Return a lane that looks around with every round."""
    monkeypatch.setattr(lane_module, "_LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr(lane_module, "_PING_INTERVAL_S", 0.0)
    made = Rig()
    made.lane.run_once()
    return made


def _watch(rig: Rig) -> list[tuple[HealthState, str]]:
    """Let four seconds pass with every pause of the lane, and return what its health says in each."""
    seen: list[tuple[HealthState, str]] = []

    def look() -> None:
        rig.now_s += 4
        report = rig.health.report()
        seen.append((report.state, ", ".join(f"{wait.dependency}: {wait.detail}" for wait in report.waits)))

    rig.source.on_idle = look
    return seen


def _store(rig: Rig, error: PolystreamError) -> None:
    rig.store.plans[7] = [error]


def _registry(rig: Rig, _: PolystreamError) -> None:
    rig.schemas.failures = 1


@pytest.mark.parametrize(
    ("fail", "error", "told"),
    [
        (_store, PolystreamError(Reason.STORE_UNAVAILABLE, metadata={"error": "LockNotAvailable"}), "mongodb: LockN"),
        (_store, PolystreamError(Reason.STORE_UNAVAILABLE), "mongodb: the store does not answer"),
        (_store, PolystreamError(Reason.KAFKA_UNAVAILABLE), "kafka: Kafka did not"),
        (_registry, PolystreamError(Reason.REGISTRY_UNAVAILABLE), "schema_registry: the schema registry does not"),
    ],
    ids=["cause", "store", "kafka", "registry"],
)
def test_what_a_batch_waits_for_is_told_until_it_goes_on(
    rig: Rig, fail: Callable[[Rig, PolystreamError], None], error: PolystreamError, told: str
) -> None:
    """With the cause that the error names, or what its reason says."""
    seen = _watch(rig)
    rig.source.put(delete(7))
    fail(rig, error)
    rig.lane.run_once()
    assert seen[0][0] is HealthState.DEGRADED
    assert seen[0][1].startswith(told)
    assert rig.health.report().waits == ()


def test_what_is_at_hand_is_told_while_the_store_does_not_take_it(rig: Rig) -> None:
    """With the time of the oldest: a lag that nobody sees would be no lag to whoever looks."""
    rig.source.put(delete(7))
    rig.source.put(delete(8), partition=1)
    rig.store.plans[7] = [PolystreamError(Reason.STORE_UNAVAILABLE)]
    seen = []
    rig.source.on_idle = lambda: seen.append((rig.lane.at_hand(), rig.lane.next_offsets()))
    rig.lane.run_once()
    assert seen[0] == ((2, 1_700_000_000_000), {0: 1, 1: 1})
    assert rig.lane.at_hand() == (0, None)


def test_commands_that_wait_for_their_users_are_told(rig: Rig) -> None:
    """As long as one of them has waited for more than a second."""
    rig.source.put(delete(7))
    rig.store.plans[7] = [None, None, None]
    rig.lane.run_once()
    assert rig.lane.at_hand() == (1, 1_700_000_000_000)
    assert rig.health.report().waits == ()
    rig.now_s += 2
    rig.lane.run_once()
    rig.now_s += 4
    report = rig.health.report()
    assert (report.state, report.waits[0].dependency) == (HealthState.DEGRADED, "postgresql")
    assert report.waits[0].reason == "USER_UNVERIFIED"
    while rig.store.plans[7]:
        rig.now_s += 2
        rig.lane.run_once()
    rig.now_s += 2
    rig.lane.run_once()
    assert (rig.health.report().state, rig.lane.at_hand()) == (HealthState.HEALTHY, (0, None))


def test_a_store_without_work_is_asked_for_a_sign_of_life(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane goes on reading meanwhile: what is another store's need not wait."""
    away = [True]

    def ping() -> None:
        if away:
            raise PolystreamError(Reason.STORE_UNAVAILABLE, metadata={"error": "ConnectionFailure"})

    monkeypatch.setattr(rig.store, "ping", ping)
    rig.lane.run_once()
    rig.now_s += 4
    assert rig.health.report().waits[0].detail == "ConnectionFailure"
    assert rig.health.report().state is HealthState.DEGRADED
    away.clear()
    rig.lane.run_once()
    assert rig.health.report().state is HealthState.HEALTHY


def test_positions_that_cannot_be_recorded_are_told(rig: Rig) -> None:
    """Other lanes wait for them."""
    plan = [PolystreamError(Reason.STORE_UNAVAILABLE, metadata={"error": "ReadOnlySqlTransaction"})]

    def record(_: object) -> None:
        if plan:
            raise plan[0]

    rig.store.on_positions = record
    rig.lane._look_around = lambda **_: None  # type: ignore[method-assign] # the store answers a ping
    rig.source.put(delete(7))
    rig.lane.run_once()
    rig.now_s += 4
    assert rig.health.report().waits[0].detail == "ReadOnlySqlTransaction"
    plan.clear()
    rig.lane.run_once()
    assert rig.health.report().state is HealthState.HEALTHY


def test_whatever_is_asked_of_a_store_that_hangs_is_told(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call without it, and the lane hangs untold until its supervisor ends it."""
    monkeypatch.setattr(lane_module, "_LOOK_INTERVAL_S", 0.0)
    monkeypatch.setattr(lane_module, "_PING_INTERVAL_S", 0.0)
    told: dict[str, set[str]] = {}

    def hanging(name: str) -> Callable[..., object]:
        method = getattr(rig.store, name)

        def hangs(*arguments: object) -> object:
            rig.now_s += 4
            told.setdefault(name, set()).add(",".join(wait.dependency for wait in rig.health.report().waits))
            return method(*arguments)

        return hangs

    asked = {name for name in vars(Store) if callable(getattr(Store, name)) and not name.startswith("_")} - {"close"}
    for name in asked:
        monkeypatch.setattr(rig.store, name, hanging(name))
    for action in RedriveAction:
        rig.store.plans[7] = [ValueError(), ValueError()]
        rig.source.put(delete(7))
        given_up = rig.source.waiting[0]
        rig.lane.run_once()
        rig.source.redrive(given_up, action)
        rig.lane.run_once()
    rig.lane.run_once()
    assert told == {name: {"mongodb"} for name in asked}


def test_what_is_set_apart_is_counted(rig: Rig) -> None:
    """A record that can't be read, and a command that the store can't apply."""
    rig.source.put_raw(b"?", "DeleteUser", "")
    rig.source.put(delete(7))
    rig.store.plans[7] = [ValueError(), ValueError()]
    rig.lane.run_once()
    report = rig.health.report()
    assert report.counts == {"set_apart": 2, "parked_keys": 1, "parked_records": 1, "batch_records": 2}
    assert report.state is HealthState.HEALTHY
    assert report.note.startswith("1 key is parked, with 1 command given up or waiting")


def test_the_loop_beats_also_while_it_waits(rig: Rig) -> None:
    """Whoever looks tells a lane that waits from one that hangs."""
    beats: list[int] = []
    rig.source.on_idle = lambda: beats.append(rig.health.beats)
    rig.source.put(delete(7))
    rig.store.plans[7] = [PolystreamError(Reason.STORE_UNAVAILABLE)] * 3
    rig.lane.run_once()
    assert beats == sorted(set(beats))
    assert len(beats) >= 3
