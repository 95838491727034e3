"""The lane's loop: what it applies, answers, commits and sets apart, whatever its surroundings do."""

from collections.abc import Mapping

import pytest
from polystream.v1.operations_pb2 import Operation

from mesh import topics
from mesh.health.report import HealthState
from mesh.ids import new_correlation_id
from processor.lanes.receipts import SendError
from tests.support.headers import header_texts
from tests.support.lane_rig import STORE, UNAVAILABLE, Rig, delete


@pytest.fixture
def rig() -> Rig:
    """Return a lane that has partitions 0 and 1."""
    return Rig()


def test_a_round_applies_answers_and_commits(rig: Rig) -> None:
    """The receipt has the command's key and the headers of the contract; skipped records count as done."""
    done = rig.source.put(delete(7))
    rig.source.put_raw(b"?", "CreateUser", new_correlation_id())
    rig.lane.run_once()
    (sent,) = rig.producer.sent
    assert (sent.topic, sent.key) == (topics.RECEIPTS, b"7")
    assert header_texts(sent.headers) == {
        topics.CORRELATION_ID: done,
        topics.COMMAND: "DeleteUser",
        topics.STORE: STORE,
    }
    assert rig.receipts()[done].state == Operation.SUCCEEDED
    assert rig.source.committed == {0: 2}
    assert rig.progress[-1] == {0: 2}


def test_a_command_that_is_not_traced_passes_its_context_on(rig: Rig) -> None:
    """The receipt belongs to the same trace, and says that nothing is recorded."""
    rig.source.put(delete(7))
    record = rig.source.waiting.pop()
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
    headers = [*record.headers, (topics.TRACEPARENT, traceparent), (topics.TRACESTATE, "vendor=1")]
    rig.source.waiting.append(record._replace(headers=headers))
    rig.lane.run_once()
    sent = header_texts(rig.producer.sent[0].headers)
    assert (sent[topics.TRACEPARENT], sent[topics.TRACESTATE]) == (traceparent, "vendor=1")


def test_nothing_is_committed_before_its_receipt_is_acknowledged(rig: Rig) -> None:
    """A lane that can't send ends, and its commands are delivered again."""
    rig.source.put(delete(7))
    rig.producer.fails = True
    with pytest.raises(SendError):
        rig.lane.run_once()
    assert rig.source.committed == {}


def test_a_store_that_is_down_stops_the_lane_where_it_stands(rig: Rig) -> None:
    """The batch is kept and repeated whole; the lane stays in its group meanwhile."""
    ids = [rig.source.put(delete(7)), rig.source.put(delete(8))]
    rig.store.plans[8] = [UNAVAILABLE, UNAVAILABLE, UNAVAILABLE]
    rig.lane.run_once()
    assert rig.store.batches == [2, 2, 2, 2]
    assert rig.source.idles >= 3
    assert rig.store.applied == ids
    assert list(rig.receipts()) == ids


def test_a_registry_that_is_down_stops_the_lane_where_it_stands(rig: Rig) -> None:
    """Nothing is dead-lettered for a schema that can't be had now."""
    done = rig.source.put(delete(7))
    rig.schemas.failures = 2
    rig.lane.run_once()
    assert rig.dead_letters() == []
    assert rig.store.applied == [done]


def test_partitions_taken_away_while_the_store_is_down_are_dropped(rig: Rig) -> None:
    """Whoever has them now answers; what is left of the batch is applied."""
    rig.source.put(delete(7), partition=0)
    kept = rig.source.put(delete(8), partition=1)
    rig.store.plans[8] = [UNAVAILABLE]
    rig.source.on_idle = lambda: rig.source.lost.add(0)
    rig.lane.run_once()
    assert rig.store.applied == [kept]
    assert rig.source.committed == {1: 1}
    assert rig.doubts > 0


def test_a_batch_that_fails_is_applied_one_by_one(rig: Rig) -> None:
    """The command at fault is dead-lettered with its cause, the others are applied in their order."""
    first, bad, last = (rig.source.put(delete(user_id)) for user_id in (7, 8, 9))
    fault = ValueError("secret value")
    rig.store.plans[8] = [fault, fault]
    rig.lane.run_once()
    assert rig.store.applied == [first, last]
    receipt = rig.receipts()[bad]
    assert (receipt.state, receipt.dead_lettered) == (Operation.FAILED, True)
    assert (receipt.error.reason, receipt.user_id) == ("HANDLER_FAILED", 8)
    assert receipt.error.metadata == {"exception": "ValueError"}
    (dead_letter,) = rig.dead_letters()
    assert dead_letter[topics.DLQ_REASON] == "HANDLER_FAILED"
    assert "ValueError" in dead_letter[topics.DLQ_ERROR]
    assert "secret" not in str(dead_letter)
    assert (dead_letter[topics.DLQ_PARTITION], dead_letter[topics.DLQ_OFFSET]) == ("0", "1")
    assert (dead_letter[topics.DLQ_TOPIC], dead_letter[topics.DLQ_LANE]) == (topics.COMMANDS, "lane-0")
    assert dead_letter[topics.DLQ_STORE] == rig.store.name
    assert dead_letter[topics.CORRELATION_ID] == bad
    assert rig.source.committed == {0: 3}


def test_a_store_that_goes_down_in_the_middle_of_one_by_one_is_waited_for(rig: Rig) -> None:
    """What is applied already is not applied again."""
    ids = [rig.source.put(delete(user_id)) for user_id in (7, 8, 9)]
    fault = ValueError()
    rig.store.plans[8] = [fault, fault]
    rig.store.plans[9] = [UNAVAILABLE, UNAVAILABLE]
    rig.store.plans[7] = []
    rig.lane.run_once()
    assert rig.store.applied == [ids[0], ids[2]]
    assert len(rig.receipts()) == 3


def test_a_record_that_can_not_be_read_is_dead_lettered_and_the_lane_goes_on(rig: Rig) -> None:
    """The record is kept as it came, and the operation says that it failed."""
    bad = new_correlation_id()
    rig.source.put_raw(b"\xff\xfe", "DeleteUser", bad)
    done = rig.source.put(delete(7))
    rig.lane.run_once()
    assert rig.store.applied == [done]
    dead_letter = next(sent for sent in rig.producer.sent if sent.topic == topics.DEAD_LETTERS)
    assert (dead_letter.key, dead_letter.value) == (b"7", b"\xff\xfe")
    receipt = rig.receipts()[bad]
    assert (receipt.state, receipt.dead_lettered, receipt.user_id) == (Operation.FAILED, True, 7)
    assert rig.source.committed == {0: 2}


def test_a_record_too_large_for_the_dead_letters_is_pointed_to(rig: Rig) -> None:
    """The lane does not stand still over it: the dead letter says where the record is, and how large."""
    rig.source.put_raw(b"\xff" * 1_000_000, "DeleteUser", new_correlation_id())
    rig.lane.run_once()
    dead_letter = next(sent for sent in rig.producer.sent if sent.topic == topics.DEAD_LETTERS)
    headers = header_texts(dead_letter.headers)
    assert (dead_letter.value, headers[topics.DLQ_OFFSET]) == (None, "0")
    assert int(headers["dlq.omitted_bytes"]) > 1_000_000


def test_a_deferred_command_holds_its_key_and_its_offset(rig: Rig) -> None:
    """Others go on. When it can be told, it is applied before what came behind it, and the offset moves."""
    waiting = rig.source.put(delete(7))
    other = rig.source.put(delete(8))
    rig.store.plans[7] = [None, None]
    rig.lane.run_once()
    behind = rig.source.put(delete(7))
    rig.lane.run_once()
    assert rig.store.applied == [other]
    assert rig.source.committed == {0: 0}
    for _ in range(3):  # its user is told of at the second, and what is behind it comes right after
        rig.now_s += 1
        rig.lane.run_once()
    assert rig.store.applied == [other, waiting, behind]
    assert rig.source.committed == {0: 3}


def test_a_deferred_command_keeps_its_order_when_a_batch_is_taken_apart(rig: Rig) -> None:
    """Applied one by one, a command does not overtake one of its key that waits."""
    waiting = rig.source.put(delete(7))
    bad = rig.source.put(delete(8))
    behind = rig.source.put(delete(7))
    fault = ValueError()
    rig.store.plans = {7: [None], 8: [fault, fault]}
    rig.lane.run_once()
    assert rig.store.applied == []
    assert list(rig.receipts()) == [bad]
    rig.now_s += 1
    rig.lane.run_once()
    assert rig.store.applied == [waiting, behind]


def test_a_command_that_has_waited_long_enough_is_named_overdue(rig: Rig) -> None:
    """The store then answers it, whatever it can tell."""
    waiting = rig.source.put(delete(7))
    rig.store.plans[7] = [None] * 1000
    rig.lane.run_once()
    rig.now_s += 59
    rig.lane.run_once()
    assert rig.store.overdue == set()
    rig.now_s += 2
    rig.lane.run_once()
    assert rig.store.overdue == {waiting}
    assert rig.store.applied == [waiting]


def test_a_lane_full_of_waiting_commands_reads_on() -> None:
    """Known users' commands are applied at once; of the others, those that waited longest are answered early."""
    rig = Rig(max_deferred_bytes=2000)
    unknown = [rig.source.put(delete(user_id)) for user_id in range(10, 20)]
    rig.store.plans = {user_id: [None] * 9 for user_id in range(10, 20)}
    rig.lane.run_once()
    known = rig.source.put(delete(7))
    rig.lane.run_once()
    assert known in rig.store.applied
    cut_short = rig.store.overdue
    assert cut_short == set(unknown[: len(cut_short)])
    assert 5 < len(cut_short) < 10
    rig.now_s += 1
    rig.lane.run_once()
    assert rig.store.overdue == cut_short  # what fits waits for its time
    assert rig.source.committed == {0: len(cut_short)}
    rig.now_s += 60
    rig.lane.run_once()
    assert set(rig.receipts()) == {known, *unknown}
    assert rig.source.committed == {0: 11}


def test_deferred_commands_of_a_partition_taken_away_are_dropped(rig: Rig) -> None:
    """They are never tried again here, and hold no offset."""
    rig.source.put(delete(7))
    rig.store.plans[7] = [None]
    rig.lane.run_once()
    rig.source.lost.add(0)
    rig.now_s += 1
    rig.lane.run_once()
    assert rig.store.applied == []
    assert rig.progress[-1] == {}


def test_offsets_that_go_back_raise_doubt_about_the_topic(rig: Rig) -> None:
    """A topic made anew starts over: whoever compares offsets is told to ask which topic it is."""
    rig.source.put(delete(7))
    first = rig.source.waiting[0]
    rig.lane.run_once()
    assert rig.doubts == 0
    rig.source.waiting.append(first)
    rig.lane.run_once()
    assert rig.doubts == 1


def test_progress_that_can_not_be_recorded_stops_nothing(rig: Rig) -> None:
    """It is recorded with the next round."""
    calls: list[Mapping[int, int]] = []

    def fail_once(offsets: Mapping[int, int]) -> None:
        calls.append(dict(offsets))
        if len(calls) == 1:
            raise UNAVAILABLE

    rig.store.on_positions = fail_once
    done = rig.source.put(delete(7))
    rig.lane.run_once()
    rig.lane.run_once()
    assert rig.store.applied == [done]
    assert calls == [{0: 1}, {0: 1}]


def test_a_lane_is_unhealthy_until_the_group_has_given_it_partitions(rig: Rig) -> None:
    """Then it works, be it with none of them."""
    rig.source.owned = None
    rig.lane.run_once()
    assert rig.health.report().state is HealthState.UNHEALTHY
    rig.source.owned = frozenset()
    rig.lane.run_once()
    assert rig.health.report().state is HealthState.HEALTHY


def test_a_lane_that_is_told_to_stop_while_it_waits_stops(rig: Rig) -> None:
    """The batch under way is neither answered nor committed: it will be delivered again."""
    rig.source.put(delete(7))
    rig.store.plans[7] = [UNAVAILABLE] * 1000
    rig.source.on_idle = rig.stop.set
    rig.lane.run()
    assert (rig.store.applied, rig.producer.sent, rig.source.committed) == ([], [], {})
