"""DeleteView: a document of `historico_visualizacao` goes, and a mark of who deleted it stays elsewhere."""

from collections.abc import Sequence

from polystream.v1.views_pb2 import DeleteViewRequest, View
from pymongo.database import Database

from mesh.errors import Reason
from mesh.store_names.mongodb import VIEWS
from processor.model import Delivery, Outcome, refuse, requests_of
from processor.stores.mongodb_documents import Document, find_by_id
from processor.stores.mongodb_views import delete_views, deleted_by


def mongodb(batch: Sequence[Delivery], db: Database[Document]) -> Sequence[Outcome]:
    """Delete the views; the answer is by whose mark is there afterwards, so that a repetition answers the same."""
    requests = requests_of(batch, DeleteViewRequest)
    view_ids = [request.view_id.lower() for request in requests]
    users = {found["_id"]: found.get("user_id") for found in find_by_id(db[VIEWS], view_ids, ["user_id"])}
    deletions: dict[str, str] = {}
    for delivery, request, view_id in zip(batch, requests, view_ids, strict=True):
        if users.get(view_id) == request.user_id:
            # Of two commands for the same view, the first one is the one that deletes it, every time.
            deletions.setdefault(view_id, delivery.correlation_id)
    delete_views(db, deletions)
    marks = deleted_by(db, view_ids)
    return [
        _outcome(request, marks.get(view_id) == delivery.correlation_id)
        for delivery, request, view_id in zip(batch, requests, view_ids, strict=True)
    ]


def _outcome(request: DeleteViewRequest, deleted: bool) -> Outcome:
    if not deleted:
        return refuse(Reason.VIEW_NOT_FOUND, "view_id")
    return Outcome(result=View(view_id=request.view_id.lower(), user_id=request.user_id))
