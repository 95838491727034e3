"""The ranking of recommendations: a worked example, and what holds for every input."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import sqrt

import pytest
from polystream.v1.recommendations_pb2 import Recommendations

from processor.stores.mongodb_recommendations import (
    PopularContent,
    Recommended,
    Viewing,
    choose_co_viewers,
    choose_seeds,
    count_popular,
    rank_contents,
)

Reason = Recommendations.Item.Reason
ME = 1
DAY_0 = datetime(2026, 1, 1, tzinfo=UTC)
KINDS = ("filme", "série", "documentário")


def viewing(user_id: int, content_id: int, day: int, kind: str = "filme") -> Viewing:
    """Return a viewing of a content that is named after its ID."""
    return Viewing(user_id, content_id, f"Título {content_id}", kind, DAY_0 + timedelta(days=day))


def popular(content_id: int, viewers: int, kind: str = "filme") -> PopularContent:
    """Return a row of the table of popular contents."""
    return PopularContent(content_id, f"Título {content_id}", kind, viewers)


def random_history(seed: int) -> list[Viewing]:
    """Return viewings of a small platform, the newest first."""
    draw = random.Random(seed)
    viewings = [
        viewing(draw.randint(1, 8), content_id := draw.randint(1, 25), draw.randint(0, 60), KINDS[content_id % 3])
        for _ in range(draw.randint(0, 90))
    ]
    return sorted(viewings, key=lambda v: v.watch_time, reverse=True)


def recommended(history: Sequence[Viewing], max_items: int = 10) -> list[Recommended]:
    """Return what is recommended to user 1 of a platform with this history."""
    recent = [v for v in history if v.user_id == ME]
    table = count_popular(history, 100)
    seeds = choose_seeds(recent, table, 10)
    co_viewers = choose_co_viewers([v for v in history if v.content_id in seeds], ME, 5)
    return rank_contents(
        recent=recent,
        watched={v.content_id for v in recent},
        co_viewings=[v for v in history if v.user_id in co_viewers],
        popular=table,
        max_items=max_items,
    )


def test_worked_example() -> None:
    """Two co-viewers: what came after counts whole, what came before half, and what everybody watches less."""
    # I watched 10 on day 5. Ana watched 10, then 20, and before it 30. Bia watched 10, then 20.
    ana, bia = 2, 3
    items = rank_contents(
        recent=[viewing(ME, 10, 5)],
        watched={10},
        co_viewings=[
            *(viewing(ana, 10, 2), viewing(ana, 20, 3), viewing(ana, 30, 1)),
            *(viewing(bia, 10, 2), viewing(bia, 20, 9)),
        ],
        # 10 has 3 viewers, 20 has 8, so they share 2 of them: 2 / √(3·8). 30 has 1: 0.5 / √(3·1).
        popular=[popular(20, 8), popular(40, 5, "série"), popular(50, 4), popular(10, 3), popular(30, 1)],
        max_items=10,
    )
    assert [(item.content_id, item.reason) for item in items] == [
        (20, Reason.CO_VIEWED),
        (30, Reason.CO_VIEWED),
        (50, Reason.KIND_AFFINITY),
        (40, Reason.POPULAR),
    ]
    expected = [2 / sqrt(3 * 8), 0.5 / sqrt(3 * 1), 1.0 * 4 / 8, 5 / 8]
    assert [item.score for item in items] == pytest.approx(expected, abs=1e-6)


def test_a_viewer_counts_once_for_a_pair() -> None:
    """Somebody who watches a content again and again does not recommend it the more."""
    once = [viewing(2, 10, 1), viewing(2, 20, 2)]
    again = [*once, viewing(2, 10, 3), viewing(2, 20, 4), viewing(2, 20, 5)]

    def score(co_viewings: list[Viewing]) -> float:
        recent = [viewing(ME, 10, 1)]
        return rank_contents(recent=recent, watched={10}, co_viewings=co_viewings, popular=[], max_items=1)[0].score

    assert score(once) == score(again)


def test_kinds_come_by_the_users_share() -> None:
    """Who watches three films and one series gets films first, and of each kind the popular ones."""
    recent = [viewing(ME, 1, 4), viewing(ME, 2, 3), viewing(ME, 3, 2), viewing(ME, 4, 1, "série")]
    table = [popular(10, 9, "série"), popular(11, 8), popular(12, 4), popular(13, 9, "documentário")]
    items = rank_contents(recent=recent, watched={1, 2, 3, 4}, co_viewings=[], popular=table, max_items=10)
    assert [(item.content_id, item.score) for item in items] == [(11, 0.75), (12, 0.375), (10, 0.25), (13, 1.0)]
    assert [item.reason for item in items] == [*[Reason.KIND_AFFINITY] * 3, Reason.POPULAR]


def test_who_has_watched_nothing_gets_what_is_popular() -> None:
    """Without any view of the user's own, popularity alone decides; ties go to the smaller ID."""
    table = [popular(7, 3), popular(9, 1), popular(8, 3)]
    items = rank_contents(recent=[], watched=set(), co_viewings=[], popular=table, max_items=2)
    assert [(item.content_id, item.reason) for item in items] == [(7, Reason.POPULAR), (8, Reason.POPULAR)]


def test_an_empty_platform_recommends_nothing() -> None:
    """No views, no items, no error."""
    assert recommended([]) == []


def test_old_views_are_excluded_too() -> None:
    """What the user watched before the recent viewings is not recommended either."""
    items = rank_contents(
        recent=[viewing(ME, 10, 5)],
        watched={10, 20},
        co_viewings=[viewing(2, 10, 1), viewing(2, 20, 2)],
        popular=[popular(20, 5), popular(21, 1)],
        max_items=10,
    )
    assert [item.content_id for item in items] == [21]


@pytest.mark.parametrize("seed", range(60))
def test_properties(seed: int) -> None:
    """Nothing watched, nothing twice, no more than asked for, strongest first within a reason, reasons in order."""
    history = random_history(seed)
    max_items = random.Random(seed).randint(1, 30)
    items = recommended(history, max_items)
    ids = [item.content_id for item in items]
    watched = {v.content_id for v in history if v.user_id == ME}
    others = {v.content_id for v in history} - watched
    assert not watched & set(ids)
    assert len(ids) == len(set(ids)) == min(max_items, len(others))
    assert [item.reason for item in items] == sorted(item.reason for item in items)
    for reason in (Reason.CO_VIEWED, Reason.KIND_AFFINITY, Reason.POPULAR):
        ranked = [(-item.score, item.content_id) for item in items if item.reason == reason]
        assert ranked == sorted(ranked)
    assert all(item.score > 0 for item in items)


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_what_is_read_does_not_matter(seed: int) -> None:
    """The same viewings of the co-viewers give the same ranking, in whatever order a store returns them."""
    history = random_history(seed)
    recent = [v for v in history if v.user_id == ME]
    others = [v for v in history if v.user_id != ME]
    shuffled = random.Random(seed).sample(others, len(others))
    table = count_popular(history, 100)

    def ranking(co_viewings: list[Viewing]) -> list[Recommended]:
        return rank_contents(recent=recent, watched=set(), co_viewings=co_viewings, popular=table, max_items=30)

    assert ranking(others) == ranking(shuffled)


def test_seeds_are_the_contents_that_few_have_watched() -> None:
    """Rare contents lead first, those that nobody else has watched last, ties by the newest viewing."""
    recent = [viewing(ME, content_id, 30 - content_id) for content_id in (1, 2, 3, 4, 5, 1)]
    table = [popular(1, 50), popular(2, 2), popular(3, 1), popular(4, 2)]
    assert choose_seeds(recent, table, 10) == [2, 4, 1, 3, 5]
    assert choose_seeds(recent, table, 2) == [2, 4]


def test_co_viewers_are_those_who_share_the_most() -> None:
    """The number of shared contents decides, then the smaller ID; the user is no co-viewer."""
    seen = [(ME, 1), (ME, 2), (5, 1), (5, 1), (4, 1), (3, 1), (3, 2)]
    assert choose_co_viewers([viewing(u, c, 1) for u, c in seen], ME, 2) == [3, 4]


def test_popularity_counts_people() -> None:
    """A content's viewers are different people, its title and kind those of the newest viewing."""
    newest_first = [viewing(2, 7, 9, "série"), viewing(2, 7, 8), viewing(3, 7, 7), viewing(2, 6, 6), viewing(4, 5, 5)]
    assert count_popular(newest_first, 2) == [popular(7, 2, "série"), popular(5, 1)]
