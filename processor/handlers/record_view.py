"""RecordView: a document in `historico_visualizacao`, whose `_id` is the command's correlation ID."""

from collections.abc import Sequence

from bson.int64 import Int64
from google.protobuf.timestamp_pb2 import Timestamp
from polystream.v1.views_pb2 import RecordViewRequest, View
from pymongo.database import Database

from mesh.store_names.mongodb import ViewDocument
from mesh.stored_enums import KINDS
from processor.model import Delivery, Outcome, requests_of
from processor.stores.mongodb_documents import Document, date_of
from processor.stores.mongodb_hashes import content_hash
from processor.stores.mongodb_views import insert_views


def mongodb(batch: Sequence[Delivery], db: Database[Document]) -> Sequence[Outcome]:
    """Insert the views that are not there yet, and were not deleted."""
    views = [
        _view(delivery, request) for delivery, request in zip(batch, requests_of(batch, RecordViewRequest), strict=True)
    ]
    insert_views(db, [document_of(view) for view in views])
    return [Outcome(result=view) for view in views]


def document_of(view: View) -> ViewDocument:
    """Return a view as the collection has it."""
    milliseconds, microseconds = divmod(view.watch_time.ToMicroseconds(), 1000)
    document: ViewDocument = {
        "_id": view.view_id,
        "user_id": Int64(view.user_id),
        "conteudo_id": Int64(view.content_id),
        "titulo": view.title,
        "tipo": KINDS.text(view.kind),
        "tempo_assistido": view.watched_seconds,
        "posicao": view.position_percent,
        "data": date_of(milliseconds),
        "data_microssegundos": microseconds,
        "concluido": view.completed,
    }
    document["hash_conteudo"] = content_hash(document)
    return document


def _view(delivery: Delivery, request: RecordViewRequest) -> View:
    watch_time = Timestamp()
    # To the microsecond, as the record and the store have it: the answer is what a later read finds.
    if request.HasField("watch_time"):
        watch_time.FromMicroseconds(request.watch_time.ToMicroseconds())
    else:
        watch_time.FromMilliseconds(delivery.accept_time_ms)
    return View(
        view_id=delivery.correlation_id,
        user_id=request.user_id,
        content_id=request.content_id,
        title=request.title,
        kind=request.kind,
        watched_seconds=request.watched_seconds,
        position_percent=request.position_percent,
        watch_time=watch_time,
        completed=request.completed,
    )
