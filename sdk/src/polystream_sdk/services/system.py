"""SystemService of the API. Generated from the protos: do not edit."""

from polystream_api.polystream.v1 import GetHealthRequest, Health, SystemServiceStub
from polystream_sdk.calls import Calls
from polystream_sdk.requests import make_request
from polystream_sdk.services._fields import GET_HEALTH_REQUEST_FIELDS


class SystemService:
    """The platform itself."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> SystemServiceStub:
        return SystemServiceStub(self._calls.channel)

    async def get_health(
        self,
        *,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Health:
        """Tells whether the platform works, part by part.

        Args:
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_health,
            make_request(GetHealthRequest, GET_HEALTH_REQUEST_FIELDS),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
