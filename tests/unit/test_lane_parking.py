"""What a lane does with a command that it gives up, with what comes behind it, and with orders to go on."""

import pytest
from polystream.v1.operations_pb2 import Operation

from mesh import topics
from mesh.envelope import KafkaRecord, RedriveAction
from mesh.health.report import HealthState
from processor.lanes.receipts import SendError
from processor.parking import ParkingBounds
from tests.support.lane_rig import Rig, delete

BROKEN = ValueError("it fails")


@pytest.fixture
def rig() -> Rig:
    """Return a lane that has partitions 0 and 1."""
    return Rig()


def give_up(rig: Rig, user_id: int = 7) -> tuple[str, KafkaRecord]:
    """Have the lane give up a user's next command; return its correlation ID and its record."""
    broken = rig.source.put(delete(user_id))
    record = rig.source.waiting[-1]
    rig.store.plans[user_id] = [BROKEN, BROKEN]  # in the batch, and alone
    rig.lane.run_once()
    assert rig.receipts()[broken].dead_lettered
    return broken, record


def test_later_commands_of_the_key_wait_and_others_go_on(rig: Rig) -> None:
    """What waits is told so, and is done as far as Kafka is concerned."""
    broken, _ = give_up(rig)
    waiting, other = rig.source.put(delete(7)), rig.source.put(delete(8))
    rig.lane.run_once()
    told = rig.receipts()[waiting]
    assert (told.state, told.waits_behind, told.dead_lettered) == (Operation.ACCEPTED, broken, False)
    assert not told.HasField("error")
    assert rig.store.applied == [other]
    assert rig.source.committed == {0: 3}
    assert len(rig.dead_letters()) == 1
    rig.now_s += 2
    rig.lane._next_look_s = 0
    rig.lane.run_once()
    report = rig.health.report()
    assert (report.counts["parked_keys"], report.counts["parked_records"]) == (1, 2)
    assert report.note.startswith("1 key is parked, with 2 commands")


def test_a_redrive_applies_the_one_that_was_given_up_and_then_what_waits(rig: Rig) -> None:
    """In their order, and before what comes later."""
    broken, record = give_up(rig)
    waiting = [rig.source.put(delete(7)) for _ in range(3)]
    rig.lane.run_once()
    rig.source.redrive(record, RedriveAction.REDRIVE)
    later = rig.source.put(delete(7))
    rig.lane.run_once()
    assert rig.store.applied == [broken, *waiting, later]
    assert {rig.receipts()[id_].state for id_ in (broken, *waiting, later)} == {Operation.SUCCEEDED}
    assert len(rig.dead_letters()) == 1
    assert rig.store.count_parked() == (0, 0)
    assert rig.source.committed == {0: 6}


def test_more_than_are_drained_at_once_keep_their_order(rig: Rig) -> None:
    """However many there are."""
    broken, record = give_up(rig)
    waiting = [rig.source.put(delete(7)) for _ in range(250)]
    for _ in range(3):
        rig.lane.run_once()
    rig.source.redrive(record, RedriveAction.REDRIVE)
    rig.lane.run_once()
    assert rig.store.applied == [broken, *waiting]


def test_what_fails_again_holds_up_the_rest_and_says_so(rig: Rig) -> None:
    """A letter of its own, and the others learn what they wait for now."""
    broken, record = give_up(rig)
    second, third = rig.source.put(delete(7)), rig.source.put(delete(7))
    rig.lane.run_once()
    rig.store.plans[7] = [BROKEN, BROKEN]
    rig.source.redrive(record, RedriveAction.REDRIVE)
    rig.lane.run_once()
    assert rig.receipts()[broken].dead_lettered
    assert len(rig.dead_letters()) == 2
    assert rig.receipts()[second].waits_behind == broken
    assert rig.store.applied == []
    assert rig.store.count_parked() == (1, 3)
    rig.source.redrive(record, RedriveAction.REDRIVE)
    rig.lane.run_once()
    assert rig.store.applied == [broken, second, third]


def test_a_discard_gives_it_up_and_lets_the_others_go_on(rig: Rig) -> None:
    """It is answered once more, so that whoever ordered it learns that it is done; there is no second dead letter."""
    broken, record = give_up(rig)
    waiting = rig.source.put(delete(7))
    rig.lane.run_once()
    rig.source.redrive(record, RedriveAction.DISCARD)
    rig.lane.run_once()
    told = rig.receipts()[broken]
    assert (told.dead_lettered, told.duplicate) == (True, True)
    assert rig.store.applied == [waiting]
    assert len(rig.dead_letters()) == 1
    assert rig.store.count_parked() == (0, 0)


@pytest.mark.parametrize("action", [RedriveAction.REDRIVE, RedriveAction.DISCARD])
def test_an_order_that_nothing_is_parked_for_changes_nothing(rig: Rig, action: RedriveAction) -> None:
    """Another one was faster, or it is of another command."""
    _, record = give_up(rig)
    rig.source.redrive(record, RedriveAction.REDRIVE)
    rig.lane.run_once()
    applied = list(rig.store.applied)
    rig.source.redrive(record, action)
    rig.lane.run_once()
    assert rig.store.applied == applied

    parked, _ = give_up(rig)
    rig.source.redrive(record, action)
    rig.lane.run_once()
    assert rig.store.applied == applied
    assert rig.store.parked(b"7")[0].correlation_id == parked


def test_a_redrive_whose_users_cannot_be_told_waits_without_holding_up_others(rig: Rig) -> None:
    """And holds its key, as a command does."""
    broken, record = give_up(rig)
    rig.store.plans[7] = [None]
    rig.source.redrive(record, RedriveAction.REDRIVE)
    later, other = rig.source.put(delete(7)), rig.source.put(delete(8))
    rig.lane.run_once()
    assert rig.store.applied == [other]
    assert rig.source.committed == {0: 1}
    rig.now_s += 1
    rig.lane.run_once()
    rig.now_s += 1
    rig.lane.run_once()
    assert rig.store.applied == [other, broken, later]
    assert rig.source.committed == {0: 4}


def test_a_lane_that_has_given_up_too_many_stops_and_goes_on_when_it_can(rig: Rig) -> None:
    """It tries the command again all the while, and says what it waits for."""
    rig.store.bounds = ParkingBounds(keys_max=1)
    give_up(rig)
    rig.store.plans[8] = [BROKEN] * 20
    stuck = rig.source.put(delete(8))
    states = []

    def look() -> None:
        rig.now_s += 4
        states.append(rig.health.report())
        if len(states) == 3:
            rig.store.plans[8] = []

    rig.source.on_idle = look
    rig.lane.run_once()
    assert states[1].state is HealthState.DEGRADED
    assert states[1].waits[0].reason == "TOO_MANY_PARKED"
    assert rig.store.applied == [stuck]
    assert len(rig.dead_letters()) == 1


def test_a_record_that_no_gateway_sends_parks_nobody(rig: Rig) -> None:
    """It is set apart, and the commands of its key are applied."""
    rig.source.put_raw(b"?", "DeleteUser", "0197a1b2-0000-7000-8000-000000000001")
    done = rig.source.put(delete(7))
    rig.lane.run_once()
    assert rig.store.applied == [done]
    assert len(rig.dead_letters()) == 1
    assert rig.store.count_parked() == (0, 0)


def test_nothing_that_is_delivered_again_is_given_up_twice(rig: Rig) -> None:
    """A lane that died before it had sent the dead letter sends it then, and what waits is told so again."""
    broken = rig.source.put(delete(7))
    rig.store.plans[7] = [BROKEN, BROKEN]
    waiting = rig.source.put(delete(7))
    records = list(rig.source.waiting)
    rig.producer.fails = True
    with pytest.raises(Exception):  # noqa: B017, PT011 - the lane ends, whatever it says
        rig.lane.run_once()
    again = Rig()
    again.store.parking = rig.store.parking
    again.source.waiting = records
    again.lane.run_once()
    assert again.store.applied == []
    assert [one[topics.DLQ_REASON] for one in again.dead_letters()] == ["HANDLER_FAILED"]
    assert again.receipts()[broken].dead_lettered
    assert again.receipts()[waiting].waits_behind == broken
    assert again.store.count_parked() == (1, 2)


def test_an_order_for_another_store_is_not_obeyed(rig: Rig) -> None:
    """A command may have been given up in several: each goes on by an order of its own."""
    _, record = give_up(rig)
    rig.source.redrive(record, RedriveAction.DISCARD, stores=["REDIS"])
    rig.lane.run_once()
    assert rig.store.count_parked() == (1, 1)
    rig.source.redrive(record, RedriveAction.DISCARD, stores=["REDIS", "MONGODB"])
    rig.lane.run_once()
    assert rig.store.count_parked() == (0, 0)


def test_a_repair_of_another_store_is_not_applied(rig: Rig) -> None:
    """The store may have forgotten that it has done its part: done once more, it would undo what came later."""
    rig.source.put(delete(7))
    record = rig.source.waiting[-1]
    rig.lane.run_once()
    rig.store.applied.clear()
    rig.source.redrive(record, RedriveAction.REPAIR, stores=["REDIS"])
    rig.lane.run_once()
    assert rig.store.applied == []
    rig.source.redrive(record, RedriveAction.REPAIR, stores=["MONGODB", "REDIS"])
    rig.lane.run_once()
    assert len(rig.store.applied) == 1
    assert rig.source.committed == {0: 3}


def test_garbage_that_says_where_it_was_at_first_answers_for_itself_alone(rig: Rig) -> None:
    """The dead letter is of its own place, not of the command's that it names."""
    broken, record = give_up(rig)
    rig.source.redrive(record._replace(value=b"garbage"), RedriveAction.REPAIR)
    rig.lane.run_once()
    told = rig.receipts()[broken]
    assert (told.error.reason, told.command_offset) == ("UNDECODABLE", 1)


def test_what_was_parked_is_let_go_of_once_it_is_answered(rig: Rig) -> None:
    """A lane that dies in between finds it again, with the order, and answers then."""
    broken, record = give_up(rig)
    waiting = rig.source.put(delete(7))
    rig.lane.run_once()
    rig.source.redrive(record, RedriveAction.REDRIVE)
    rig.producer.fails = True
    with pytest.raises(SendError):
        rig.lane.run_once()
    assert rig.store.applied == [broken, waiting]
    assert rig.store.count_parked() == (1, 2)
