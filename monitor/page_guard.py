"""Keeps pages of elsewhere away from the monitor's: a browser of this machine would carry their requests here."""

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mesh.errors import PolystreamError, Reason
from mesh.hosts import SAFE_METHODS, HostRules, is_same_origin
from mesh.http_status import http_status
from mesh.proto_json import to_dict


class PageGuard:
    """An ASGI application before another: it answers requests from elsewhere itself."""

    def __init__(self, app: ASGIApp, *, host: str, allowed_hosts: str = "") -> None:
        """Guard `app`, which listens on the address `host`; `allowed_hosts` are as `HostRules` has them."""
        self._app = app
        self._hosts = HostRules(host, allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        error = self._fault(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
            return
        status = error.to_status()
        await JSONResponse(to_dict(status), http_status(status.code, error.reason.name))(scope, receive, send)

    def _fault(self, scope: Scope) -> PolystreamError | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):  # RFC 9112, section 3.2
            return PolystreamError(Reason.MALFORMED_REQUEST, "the request must have one header host")
        if hosts and not self._hosts.knows(hosts[0]):
            return PolystreamError(
                Reason.FOREIGN_HOST,
                "the monitor is not known by the name in the header host; use localhost, or name it in "
                "MONITOR_ALLOWED_HOSTS",
            )
        if scope["method"] in SAFE_METHODS or all(hosts and is_same_origin(origin, hosts[0]) for origin in origins):
            return None
        return PolystreamError(Reason.FOREIGN_ORIGIN, "a page of another origin may change nothing here")
