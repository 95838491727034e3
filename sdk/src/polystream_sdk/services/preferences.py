"""PreferencesService of the API. Generated from the protos: do not edit."""

from polystream_api.polystream.v1 import (
    GetPreferencesRequest,
    Operation,
    Preferences,
    PreferencesServiceStub,
    PreferencesTheme,
    UpdatePreferencesRequest,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import GET_PREFERENCES_REQUEST_FIELDS, UPDATE_PREFERENCES_REQUEST_FIELDS


class PreferencesService:
    """A user's settings. Stored in PostgreSQL, table `preferencias`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> PreferencesServiceStub:
        return PreferencesServiceStub(self._calls.channel)

    async def update_preferences(
        self,
        *,
        user_id: int,
        language: str | None = None,
        notifications: bool | None = None,
        theme: PreferencesTheme | None = None,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Preferences]:
        """Sets the fields that are set, and leaves the others.

        Args:
            user_id: Identifier of the user.
            language: BCP 47 language tag, such as `pt-BR`.
            notifications: Whether notifications are sent.
            theme: How the pages look.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.update_preferences,
            make_command(
                UpdatePreferencesRequest,
                UPDATE_PREFERENCES_REQUEST_FIELDS,
                user_id=user_id,
                language=language,
                notifications=notifications,
                theme=theme,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Preferences)

    async def get_preferences(
        self,
        *,
        user_id: int,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Preferences:
        """Reads a user's settings.

        Args:
            user_id: Identifier of the user.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_preferences,
            make_request(GetPreferencesRequest, GET_PREFERENCES_REQUEST_FIELDS, user_id=user_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
