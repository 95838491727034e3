"""Views come and go: `historico_visualizacao`, and beside it the marks of those that were deleted.

A mark is there before its view goes, and stays for good, so that a late repetition of the RecordView, of which no
receipt is left, does not bring the view back. The mark says nothing of the view, nor whose it was.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.database import Database

from mesh.store_names.mongodb import DELETED_VIEWS, VIEWS, ViewDocument
from processor.stores.mongodb_documents import Document, chunks, find_by_id, insert_absent, insert_whole

_MAX_MOVED_AT_ONCE = 1000
# Nobody's: the index of users leads to these, so that a start does not read the whole history.
_EMPTIED: Mapping[str, Any] = {"user_id": None, "apagado_por": {"$exists": True}}


def insert_views(db: Database[Document], views: Sequence[ViewDocument]) -> None:
    """Insert the views that are not there yet, and have never been deleted. Raises what the client raises."""
    insert_whole(db[VIEWS], views)
    # Looked for afterwards, since another lane may delete one at this very moment: its mark comes before its deletion.
    if db[DELETED_VIEWS].find_one({}, ["_id"]) is not None:
        _delete(db, list(deleted_by(db, [view["_id"] for view in views])))


def delete_views(db: Database[Document], deletions: Mapping[str, str]) -> None:
    """Delete views, with a mark of who did so unless there is one: by view ID, the deletion's correlation ID."""
    insert_absent(db[DELETED_VIEWS], [{"_id": id_, "apagado_por": by} for id_, by in deletions.items()])
    _delete(db, list(deletions))


def deleted_by(db: Database[Document], view_ids: Sequence[str]) -> dict[str, str]:
    """Return who has deleted views, of those that were: by view ID, the deletion's correlation ID."""
    return {mark["_id"]: mark["apagado_por"] for mark in find_by_id(db[DELETED_VIEWS], view_ids)}


def move_marks(db: Database[Document]) -> int:
    """Move the marks that were left among the views to where they belong, and return how many. Safe to repeat."""
    moved = 0
    while found := list(db[VIEWS].find(_EMPTIED, ["apagado_por"], limit=_MAX_MOVED_AT_ONCE)):
        delete_views(db, {mark["_id"]: mark["apagado_por"] for mark in found})
        moved += len(found)
    return moved


def _delete(db: Database[Document], view_ids: Sequence[str]) -> None:
    for chunk in chunks(view_ids):
        db[VIEWS].delete_many({"_id": {"$in": chunk}})
