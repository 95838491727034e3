"""What a user may like next: the ranking itself, without a store.

Three sources, one after the other, until there are enough items; none of them gives what the user has watched:

1. Co-viewed: what viewers of the same contents watched. Each viewer counts once for each pair of a watched content
   (a seed) and a candidate: 1 where the candidate was watched after the seed, 0.5 otherwise. The sum for a pair is
   divided by the root of the product of both contents' viewers, as a cosine is, so that what everybody watches does
   not come first for everybody.
2. Kind affinity: contents of the kinds that the user watches, by the kind's share in the user's views times the
   content's popularity within its kind.
3. Popular: the rest, by popularity.

The same input gives the same ranking: ties go to the smaller content ID.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from math import sqrt
from typing import Final

from polystream.v1.recommendations_pb2 import Recommendations

_Reason = Recommendations.Item.Reason

_AFTER_WEIGHT: Final = 1.0
_BESIDE_WEIGHT: Final = 0.5
_MIN_SEED_VIEWERS: Final = 2  # a content that only the user has watched leads to nobody
_SCORE_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class Viewing:
    """One user watched one content."""

    user_id: int
    content_id: int
    title: str
    kind: str  # as the store has it
    watch_time: datetime


@dataclass(frozen=True, slots=True)
class PopularContent:
    """A content, with how many have watched it."""

    content_id: int
    title: str
    kind: str
    viewers: int


@dataclass(frozen=True, slots=True)
class Recommended:
    """One recommended content."""

    content_id: int
    title: str
    kind: str
    score: float
    reason: _Reason


def count_popular(viewings: Iterable[Viewing], max_contents: int) -> list[PopularContent]:
    """Return the contents with the most different viewers, from viewings of which the newest come first."""
    viewers: dict[int, set[int]] = {}
    newest: dict[int, Viewing] = {}
    for viewing in viewings:
        viewers.setdefault(viewing.content_id, set()).add(viewing.user_id)
        newest.setdefault(viewing.content_id, viewing)
    ranked = sorted(viewers, key=lambda content_id: (-len(viewers[content_id]), content_id))[:max_contents]
    return [PopularContent(id_, newest[id_].title, newest[id_].kind, len(viewers[id_])) for id_ in ranked]


def choose_seeds(recent: Sequence[Viewing], popular: Sequence[PopularContent], max_seeds: int) -> list[int]:
    """Return which of the user's contents to find co-viewers by, from viewings of which the newest come first.

    Those with the fewest viewers say the most about a taste, weigh the most in the ranking, and cost the least to
    look through. Those that nobody else is known to have watched come last.
    """
    viewers = {content.content_id: content.viewers for content in popular}
    contents = dict.fromkeys(viewing.content_id for viewing in recent)  # in the order of the newest viewing

    def rank(content_id: int) -> tuple[bool, int]:
        count = viewers.get(content_id, 0)
        return (count < _MIN_SEED_VIEWERS, count if count >= _MIN_SEED_VIEWERS else 0)

    return sorted(contents, key=rank)[:max_seeds]


def choose_co_viewers(seed_viewings: Iterable[Viewing], user_id: int, max_co_viewers: int) -> list[int]:
    """Return the users who share the most seeds with the user."""
    pairs = {(viewing.user_id, viewing.content_id) for viewing in seed_viewings if viewing.user_id != user_id}
    shared = Counter(viewer for viewer, _ in pairs)
    return sorted(shared, key=lambda viewer: (-shared[viewer], viewer))[:max_co_viewers]


def rank_contents(
    *,
    recent: Sequence[Viewing],
    watched: AbstractSet[int],
    co_viewings: Sequence[Viewing],
    popular: Sequence[PopularContent],
    max_items: int,
) -> list[Recommended]:
    """Return what to recommend, the strongest first.

    `recent` are the user's own viewings, `watched` all contents that the user has ever watched, `co_viewings` those
    of the co-viewers, of the user's contents and of others.
    """
    excluded = set(watched) | {viewing.content_id for viewing in recent}

    def unseen() -> Iterator[Recommended]:
        sources = (
            _co_viewed({viewing.content_id for viewing in recent}, co_viewings, popular),
            _by_kind(recent, popular),
            _by_popularity(popular),
        )
        for source in sources:
            for item in source:
                if item.content_id not in excluded:
                    excluded.add(item.content_id)
                    yield item

    return list(islice(unseen(), max_items))


def _co_viewed(
    seeds: AbstractSet[int], co_viewings: Sequence[Viewing], popular: Sequence[PopularContent]
) -> list[Recommended]:
    first, last = _watch_times(co_viewings)
    pairs: dict[tuple[int, int], float] = defaultdict(float)
    for viewer_first, viewer_last in zip(first.values(), last.values(), strict=True):
        own_seeds = [(content_id, time) for content_id, time in viewer_first.items() if content_id in seeds]
        for candidate, last_time in viewer_last.items():
            if candidate not in seeds:
                for seed, seed_time in own_seeds:
                    pairs[seed, candidate] += _AFTER_WEIGHT if last_time > seed_time else _BESIDE_WEIGHT
    viewers = _viewers(first, popular)
    scores: dict[int, float] = defaultdict(float)
    for (seed, candidate), weight in sorted(pairs.items()):  # floats add up to the same in the same order only
        scores[candidate] += weight / sqrt(viewers[seed] * viewers[candidate])
    described = {v.content_id: v for v in sorted(co_viewings, key=lambda v: (v.watch_time, v.user_id))}
    items = [
        Recommended(id_, described[id_].title, described[id_].kind, round(score, _SCORE_DIGITS), _Reason.CO_VIEWED)
        for id_, score in scores.items()
    ]
    return _strongest_first(items)


def _watch_times(viewings: Iterable[Viewing]) -> tuple[dict[int, dict[int, datetime]], dict[int, dict[int, datetime]]]:
    """Return when each viewer watched each content for the first, and for the last time."""
    first: dict[int, dict[int, datetime]] = {}
    last: dict[int, dict[int, datetime]] = {}
    for viewing in viewings:
        of_first = first.setdefault(viewing.user_id, {})
        of_last = last.setdefault(viewing.user_id, {})
        of_first[viewing.content_id] = min(viewing.watch_time, of_first.get(viewing.content_id, viewing.watch_time))
        of_last[viewing.content_id] = max(viewing.watch_time, of_last.get(viewing.content_id, viewing.watch_time))
    return first, last


def _viewers(by_viewer: Mapping[int, Mapping[int, datetime]], popular: Sequence[PopularContent]) -> Mapping[int, int]:
    """Return how many have watched each content: as the table of the popular ones says, at least as many as seen."""
    seen = Counter(content_id for contents in by_viewer.values() for content_id in contents)
    for content in popular:
        seen[content.content_id] = max(content.viewers, seen[content.content_id])
    return seen


def _by_kind(recent: Sequence[Viewing], popular: Sequence[PopularContent]) -> list[Recommended]:
    share = Counter(viewing.kind for viewing in recent)
    most: dict[str, int] = {}
    for content in popular:
        most[content.kind] = max(content.viewers, most.get(content.kind, 0))
    items = [
        Recommended(
            content.content_id,
            content.title,
            content.kind,
            round(share[content.kind] / len(recent) * content.viewers / most[content.kind], _SCORE_DIGITS),
            _Reason.KIND_AFFINITY,
        )
        for content in popular
        if share[content.kind]
    ]
    return _strongest_first(items)


def _by_popularity(popular: Sequence[PopularContent]) -> list[Recommended]:
    most = max((content.viewers for content in popular), default=1)
    items = [
        Recommended(c.content_id, c.title, c.kind, round(c.viewers / most, _SCORE_DIGITS), _Reason.POPULAR)
        for c in popular
    ]
    return _strongest_first(items)


def _strongest_first(items: Iterable[Recommended]) -> list[Recommended]:
    return sorted(items, key=lambda item: (-item.score, item.content_id))
