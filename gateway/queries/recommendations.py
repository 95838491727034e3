"""Queries about recommendations: collection `recomendacoes`."""

from typing import Any, Final, cast

from polystream.v1.recommendations_pb2 import GetRecommendationsRequest, Recommendations
from pymongo import DESCENDING

from gateway.queries.stores import Stores
from mesh.errors import Reason, not_found
from mesh.store_names.mongodb import RECOMMENDATIONS, RecommendationsDocument, RecommendedDocument
from mesh.stored_enums import KINDS, RECOMMENDATION_REASONS

_NEWEST_FIRST: Final = [("data_geracao", DESCENDING), ("_id", DESCENDING)]


class RecommendationQueries:
    """`polystream.v1.RecommendationService`'s queries."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def get_recommendations(self, request: GetRecommendationsRequest, _context: Any) -> Recommendations:
        """Return the recommendations made last. Raises PolystreamError RECOMMENDATIONS_NOT_FOUND."""
        document = await self._stores.documents(
            lambda database: database[RECOMMENDATIONS].find_one({"user_id": request.user_id}, sort=_NEWEST_FIRST)
        )
        if document is None:
            raise not_found(Reason.RECOMMENDATIONS_NOT_FOUND, "user_id")
        return _recommendations(cast(RecommendationsDocument, document))


def _recommendations(document: RecommendationsDocument) -> Recommendations:
    return Recommendations(
        user_id=document["user_id"],
        generate_time=document["data_geracao"],
        items=[_item(item) for item in document.get("itens", ())],
    )


def _item(item: RecommendedDocument) -> Recommendations.Item:
    return Recommendations.Item(
        content_id=item.get("conteudo_id"),
        title=item.get("titulo"),
        kind=KINDS.value(item.get("tipo")),
        score=item.get("pontuacao"),
        reason=RECOMMENDATION_REASONS.value(item.get("motivo")),
    )
