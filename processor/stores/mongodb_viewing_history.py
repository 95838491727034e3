"""Reads of the viewing history that recommendations are computed from: each bounded, each led by an index.

On MongoDB all of it takes some ten milliseconds. The embedded server costs about 20 µs for each document that a query
meets and does not stop early at a limit, which the bounds take into account: at 30,000 views it stays under 100 ms,
but for the table of popular contents, which is therefore kept for a few seconds.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, cast

from bson.int64 import Int64
from pymongo import DESCENDING
from pymongo.database import Database

from mesh.store_names.mongodb import POPULAR, VIEWS, ViewDocument
from processor.stores.mongodb_documents import Document
from processor.stores.mongodb_recommendations import (
    PopularContent,
    Recommended,
    Viewing,
    choose_co_viewers,
    choose_seeds,
    count_popular,
    rank_contents,
)

MAX_RECENT_VIEWS: Final = 200  # of the user's own
MAX_SEEDS: Final = 10
MAX_VIEWS_PER_SEED: Final = 100
MAX_CO_VIEWERS: Final = 32
MAX_VIEWS_PER_CO_VIEWER: Final = 50
MAX_COUNTED_VIEWS: Final = 10_000  # the latest recorded ones: popular is what is watched now
MAX_POPULAR: Final = 1000
POPULAR_MAX_AGE: Final = timedelta(seconds=10)

_FIELDS: Final = frozenset({"user_id", "conteudo_id", "titulo", "tipo", "data"})
_NEWEST_FIRST: Final = [("data", DESCENDING)]
_TABLE_ID: Final = "atual"


def recommend(
    db: Database[Document], user_id: int, max_items: int, popular: Sequence[PopularContent]
) -> list[Recommended]:
    """Return what to recommend to a user, the strongest first. Raises what the client raises."""
    recent = _newest(db, {"user_id": Int64(user_id)}, MAX_RECENT_VIEWS)
    watched = {int(content_id) for content_id in db[VIEWS].distinct("conteudo_id", {"user_id": Int64(user_id)})}
    seed_viewings = [
        viewing
        for seed in choose_seeds(recent, popular, MAX_SEEDS)
        for viewing in _newest(db, {"conteudo_id": Int64(seed)}, MAX_VIEWS_PER_SEED)
    ]
    co_viewings = [
        viewing
        for viewer in choose_co_viewers(seed_viewings, user_id, MAX_CO_VIEWERS)
        for viewing in _newest(db, {"user_id": Int64(viewer)}, MAX_VIEWS_PER_CO_VIEWER)
    ]
    return rank_contents(recent=recent, watched=watched, co_viewings=co_viewings, popular=popular, max_items=max_items)


def read_popular(db: Database[Document], now: datetime) -> list[PopularContent]:
    """Return the popular contents, counted anew where the count that is kept has become too old."""
    table = db[POPULAR].find_one({"_id": _TABLE_ID})
    if table is not None and abs(now - table["calculado_em"]) <= POPULAR_MAX_AGE:
        return [_popular(item) for item in table["itens"]]
    popular = count_popular(_latest_recorded(db), MAX_POPULAR)
    if popular:  # an empty table would hide the first views there are
        kept = {"calculado_em": now, "itens": [_popular_document(content) for content in popular]}
        db[POPULAR].replace_one({"_id": _TABLE_ID}, kept, upsert=True)
    return popular


def _newest(db: Database[Document], match: Mapping[str, Any], limit: int) -> list[Viewing]:
    return list(_viewings(db[VIEWS].find(match, sort=_NEWEST_FIRST, limit=limit)))


def _latest_recorded(db: Database[Document]) -> Iterator[Viewing]:
    # In the reverse order of insertion: no index is read, and none has to be kept for it. The hint says the same as
    # a sort would, which the embedded server does not heed.
    return _viewings(db[VIEWS].find({}, hint=[("$natural", DESCENDING)], limit=MAX_COUNTED_VIEWS))


def _viewings(documents: Iterable[Document]) -> Iterator[Viewing]:
    # Whole documents are read: leaving fields out doubles the embedded server's time.
    for found in cast(Iterable[ViewDocument], documents):
        # A view from before the platform may lack some of them.
        if found.keys() >= _FIELDS:
            yield Viewing(
                int(found["user_id"]), int(found["conteudo_id"]), found["titulo"], found["tipo"], found["data"]
            )


def _popular(item: Document) -> PopularContent:
    return PopularContent(int(item["conteudo_id"]), item["titulo"], item["tipo"], int(item["espectadores"]))


def _popular_document(content: PopularContent) -> Document:
    return {
        "conteudo_id": Int64(content.content_id),
        "titulo": content.title,
        "tipo": content.kind,
        "espectadores": content.viewers,
    }
