"""Recommendations as an answer tells them: what others had watched by then is in no single command."""

from collections.abc import Sequence
from datetime import UTC

from polystream.v1.events_pb2 import CommandReceipt
from polystream.v1.recommendations_pb2 import Recommendations
from pymongo.database import Database

from mesh.store_names.mongodb import RECOMMENDATIONS
from mesh.stored_enums import KINDS
from processor.handlers.generate_recommendations import make_document
from processor.integrity.told_effects import result_of
from processor.stores.mongodb_documents import Document, insert_absent
from processor.stores.mongodb_recommendations import Recommended


def insert_told(db: Database[Document], receipts: Sequence[CommandReceipt]) -> None:
    """Insert the recommendations that receipts tell of: the handler then finds them, and computes none anew."""
    documents = []
    for receipt in receipts:
        result = result_of(receipt)
        if isinstance(result, Recommendations):
            items = [Recommended(i.content_id, i.title, KINDS.text(i.kind), i.score, i.reason) for i in result.items]
            generated = result.generate_time.ToDatetime(UTC)
            documents.append(make_document(receipt.correlation_id, result.user_id, generated, items))
    insert_absent(db[RECOMMENDATIONS], documents)
