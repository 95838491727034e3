"""ViewService of the API. Generated from the protos: do not edit."""

from datetime import datetime

from polystream_api.polystream.v1 import (
    ContentKind,
    DeleteViewRequest,
    GetViewRequest,
    ListViewsRequest,
    ListViewsResponse,
    Operation,
    RecordViewRequest,
    View,
    ViewServiceStub,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.pages import Pager
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import (
    DELETE_VIEW_REQUEST_FIELDS,
    GET_VIEW_REQUEST_FIELDS,
    LIST_VIEWS_REQUEST_FIELDS,
    RECORD_VIEW_REQUEST_FIELDS,
)


class ViewService:
    """Viewing history. Stored in MongoDB, collection `historico_visualizacao`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> ViewServiceStub:
        return ViewServiceStub(self._calls.channel)

    async def record_view(
        self,
        *,
        user_id: int,
        content_id: int = 0,
        title: str = "",
        kind: ContentKind = ContentKind(0),
        watched_seconds: int = 0,
        position_percent: float = 0.0,
        completed: bool = False,
        watch_time: datetime | None = None,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[View]:
        """Records that a user watched a content. Refused with `USER_NOT_FOUND` where there is no such user.

        Args:
            user_id: Identifier of the user.
            content_id: Identifier of the content.
            title: The content's title, 1 to 300 characters.
            kind: The content's kind.
            watched_seconds: How long it was watched, in seconds; at most a day.
            position_percent: How far it was watched, in percent.
            completed: Whether it was watched to the end.
            watch_time: When it was watched, from 1970 to 2100; the time of acceptance when not set. Kept to the
                microsecond: finer digits are cut off.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.record_view,
            make_command(
                RecordViewRequest,
                RECORD_VIEW_REQUEST_FIELDS,
                user_id=user_id,
                content_id=content_id,
                title=title,
                kind=kind,
                watched_seconds=watched_seconds,
                position_percent=position_percent,
                completed=completed,
                watch_time=watch_time,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, View)

    async def get_view(
        self,
        *,
        user_id: int,
        view_id: str,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> View:
        """Reads one view.

        Args:
            user_id: Identifier of the user.
            view_id: Identifier of the view.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_view,
            make_request(GetViewRequest, GET_VIEW_REQUEST_FIELDS, user_id=user_id, view_id=view_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_views(
        self,
        *,
        user_id: int,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListViewsResponse, View]:
        """Lists a user's views, newest first.

        Args:
            user_id: Identifier of the user.
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` of the page before.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_views,
            make_request(
                ListViewsRequest,
                LIST_VIEWS_REQUEST_FIELDS,
                user_id=user_id,
                page_size=page_size,
                page_token=page_token,
            ),
            lambda page: page.views,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def delete_view(
        self,
        *,
        user_id: int,
        view_id: str,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[View]:
        """Takes one view out of the history. Refused with `VIEW_NOT_FOUND`.

        Args:
            user_id: Identifier of the user.
            view_id: Identifier of the view.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.delete_view,
            make_command(
                DeleteViewRequest,
                DELETE_VIEW_REQUEST_FIELDS,
                user_id=user_id,
                view_id=view_id,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, View)
