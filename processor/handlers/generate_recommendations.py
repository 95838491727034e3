"""GenerateRecommendations: computed from the viewing history, a document in `recomendacoes`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, cast

from bson.int64 import Int64
from polystream.v1.recommendations_pb2 import GenerateRecommendationsRequest, Recommendations
from pymongo.database import Database

from mesh.store_names.mongodb import RECOMMENDATIONS, RecommendationsDocument
from mesh.stored_enums import KINDS, RECOMMENDATION_REASONS
from processor.model import Delivery, Outcome, requests_of, timestamp
from processor.stores.mongodb_documents import Document, find_by_id, insert_whole
from processor.stores.mongodb_hashes import content_hash
from processor.stores.mongodb_recommendations import Recommended
from processor.stores.mongodb_viewing_history import read_popular, recommend

_DEFAULT_MAX_ITEMS: Final = 10


def mongodb(batch: Sequence[Delivery], db: Database[Document]) -> Sequence[Outcome]:
    """Compute what is not computed yet, and answer from what is stored."""
    ids = [delivery.correlation_id for delivery in batch]
    stored = _find(db, ids)
    missing = [
        (delivery.correlation_id, request)
        for delivery, request in zip(batch, requests_of(batch, GenerateRecommendationsRequest), strict=True)
        if delivery.correlation_id not in stored
    ]
    if missing:
        now = datetime.now(UTC)
        popular = read_popular(db, now)
        insert_whole(
            db[RECOMMENDATIONS],
            [
                make_document(
                    id_,
                    request.user_id,
                    now,
                    recommend(db, request.user_id, request.max_items or _DEFAULT_MAX_ITEMS, popular),
                )
                for id_, request in missing
            ],
        )
        # Read back: another lane may have been first, and the store keeps milliseconds only.
        stored |= _find(db, [id_ for id_, _ in missing])
    return [Outcome(result=_result(stored[id_])) for id_ in ids]


def make_document(id_: str, user_id: int, now: datetime, items: Sequence[Recommended]) -> RecommendationsDocument:
    """Return recommendations as the collection has them."""
    document: RecommendationsDocument = {
        "_id": id_,
        "user_id": Int64(user_id),
        "data_geracao": now,
        "itens": [
            {
                "conteudo_id": Int64(item.content_id),
                "titulo": item.title,
                "tipo": item.kind,
                "pontuacao": item.score,
                "motivo": RECOMMENDATION_REASONS.text(item.reason),
            }
            for item in items
        ],
    }
    document["hash_conteudo"] = content_hash(document)
    return document


def _find(db: Database[Document], ids: Sequence[str]) -> dict[str, RecommendationsDocument]:
    return {found["_id"]: cast(RecommendationsDocument, found) for found in find_by_id(db[RECOMMENDATIONS], ids)}


def _result(document: RecommendationsDocument) -> Recommendations:
    return Recommendations(
        user_id=document["user_id"],
        generate_time=timestamp(document["data_geracao"]),
        items=[
            Recommendations.Item(
                content_id=item["conteudo_id"],
                title=item["titulo"],
                kind=KINDS.value(item["tipo"]),
                score=item["pontuacao"],
                reason=RECOMMENDATION_REASONS.value(item["motivo"]),
            )
            for item in document["itens"]
        ],
    )
