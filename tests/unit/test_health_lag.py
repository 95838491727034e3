"""How a consumer's lag is told, and that it waits for Kafka."""

from collections.abc import Mapping
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException

from mesh.health import lag
from mesh.health.lag import AtHand, Backlog, LagWatch, Place
from mesh.health.part import WAIT_GRACE_S, PartHealth
from mesh.health.report import HealthState, Lag
from mesh.threads import CriticalThreads


class Consumer:
    """A consumer as a test says that it is."""

    def __init__(self) -> None:
        self.left = 0
        self.offsets: dict[Place, int] = {}
        self.held = AtHand(0, None)
        self.member = True
        self.error = ""
        self.down = False
        self.made_anew = 0
        self.paused = False

    def read_anew(self) -> None:
        """Count it."""
        self.made_anew += 1

    def is_paused(self) -> bool:
        """Return whether it is."""
        return self.paused

    def unread(self) -> int:
        """Return what is left."""
        if self.down:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return self.left

    def position(self) -> Mapping[Place, int]:
        """Return the offsets."""
        return dict(self.offsets)

    def at_hand(self) -> AtHand:
        """Return what is held."""
        return self.held

    def is_member(self) -> bool:
        """Return whether it is one."""
        return self.member

    def take_error(self) -> str:
        """Return the error."""
        return self.error


class Rig:
    """A watch on such a consumer, by a clock that a test sets."""

    def __init__(self) -> None:
        self.s = 0.0
        self.consumer = Consumer()
        self.health = PartHealth("lane-0", "lane-redis", clock_s=lambda: self.s, now_ms=self.now_ms)
        self.health.ready()
        self.watch = LagWatch(self.consumer, self.health, CriticalThreads(), self.now_ms)

    def now_ms(self) -> int:
        """Return the time of day."""
        return 1_700_000_000_000 + int(self.s * 1000)

    def look_after(self, seconds: float) -> HealthState:
        """Look now, and again later; return the state then."""
        self.watch.look()
        self.s += seconds
        self.watch.look()
        return self.health.report().state


@pytest.fixture
def rig() -> Rig:
    """Return one."""
    return Rig()


def test_lag_is_what_is_unread_and_what_is_at_hand(rig: Rig) -> None:
    """The oldest is one at hand; where there is none, how long there has been something to read."""
    rig.consumer.left, rig.consumer.held = 5, AtHand(2, rig.now_ms() - 4000)
    rig.watch.look()
    assert rig.health.report().lag == Lag(7, 4000)
    rig.consumer.held = AtHand(0, None)
    rig.s += 3
    rig.watch.look()
    assert rig.health.report().lag == Lag(5, 3000)
    rig.consumer.left = 0
    rig.watch.look()
    assert rig.health.report().lag == Lag(0, 0)


def test_a_broker_that_does_not_tell_is_waited_for(rig: Rig) -> None:
    """Until it does again."""
    rig.consumer.down = True
    assert rig.look_after(WAIT_GRACE_S + 0.1) is HealthState.DEGRADED
    assert "_TIMED_OUT" in rig.health.report().waits[0].detail
    rig.consumer.down = False
    assert rig.look_after(0) is HealthState.HEALTHY


def test_a_consumer_without_partitions_of_its_group_waits_for_kafka(rig: Rig) -> None:
    """None at all is not the same as none for this one."""
    rig.consumer.member = False
    assert rig.look_after(WAIT_GRACE_S + 0.1) is HealthState.DEGRADED
    rig.consumer.member = True
    assert rig.look_after(0) is HealthState.HEALTHY


def test_records_that_cannot_be_read_are_waited_for(rig: Rig) -> None:
    """An error counts only while nothing is read: what is read, or at hand, shows that it goes on."""
    rig.consumer.left, rig.consumer.error = 1, "_BAD_MSG"
    assert rig.look_after(WAIT_GRACE_S + 0.1) is HealthState.DEGRADED
    assert rig.health.report().waits[0].detail == "records cannot be read: _BAD_MSG"
    rig.consumer.offsets["user_events", 0] = 7
    rig.watch.look()
    assert rig.health.report().state is HealthState.HEALTHY
    rig.consumer.held = AtHand(1, rig.now_ms())
    assert rig.look_after(WAIT_GRACE_S + 0.1) is HealthState.HEALTHY


def test_records_that_are_there_and_do_not_come_are_told_and_another_consumer_reads(rig: Rig) -> None:
    """Within ten seconds; what comes ends it."""
    rig.consumer.left = 51
    rig.watch.look()
    assert rig.look_after(4) is HealthState.HEALTHY
    assert rig.look_after(WAIT_GRACE_S + 0.1) is HealthState.DEGRADED
    assert rig.health.report().waits[0].detail == "there are records to read, and none comes"
    assert rig.consumer.made_anew == 0
    rig.look_after(20)
    assert rig.consumer.made_anew == 1
    rig.consumer.offsets["user_events", 0] = 51
    rig.consumer.left = 0
    assert rig.look_after(0) is HealthState.HEALTHY


def test_what_is_counted_and_comes_to_no_consumer_is_no_record(rig: Rig) -> None:
    """A foreign transaction's markers have offsets too: another consumer is made once for them, and not again."""
    rig.consumer.left = 1
    for _ in range(60):
        rig.look_after(1)
    assert rig.consumer.made_anew == 1
    assert rig.health.report().state is HealthState.HEALTHY
    rig.consumer.left = 2
    rig.watch.look()
    assert rig.look_after(5) is not None
    assert rig.look_after(WAIT_GRACE_S + 0.1) is HealthState.DEGRADED


def test_what_others_have_told_of_kafka_is_not_taken_back(rig: Rig) -> None:
    """A broker may tell its offsets and take no receipts."""
    rig.health.waiting("kafka", "KAFKA_UNAVAILABLE", "receipts are not acknowledged yet")
    assert rig.look_after(WAIT_GRACE_S + 0.1) is HealthState.DEGRADED


class SilentAdmin:
    """librdkafka's admin client where nobody answers: it calls that a success."""

    def __init__(self, _config: object) -> None:
        pass

    def list_offsets(self, asked: Mapping[object, object], request_timeout: float) -> Mapping[object, object]:
        """Return no offset of any partition."""
        del request_timeout
        told: Future[object] = Future()
        told.set_result(SimpleNamespace(offset=OFFSET_INVALID))
        return dict.fromkeys(asked, told)


def test_a_broker_that_does_not_answer_is_not_taken_for_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it does not tell is not nought."""
    monkeypatch.setattr(lag, "AdminClient", SilentAdmin)
    with pytest.raises(KafkaException, match="_TIMED_OUT"):
        Backlog("group", {}).count("user_events", [("user_events", 0)], {("user_events", 0): 7})


def test_a_paused_consumer_is_no_fault(rig: Rig) -> None:
    """However long nothing comes to it, no other consumer takes its place, and its lag is told."""
    rig.consumer.left, rig.consumer.paused = 5, True
    for _ in range(10):
        assert rig.look_after(10) is HealthState.HEALTHY
    report = rig.health.report()
    assert report.lag == Lag(5, report.lag.oldest_age_ms if report.lag else 0)
    assert rig.consumer.made_anew == 0
    rig.consumer.paused = False
    rig.watch.look()
    assert rig.look_after(5) is HealthState.HEALTHY  # it is a fault from here on, once it lasts
    assert rig.look_after(4) is HealthState.DEGRADED
