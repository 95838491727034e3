"""Activity: what the monitor counts of the last day."""

import pytest
from polystream.v1.operations_pb2 import Event

from monitor.activity import FINE_STEP_S, OTHERS, Activity, Histogram
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
    now[0] += 2 * FINE_STEP_S
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


def test_the_series_has_every_step_and_counts_by_the_events_own_time() -> None:
    """What was read late is shown when it happened; what is too old, or still to come, is not counted."""
    activity = Activity(lambda: NOW_S)
    activity.add([event(ACCEPTED, at_s=NOW_S - 600), event(ACCEPTED, at_s=NOW_S), event(ACCEPTED, at_s=NOW_S + 1000)])
    activity.add([event(ACCEPTED, at_s=NOW_S - 2 * 86_400)])
    series = activity.series(NOW_S - 900, 60)
    assert [at_s for at_s, _ in series] == list(range(series[0][0], NOW_S + 1, 60))
    assert [figures.accepted for _, figures in series if figures.accepted] == [1, 1]
    assert sum(figures.accepted for _, figures in activity.series(NOW_S - 86_000, 1200)) == 2


def test_what_is_kept_is_bounded() -> None:
    """A day passes, and old steps are forgotten; foreign names are counted as others."""
    now = [NOW_S]
    activity = Activity(lambda: now[0])
    for _ in range(2000):
        activity.add([event(ACCEPTED, at_s=now[0])])
        now[0] += 60
    assert max(len(slots) for slots in activity._slots.values()) <= 1440
    activity.add([event(ACCEPTED, at_s=now[0], command=f"Foreign{number}") for number in range(500)])
    commands = activity.series(now[0], FINE_STEP_S)[-1][1].commands
    assert len(commands) <= 101
    assert commands[OTHERS] == 400


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
