"""SessionService of the API. Generated from the protos: do not edit."""

from polystream_api.polystream.v1 import (
    CreateSessionRequest,
    DeleteSessionRequest,
    GetSessionRequest,
    ListSessionsRequest,
    ListSessionsResponse,
    Operation,
    Session,
    SessionDevice,
    SessionServiceStub,
    UpdateSessionRequest,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.pages import Pager
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import (
    CREATE_SESSION_REQUEST_FIELDS,
    DELETE_SESSION_REQUEST_FIELDS,
    GET_SESSION_REQUEST_FIELDS,
    LIST_SESSIONS_REQUEST_FIELDS,
    UPDATE_SESSION_REQUEST_FIELDS,
)


class SessionService:
    """Signed-in devices. Stored in Redis, one hash `sessao:{session_id}` each."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> SessionServiceStub:
        return SessionServiceStub(self._calls.channel)

    async def create_session(
        self,
        *,
        user_id: int = 0,
        device: SessionDevice = SessionDevice(0),
        ttl_seconds: int = 0,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Session]:
        """Opens a session. Refused with `USER_NOT_FOUND` where there is no such user.

        Args:
            user_id: Identifier of the user.
            device: What the user watches on.
            ttl_seconds: How long it lasts, in seconds, at most 30 days; a day when 0.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.create_session,
            make_command(
                CreateSessionRequest,
                CREATE_SESSION_REQUEST_FIELDS,
                user_id=user_id,
                device=device,
                ttl_seconds=ttl_seconds,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Session)

    async def get_session(
        self,
        *,
        session_id: str,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Session:
        """Reads one session.

        Args:
            session_id: Identifier of the session.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_session,
            make_request(GetSessionRequest, GET_SESSION_REQUEST_FIELDS, session_id=session_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_sessions(
        self,
        *,
        user_id: int,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListSessionsResponse, Session]:
        """Lists a user's open sessions, newest first.

        Args:
            user_id: Identifier of the user.
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` of the page before.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_sessions,
            make_request(
                ListSessionsRequest,
                LIST_SESSIONS_REQUEST_FIELDS,
                user_id=user_id,
                page_size=page_size,
                page_token=page_token,
            ),
            lambda page: page.sessions,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def update_session(
        self,
        *,
        session_id: str,
        ttl_seconds: int = 0,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Session]:
        """Prolongs a session. Refused with `SESSION_NOT_FOUND` where it has ended.

        Args:
            session_id: Identifier of the session.
            ttl_seconds: How long it lasts from now on, in seconds, at most 30 days.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.update_session,
            make_command(
                UpdateSessionRequest,
                UPDATE_SESSION_REQUEST_FIELDS,
                session_id=session_id,
                ttl_seconds=ttl_seconds,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Session)

    async def delete_session(
        self,
        *,
        session_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Session]:
        """Ends a session. Refused with `SESSION_NOT_FOUND` where it has ended.

        Args:
            session_id: Identifier of the session.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.delete_session,
            make_command(
                DeleteSessionRequest,
                DELETE_SESSION_REQUEST_FIELDS,
                session_id=session_id,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Session)
