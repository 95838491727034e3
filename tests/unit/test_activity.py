"""Activity: what the monitor counts of the last day."""

import pytest
from polystream.v1.operations_pb2 import Event

from monitor.activity import OTHERS, STEP_S, Activity, Histogram
from monitor.records import ACCEPTED, DEAD_LETTERED, FAILED, PARKED, RECEIVED, SUCCEEDED, TracedEvent

NOW_S = 1_700_000_000


def event(event_type: str, *, at_s: int = NOW_S, store: str = "", duration_ms: float = 0, **fields: str) -> TracedEvent:
    """Return an event of a type at a time."""
    made = Event(event_type=event_type, store=store, duration_ms=duration_ms)
    made.command = fields.pop("command", "RecordView")
    made.error = fields.pop("error", "")
    made.timestamp.seconds = at_s
    return TracedEvent(made, sampled=False)


def test_a_command_is_counted_from_the_door_to_the_store() -> None:
    """Accepted once, waited, applied, and both together as the whole way."""
    now = [float(NOW_S)]
    activity = Activity(lambda: now[0])
    activity.add([event(ACCEPTED, duration_ms=2)])
    activity.add([event(RECEIVED, store="REDIS", duration_ms=9), event(SUCCEEDED, store="REDIS", duration_ms=4)])
    now[0] += 2 * STEP_S
    figures = activity.lately(60)
    assert (figures.accepted, figures.answered, figures.failed) == (1, 1, 0)
    redis = figures.of("REDIS")
    assert redis.waited.quantile_ms(1) == 10
    assert redis.applied.quantile_ms(1) == 4
    assert figures.total.quantile_ms(1) == 15
    assert figures.of("MONGODB").answered == 0


def test_failures_are_counted_by_their_reason() -> None:
    """Refusals, dead letters and parked commands apart."""
    activity = Activity(lambda: NOW_S + 100)
    activity.add(
        [
            event(FAILED, store="MONGODB", error="USER_NOT_FOUND: there is no such user"),
            event(DEAD_LETTERED, store="MONGODB"),
            event(PARKED, store="MONGODB"),
        ]
    )
    figures = activity.lately(300)
    assert figures.reasons == {"USER_NOT_FOUND": 1}
    assert (figures.failed, figures.dead_letters, figures.of("MONGODB").parked) == (1, 1, 1)


def test_events_count_at_their_own_time() -> None:
    """What was read late counts when it happened; what is too old, or still to come, does not count."""
    activity = Activity(lambda: NOW_S)
    activity.add([event(ACCEPTED, at_s=NOW_S - age_s) for age_s in (299, 20, 10, 0, -1000, 301, 2 * 86_400)])
    assert activity.lately(15).accepted == 1
    assert activity.lately(30).accepted == 2
    assert activity.lately(300).accepted == 3  # the step of now is not over yet


def test_what_is_kept_is_bounded() -> None:
    """Time passes, and old steps are forgotten; foreign reasons are counted as others."""
    now = [NOW_S]
    activity = Activity(lambda: now[0])
    for _ in range(1000):
        activity.add([event(ACCEPTED, at_s=now[0])])
        now[0] += STEP_S
    assert len(activity._steps) == 61
    activity.add([event(FAILED, at_s=now[0], store="REDIS", error=f"FOREIGN_{number}") for number in range(500)])
    now[0] += STEP_S
    reasons = activity.lately(STEP_S).reasons
    assert len(reasons) == 101
    assert reasons[OTHERS] == 400


@pytest.mark.parametrize(("quantile", "at_most"), [(0.5, 5.0), (0.99, 100.0)])
def test_quantiles_are_near(quantile: float, at_most: float) -> None:
    """Within the bucket that the value is in."""
    histogram = Histogram()
    assert histogram.quantile_ms(quantile) is None
    for _ in range(90):
        histogram.add(4.5)
    for _ in range(10):
        histogram.add(90)
    found = histogram.quantile_ms(quantile)
    assert found is not None
    assert at_most * 0.7 <= found <= at_most
