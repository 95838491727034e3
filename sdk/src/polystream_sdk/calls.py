"""How calls are made: deadline, attempts, headers, and errors as exceptions. The services are built on this."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Protocol, TypeVar

from grpclib.client import Channel
from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.exceptions import H2Error

from polystream_api.google import rpc
from polystream_sdk.errors import DeadlineExceededError, PolystreamError, UnavailableError, error_of
from polystream_sdk.pages import ItemT, Pager, PageT
from polystream_sdk.requests import checked_timeout, checked_token
from polystream_sdk.retries import Attempts, RetryPolicy
from polystream_sdk.tracing import current_context, explicit_context

RequestT = TypeVar("RequestT", contravariant=True)  # noqa: PLC0105 # named as the plain ones are
ListRequestT = TypeVar("ListRequestT", bound="ListRequest")
ResponseT = TypeVar("ResponseT")
ResponseT_co = TypeVar("ResponseT_co", covariant=True)
Token = str | Callable[[], str]


class UnaryMethod(Protocol[RequestT, ResponseT_co]):
    """A method of a generated stub that has one response."""

    async def __call__(
        self,
        message: RequestT,
        /,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 # the stubs' own
        metadata: Mapping[str, str | bytes] | None = None,
    ) -> ResponseT_co:
        """Call it."""
        ...


class StreamMethod(Protocol[RequestT, ResponseT_co]):
    """A method of a generated stub that has a stream of responses."""

    def __call__(
        self, message: RequestT, /, *, timeout: float | None = None, metadata: Mapping[str, str | bytes] | None = None
    ) -> AsyncIterator[ResponseT_co]:
        """Call it."""
        ...


class ListRequest(Protocol):
    """The request of a list."""

    page_token: str


class ClientCalls:
    """Makes the calls of one client over one connection, which is opened at need and opened again when it is lost."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: ssl.SSLContext | None,
        token: Token | None,
        timeout_s: float,
        wait_timeout_s: float,
        retry: RetryPolicy,
    ) -> None:
        self.wait_timeout_s = wait_timeout_s
        self._host, self._port, self._tls = host, port, tls
        self._token = token
        self._timeout_s = timeout_s
        self._retry = retry
        self._context = current_context()
        self._channel: Channel | None = None

    @property
    def channel(self) -> Channel:
        """The connection. Raises RuntimeError where the client is not open."""
        if self._channel is None:
            raise RuntimeError("the client is not open: use it inside `async with`")
        return self._channel

    def open(self) -> None:
        """Allow calls, from the running event loop; the first one connects."""
        if self._channel is None:
            self._channel = Channel(
                self._host, self._port, ssl=self._tls, codec=ProtoCodec(), status_details_codec=_StatusCodec()
            )

    def close(self) -> None:
        """Close the connection; calls under way fail."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    async def unary(
        self,
        method: UnaryMethod[RequestT, ResponseT],
        request: RequestT,
        *,
        timeout_s: float | None = None,
        traceparent: str | None = None,
        resendable: bool = True,
    ) -> ResponseT:
        """Return the one response of a call. Raises PolystreamError.

        `resendable` is whether the request, sent twice, has its effect once.
        """
        checked_timeout("timeout_s", timeout_s)
        attempts = Attempts(self._retry, self._timeout_s if timeout_s is None else timeout_s)
        try:
            while True:
                try:
                    with _translated():
                        return await method(request, timeout=attempts.remaining_s, metadata=self._headers(traceparent))
                except PolystreamError as error:
                    await attempts.pause(error, resendable=resendable)
        except PolystreamError as error:
            error.request_id = getattr(request, "request_id", "")
            raise

    async def stream(
        self,
        method: StreamMethod[RequestT, ResponseT],
        request: RequestT,
        *,
        timeout_s: float | None = None,
        traceparent: str | None = None,
        resumable: bool = False,
    ) -> AsyncIterator[ResponseT]:
        """Yield the responses of a call. Raises PolystreamError.

        A stream that breaks before its first response is opened again; later, only where it is `resumable`: where
        its first response makes up for what was missed.
        """
        checked_timeout("timeout_s", timeout_s)
        attempts = Attempts(self._retry, self.wait_timeout_s if timeout_s is None else timeout_s)
        resendable = True
        while True:
            try:
                with _translated():
                    headers = self._headers(traceparent)
                    async for response in method(request, timeout=attempts.remaining_s, metadata=headers):
                        attempts.succeeded()
                        resendable = resumable
                        yield response
                    return
            except PolystreamError as error:
                if not resendable:
                    raise attempts.judged(error) from error
                await attempts.pause(error, resendable=True)

    def pages(
        self,
        method: Callable[[], UnaryMethod[ListRequestT, PageT]],
        request: ListRequestT,
        items: Callable[[PageT], Sequence[ItemT]],
        *,
        timeout_s: float | None = None,
        traceparent: str | None = None,
    ) -> Pager[PageT, ItemT]:
        """Return a list that begins where `request` says; `timeout_s` is for each page."""
        checked_timeout("timeout_s", timeout_s)

        async def fetch(token: str) -> PageT:
            page = copy(request)
            page.page_token = token
            return await self.unary(method(), page, timeout_s=timeout_s, traceparent=traceparent)

        return Pager(fetch, items, request.page_token)

    def _headers(self, traceparent: str | None) -> Mapping[str, str | bytes]:
        headers: dict[str, str | bytes] = {}
        headers.update(self._context() if traceparent is None else explicit_context(traceparent))
        if self._token is not None:
            token = self._token if isinstance(self._token, str) else self._token()
            checked_token(token)
            headers["authorization"] = f"Bearer {token}"
        return headers


class _StatusCodec(StatusDetailsCodecBase):
    """Reads `grpc-status-details-bin` without protobuf's own runtime."""

    def encode(self, status: Status, message: str | None, details: Any) -> bytes:
        raise NotImplementedError  # servers send it

    def decode(self, _status: Status, _message: str | None, data: bytes) -> rpc.Status | None:
        try:
            return rpc.Status.FromString(data)
        except (EOFError, ValueError):  # the code and the message are there all the same
            return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except GRPCError as error:
        raise error_of(error.status.value, error.message or "no message was given", error.details) from error
    except TimeoutError as error:
        if error.errno is not None:  # the system's: nothing answered the connection
            raise UnavailableError("the platform could not be reached in time") from error
        raise DeadlineExceededError("the call took longer than its deadline allows") from error
    except ssl.SSLCertVerificationError as error:  # trying again would not help: hence the reason
        raise UnavailableError(f"the server is not trusted: {error}", reason="CERTIFICATE_NOT_TRUSTED") from error
    except (OSError, StreamTerminatedError, H2Error) as error:
        raise UnavailableError(f"the connection failed: {error}") from error
