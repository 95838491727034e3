"""Keeps pages of elsewhere away from the monitor's: a browser of this machine would carry their requests here.

Two attacks are meant. A page of another origin sends a request that its browser lets through without asking
(https://fetch.spec.whatwg.org, "CORS-safelisted"): it carries its `origin`. And a page has its own host name point
here, which makes it the same origin for its browser, so that it could read what people did: it carries that name as
`host`.
"""

import ipaddress
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mesh.errors import PolystreamError, Reason
from mesh.proto_json import to_dict

ANY: Final = "*"  # as an allowed host: every one is

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # change nothing (RFC 9110, section 9.2.1)
# RFC 9110, sections 15.5.1, 15.5.20 and 15.5.4.
_HTTP_STATUS: Final = {Reason.MALFORMED_REQUEST: 400, Reason.FOREIGN_HOST: 421, Reason.FOREIGN_ORIGIN: 403}
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{0,5})?")


class PageGuard:
    """An ASGI application before another: it answers requests from elsewhere itself."""

    def __init__(self, app: ASGIApp, *, host: str, allowed_hosts: str = "") -> None:
        """Guard `app`, which listens on the address `host`.

        `allowed_hosts` are further names or addresses that requests may have come to, without ports, separated by
        commas; `*` is any. Loopback names always are. Where `host` is not a loopback address, addresses are, too: no
        page can make an address point elsewhere.
        """
        self._app = app
        named = (name.strip().lower().strip("[]") for name in allowed_hosts.split(","))
        self._hosts = {host.lower(), *filter(None, named)}
        self._takes_addresses = not _is_loopback(host.lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        error = self._fault(scope) if scope["type"] == "http" else None
        if error is None:
            await self._app(scope, receive, send)
            return
        await JSONResponse(to_dict(error.to_status()), _HTTP_STATUS[error.reason])(scope, receive, send)

    def _fault(self, scope: Scope) -> PolystreamError | None:
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):  # RFC 9112, section 3.2
            return PolystreamError(Reason.MALFORMED_REQUEST, "the request must have one header host")
        if hosts and not self._names_us(hosts[0]):
            return PolystreamError(
                Reason.FOREIGN_HOST,
                "the monitor is not known by the name in the header host; use localhost, or name it in "
                "MONITOR_ALLOWED_HOSTS",
            )
        if scope["method"] in _SAFE or all(_is_same(origin, hosts) for origin in origins):
            return None
        return PolystreamError(Reason.FOREIGN_ORIGIN, "a page of another origin may change nothing here")

    def _names_us(self, header: str) -> bool:
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found["name"].lower().strip("[]").removesuffix(".")
        if ANY in self._hosts or name in self._hosts or _is_loopback(name):
            return True
        return self._takes_addresses and _address(name) is not None


def _is_same(origin: str, hosts: list[str]) -> bool:
    """Whether a page of this very host and port asks: the host has passed already."""
    return bool(hosts) and origin.lower() in {f"{scheme}://{hosts[0].lower()}" for scheme in ("http", "https")}


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
