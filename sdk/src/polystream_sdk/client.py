"""The client of the platform."""

import re
import ssl
from typing import Any, Self, TypeVar, overload
from urllib.parse import urlsplit

from betterproto2 import Message

from polystream_api.polystream.v1 import Operation
from polystream_sdk.calls import ClientCalls, Token
from polystream_sdk.operation import OperationHandle
from polystream_sdk.requests import checked_text, checked_timeout, checked_token, invalid
from polystream_sdk.retries import RetryPolicy
from polystream_sdk.services import Services

ResultT = TypeVar("ResultT", bound=Message)
_DEFAULT_PORTS = {"": 8000, "http": 80, "https": 443}
_HOST = re.compile(r"[^\x00-\x20\x7f/\\]+")


class Polystream(Services):
    """A client of the platform, with a service for each one of the API.

        async with Polystream("localhost:8000") as api:
            op = await api.users.create_user(name="Ana", email="ana@example.com", cpf="529.982.247-25")
            user = await op.result(timeout_s=5)

    It is used in the event loop that it was opened in, by any number of tasks at once, over one connection.
    """

    def __init__(
        self,
        target: str = "localhost:8000",
        *,
        tls: bool | ssl.SSLContext | None = None,
        token: Token | None = None,
        timeout_s: float = 10.0,
        wait_timeout_s: float = 60.0,
        retry: RetryPolicy | None = None,
    ) -> None:
        """Make a client; nothing is connected yet. Raises InvalidFieldError, a ValueError, for a wrong argument.

        Args:
            target: `host:port`, or a URL: `https://` turns TLS on.
            tls: True for the system's certificates, or a context of one's own; None as the target says.
            token: Bearer token, or a function that returns the current one, which is called for every attempt.
            timeout_s: Deadline of a call, retries included, where the call does not give its own.
            wait_timeout_s: The same for what waits: an operation's wait, watch and result, and streams.
            retry: How often a call is made, and how long apart.

        """
        checked_timeout("timeout_s", timeout_s, may_be_none=False)
        checked_timeout("wait_timeout_s", wait_timeout_s, may_be_none=False)
        if token is not None and not callable(token):
            checked_token(token)
        if retry is not None and not isinstance(retry, RetryPolicy):
            raise invalid("retry", "must be a RetryPolicy")
        if tls is not None and not isinstance(tls, bool | ssl.SSLContext):
            raise invalid("tls", "must be True, False or an ssl.SSLContext")
        host, port, secure = _address(target)
        context = ssl.create_default_context() if tls is True or (tls is None and secure) else tls or None
        if context is not None:
            context.set_alpn_protocols(["h2"])
        self._calls = ClientCalls(
            host,
            port,
            tls=context,
            token=token,
            timeout_s=timeout_s,
            wait_timeout_s=wait_timeout_s,
            retry=retry or RetryPolicy(),
        )
        super().__init__(self._calls)

    async def __aenter__(self) -> Self:
        self._calls.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._calls.close()

    @overload
    def operation(self, correlation_id: str) -> OperationHandle[Message]: ...

    @overload
    def operation(self, correlation_id: str, result_type: type[ResultT]) -> OperationHandle[ResultT]: ...

    def operation(self, correlation_id: str, result_type: type[Message] | None = None) -> OperationHandle[Any]:
        """Return a handle on an operation by its correlation ID, as if its command had just been accepted.

        `result_type` is the message that its result holds, such as User; without it, the result may be any. Raises
        InvalidFieldError.
        """
        checked_text("correlation_id", correlation_id)
        message = Operation(name=f"operations/{correlation_id}", correlation_id=correlation_id)
        handle: OperationHandle[Any] = OperationHandle(self._calls, message, result_type)
        return handle


def _address(target: str) -> tuple[str, int, bool]:
    checked_text("target", target)
    remedy = "must be host:port or a URL without a path, such as localhost:8000"
    try:
        url = urlsplit(target if "://" in target else f"//{target}")
        host, port = url.hostname, url.port
    except ValueError as error:  # a port or an IPv6 address that is none
        raise invalid("target", remedy) from error
    beside = url.path.strip("/") or url.query or url.fragment or url.username is not None
    if url.scheme not in _DEFAULT_PORTS or beside or port == 0 or not host or not _HOST.fullmatch(host):
        raise invalid("target", remedy)
    return host, port or _DEFAULT_PORTS[url.scheme], url.scheme == "https"
