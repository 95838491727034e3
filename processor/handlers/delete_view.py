"""DeleteView: a document of `historico_visualizacao` loses all it says, and keeps the mark of who emptied it."""

from collections.abc import Mapping, Sequence
from typing import Final

from bson.int64 import Int64
from polystream.v1.views_pb2 import DeleteViewRequest, View
from pymongo import UpdateOne
from pymongo.database import Database

from mesh.errors import Reason
from mesh.store_names.mongodb import VIEWS, ViewDocument
from processor.model import Delivery, Outcome, refuse, requests_of
from processor.stores.mongodb_documents import Document, find_by_id

# Without `user_id` and `conteudo_id` no reader finds the document. It stays, so that a late repetition of the
# RecordView finds its `_id` taken, and a repetition of the DeleteView its own mark.
_KEPT: Final = {"_id", "apagado_por"}
_EMPTIED: Final[Mapping[str, str]] = {field: "" for field in ViewDocument.__annotations__ if field not in _KEPT}


def mongodb(batch: Sequence[Delivery], db: Database[Document]) -> Sequence[Outcome]:
    """Empty the views, each in one step; the answer is by whose mark is there afterwards."""
    requests = requests_of(batch, DeleteViewRequest)
    updates = [
        UpdateOne(
            {"_id": request.view_id.lower(), "user_id": Int64(request.user_id)},
            {"$set": {"apagado_por": delivery.correlation_id}, "$unset": _EMPTIED},
        )
        for delivery, request in zip(batch, requests, strict=True)
    ]
    # In order: of two commands for the same view, the first one is the one that finds it, every time.
    db[VIEWS].bulk_write(updates, ordered=True)
    view_ids = [request.view_id.lower() for request in requests]
    marks = {found["_id"]: found.get("apagado_por") for found in find_by_id(db[VIEWS], view_ids, ["apagado_por"])}
    return [
        _outcome(request, marks.get(request.view_id.lower()) == delivery.correlation_id)
        for delivery, request in zip(batch, requests, strict=True)
    ]


def _outcome(request: DeleteViewRequest, deleted: bool) -> Outcome:
    if not deleted:
        return refuse(Reason.VIEW_NOT_FOUND, "view_id")
    return Outcome(result=View(view_id=request.view_id.lower(), user_id=request.user_id))
