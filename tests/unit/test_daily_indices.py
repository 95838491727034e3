"""The daily indices of the event store in OpenSearch."""

from datetime import UTC, datetime, timedelta

from monitor.store.opensearch import daily_index


def test_a_day_near_today_has_its_own_index() -> None:
    """The days that a topic is read anew for, and tomorrow, which has begun where a clock is fast."""
    now = datetime.now(UTC)
    for day in (now - timedelta(50), now - timedelta(1), now):
        assert daily_index("api_events", day.isoformat()) == f"api_events-{day:%Y.%m.%d}"


def test_however_far_away_days_are_their_indices_are_few() -> None:
    """A cluster takes a thousand shards of each node, and then no more events."""
    far = [f"{year:04}-{month:02}-01T00:00:00Z" for year in (*range(1, 2020), *range(3000, 9999)) for month in (1, 7)]
    names = {daily_index("api_events", timestamp) for timestamp in far}
    assert len(names) <= 4  # the nearest in the past and in the future, of two days where midnight falls in between
    assert max(names) <= f"api_events-{datetime.now(UTC) + timedelta(1):%Y.%m.%d}"
