"""RecommendationService of the API. Generated from the protos: do not edit."""

from polystream_api.polystream.v1 import (
    GenerateRecommendationsRequest,
    GetRecommendationsRequest,
    Operation,
    RecommendationServiceStub,
    Recommendations,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import GENERATE_RECOMMENDATIONS_REQUEST_FIELDS, GET_RECOMMENDATIONS_REQUEST_FIELDS


class RecommendationService:
    """Recommendations, computed from the viewing history. Stored in MongoDB, collection `recomendacoes`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> RecommendationServiceStub:
        return RecommendationServiceStub(self._calls.channel)

    async def generate_recommendations(
        self,
        *,
        user_id: int = 0,
        max_items: int = 0,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Recommendations]:
        """Computes what a user may like next: what viewers of the same contents went on to watch, then the kinds the
        user watches most, then what is popular; nothing the user has watched already.

        Args:
            user_id: Identifier of the user.
            max_items: How many at the most; 10 when 0.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.generate_recommendations,
            make_command(
                GenerateRecommendationsRequest,
                GENERATE_RECOMMENDATIONS_REQUEST_FIELDS,
                user_id=user_id,
                max_items=max_items,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Recommendations)

    async def get_recommendations(
        self,
        *,
        user_id: int,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Recommendations:
        """Reads the recommendations generated last.

        Args:
            user_id: Identifier of the user.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_recommendations,
            make_request(GetRecommendationsRequest, GET_RECOMMENDATIONS_REQUEST_FIELDS, user_id=user_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
