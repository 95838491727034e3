"""ContentService of the API. Generated from the protos: do not edit."""

from collections.abc import Mapping, Sequence

from polystream_api.polystream.v1 import (
    CacheContentRequest,
    Content,
    ContentKind,
    ContentServiceStub,
    DeleteContentRequest,
    GetContentRequest,
    ListContentsRequest,
    ListContentsResponse,
    Operation,
)
from polystream_sdk.calls import Calls
from polystream_sdk.operation import OperationHandle
from polystream_sdk.pages import Pager
from polystream_sdk.requests import make_command, make_request
from polystream_sdk.services._fields import (
    CACHE_CONTENT_REQUEST_FIELDS,
    DELETE_CONTENT_REQUEST_FIELDS,
    GET_CONTENT_REQUEST_FIELDS,
    LIST_CONTENTS_REQUEST_FIELDS,
)


class ContentService:
    """The content cache. Stored in Redis, one hash `conteudo:{content_id}` each."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def _stub(self) -> ContentServiceStub:
        return ContentServiceStub(self._calls.channel)

    async def cache_content(
        self,
        *,
        content_id: int,
        title: str = "",
        kind: ContentKind = ContentKind(0),
        duration_seconds: int = 0,
        genres: Sequence[str] = (),
        attributes: Mapping[str, str] | None = None,
        ttl_seconds: int = 0,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Content]:
        """Caches a content's data, in place of what was cached before.

        Args:
            content_id: Identifier of the content.
            title: Title, 1 to 300 characters.
            kind: What sort of content it is.
            duration_seconds: Length in seconds, at most a week.
            genres: Genres, at most 10, each 1 to 50 characters.
            attributes: Anything else, by name: at most 20 entries, each name 1 to 50 characters, each value at
                most 500.
            ttl_seconds: How long the cache keeps it, in seconds, at most 30 days; a day when 0.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.cache_content,
            make_command(
                CacheContentRequest,
                CACHE_CONTENT_REQUEST_FIELDS,
                content_id=content_id,
                title=title,
                kind=kind,
                duration_seconds=duration_seconds,
                genres=genres,
                attributes=attributes,
                ttl_seconds=ttl_seconds,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Content)

    async def get_content(
        self,
        *,
        content_id: int,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Content:
        """Reads a content from the cache; counts a hit in `app:stats:cache_hits`.

        Args:
            content_id: Identifier of the content.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return await self._calls.unary(
            self._stub.get_content,
            make_request(GetContentRequest, GET_CONTENT_REQUEST_FIELDS, content_id=content_id),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    def list_contents(
        self,
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[ListContentsResponse, Content]:
        """Lists the cached contents, in the order of their identifiers.

        Args:
            page_size: How many at the most; 50 when 0, never more than 1000.
            page_token: `next_page_token` of the page before.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        return self._calls.pages(
            lambda: self._stub.list_contents,
            make_request(ListContentsRequest, LIST_CONTENTS_REQUEST_FIELDS, page_size=page_size, page_token=page_token),
            lambda page: page.contents,
            timeout_s=timeout_s,
            traceparent=traceparent,
        )

    async def delete_content(
        self,
        *,
        content_id: int,
        request_id: str = "",
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> OperationHandle[Content]:
        """Takes a content out of the cache. Refused with `CONTENT_NOT_FOUND`.

        Args:
            content_id: Identifier of the content.
            request_id: Makes a retry return the same operation; at most 128 characters. Made automatically when
                empty.
            timeout_s: How long the call may take at the most, in seconds, retries included; the client's own when
                None.
            traceparent: W3C trace context of the caller; OpenTelemetry's current one when None.
        """
        accepted = await self._calls.unary(
            self._stub.delete_content,
            make_command(
                DeleteContentRequest,
                DELETE_CONTENT_REQUEST_FIELDS,
                content_id=content_id,
                request_id=request_id,
            ),
            timeout_s=timeout_s,
            traceparent=traceparent,
        )
        return OperationHandle(self._calls, accepted, Content)
