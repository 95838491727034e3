"""What a run of the self-check plans: the same seed gives the same commands and the same faults."""

import math
from collections import Counter
from types import SimpleNamespace
from typing import cast

import pytest

from cli.commands.verify import _chosen
from cli.verify.excuses import excused_reuses, may_lack_spans
from cli.verify.fault_schedule import make_schedule
from cli.verify.fault_world import FaultWorld
from cli.verify.faults import FAULTS, kinds_for
from cli.verify.history import Answer, Attempt, CommandEntry, Purpose
from cli.verify.injector import InjectedFault, Injector
from cli.verify.pace import Pace
from cli.verify.workload import INVALID, PlannedCommand, Repetition, cents_of, cpf_of, make_workload, money
from mesh.catalog import load_catalog


def planned(seed: int = 5, commands: int = 2000) -> list[PlannedCommand]:
    """Return all commands of a workload."""
    return [command for client in make_workload(seed, commands, 60.0).by_client for command in client]


def test_the_same_seed_plans_the_same_commands() -> None:
    """And another one others."""
    assert planned(5) == planned(5)
    assert planned(5) != planned(6)


def test_every_command_of_the_first_release_is_planned() -> None:
    """Often enough; one that was added since is told of in the report."""
    counted = Counter(command.command for command in planned())
    assert set(counted) <= set(load_catalog().commands)
    assert len(counted) == 16
    assert min(counted.values()) >= 10


def test_a_entity_is_of_one_client_alone() -> None:
    """Else the order in which its commands are acknowledged would not be known."""
    clients: dict[str, set[int]] = {}
    for command in planned():
        clients.setdefault(command.entity, set()).add(command.client)
    assert all(len(of_one) == 1 for of_one in clients.values())


def test_what_tells_effects_apart_is_unique() -> None:
    """Amounts, titles and addresses."""
    amounts = [cents_of(one.fields["amount"]) for one in planned() if one.command == "CreatePayment"]
    titles = [one.fields["title"] for one in planned() if "title" in one.fields]
    emails = [one.fields["email"] for one in planned() if one.command == "CreateUser"]
    for values in (amounts, titles, emails):
        assert len(set(values)) == len(values) > 10
    assert cents_of(money(12_345)) == 12_345


def test_some_are_sent_again_and_some_are_refused() -> None:
    """Each way in which a request ID may be used, and what the gateway must refuse."""
    commands = planned()
    assert {one.repetition for one in commands} == set(Repetition)
    assert {one.door for one in commands} == {"grpc", "rest"}
    assert any(one.refusal == INVALID for one in commands)
    assert all(one.other for one in commands if one.repetition is Repetition.OTHER)


def test_they_are_spread_over_the_time() -> None:
    """Each client's in the order of their times."""
    workload = make_workload(1, 600, 60.0)
    for client in workload.by_client:
        times = [command.at_s for command in client]
        assert times == sorted(times)
        assert times[-1] < 60.0
    assert workload.size == 600


def test_a_cpf_has_valid_check_digits() -> None:
    """The example of everybody's documentation."""
    assert cpf_of(529_982_247) == "52998224725"


@pytest.mark.parametrize("engine_set", ["embedded", "native"])
def test_every_fault_of_a_set_comes(engine_set: str) -> None:
    """Once in a short run, several times in a long one, and the same for the same seed."""
    kinds = kinds_for(engine_set)
    short = make_schedule(3, kinds, 60.0)
    assert sorted(fault.kind for fault in short) == sorted(kinds)
    assert short == make_schedule(3, kinds, 60.0)
    assert [fault.kind for fault in short] != [fault.kind for fault in make_schedule(4, kinds, 60.0)]
    times = [fault.at_s for fault in short]
    assert times == sorted(times)
    assert 0 < times[0] < times[-1] < 60.0
    long = Counter(fault.kind for fault in make_schedule(3, kinds, 7200.0))
    assert min(long.values()) > 3
    assert make_schedule(3, [], 60.0) == []


def test_what_a_set_has_not_is_not_killed() -> None:
    """Embedded has no OpenSearch."""
    assert "kill-opensearch" not in kinds_for("embedded")
    assert "kill-opensearch" in kinds_for("native")
    impossible = {name for name, kind in FAULTS.items() if kind.obstacle()}
    assert set(FAULTS) - impossible == set(kinds_for("embedded")) | set(kinds_for("native"))


def test_faults_are_chosen_by_name() -> None:
    """All, none, or a list; a name that there is not is told."""
    possible = kinds_for("embedded")
    assert _chosen("all", possible, {}) == possible
    assert _chosen("none", possible, {}) == []
    assert _chosen("kill-redis, kill-gateway,kill-redis", possible, {}) == ["kill-redis", "kill-gateway"]
    for text in ("kill-opensearch", "kill-redis,harm", " , "):
        with pytest.raises(ValueError, match="there are kill-gateway"):
            _chosen(text, possible, {})
    with pytest.raises(ValueError, match="kill-opensearch is not possible here: it is too large"):
        _chosen("kill-redis,kill-opensearch", possible, {"kill-opensearch": "it is too large"})


def test_a_reuse_is_excused_only_while_redis_is_away() -> None:
    """Redis alone knows what a request ID was used for."""
    entry = CommandEntry(4, 0, "user 7", "DeleteUser", {"user_id": 7}, "r", "7", ("POSTGRESQL",))
    entry.attempts = [
        Attempt(Purpose.FIRST, "grpc", 1.0, 1.1, Answer.ACKNOWLEDGED),
        Attempt(Purpose.OTHER, "grpc", 5.0, 5.1, Answer.ACKNOWLEDGED),
    ]

    def excused(kind: str, begin_s: float, end_s: float) -> frozenset[int]:
        return excused_reuses([entry], [InjectedFault(kind, begin_s, end_s, "")], FAULTS)

    assert excused("kill-redis", 4.9, 5.05) == {4}
    assert excused("stop-redis", 0.0, 1.05) == {4}
    assert excused("kill-redis", 2.0, 4.0) == frozenset()
    assert excused("kill-postgresql", 4.9, 5.05) == frozenset()


def test_spans_are_excused_only_around_the_end_of_a_process_that_had_them() -> None:
    """From the acceptance to the last answer, and the time for which a service keeps them."""
    entry = CommandEntry(4, 0, "user 7", "DeleteUser", {"user_id": 7}, "r", "7", ("POSTGRESQL",))
    entry.attempts = [Attempt(Purpose.FIRST, "grpc", 50.0, 50.1, Answer.ACKNOWLEDGED)]

    def lacks(kind: str, begin_s: float, took_s: float = 0.1) -> bool:
        return may_lack_spans(entry, took_s, [InjectedFault(kind, begin_s, begin_s + 1.0, "")], FAULTS)

    assert lacks("kill-lane-redis", 52.0)
    assert lacks("kill-monitor", 45.0)
    assert not lacks("kill-gateway", 80.0)
    assert lacks("kill-gateway", 80.0, took_s=25.0)
    assert lacks("kill-gateway", 50.0, took_s=-90_000.0)  # it was accepted tomorrow
    assert not lacks("kill-redis", 50.0)
    assert not lacks("stop-lane-redis", 50.0)

    def lacks_again(reset_s: float, kill_s: float) -> bool:
        kinds = {"reset-offsets-redis": reset_s, "kill-lane-redis": kill_s}
        faults = [InjectedFault(kind, begin_s, begin_s + 1.0, "") for kind, begin_s in kinds.items()]
        return may_lack_spans(entry, 0.1, faults, FAULTS)

    assert lacks_again(reset_s=300.0, kill_s=305.0)
    assert not lacks_again(reset_s=300.0, kill_s=330.0)
    assert not lacks_again(reset_s=20.0, kill_s=25.0)  # before it was there


def test_the_time_goes_slower_while_a_fault_is_late() -> None:
    """So that the ones behind it meet commands, too; it never stands still."""
    clock = [100.0]
    pace = Pace(lambda: clock[0])
    pace.await_fault(10.0)
    clock[0] += 8.0
    assert pace.now_s() == pytest.approx(8.0)
    clock[0] += 12.0  # ten of them beyond the next fault
    assert pace.now_s() == pytest.approx(12.0)
    pace.await_fault(20.0)
    clock[0] += 5.0
    assert pace.now_s() == pytest.approx(17.0)
    pace.await_fault(math.inf)
    clock[0] += 100.0
    assert pace.now_s() == pytest.approx(117.0)
    pace.begin()
    assert pace.now_s() == 0.0


def test_without_faults_there_is_nothing_to_inject() -> None:
    """A run without them ends by its load alone."""
    injector = Injector(cast(FaultWorld, SimpleNamespace(load=None)), make_schedule(1, [], 60.0), {}, lambda _: None)
    injector._run()
    assert injector.injected == []
