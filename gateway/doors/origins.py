"""Which hosts and origins a request may name, so that no page of elsewhere acts through a person's browser.

Two attacks are meant (https://fetch.spec.whatwg.org, https://en.wikipedia.org/wiki/DNS_rebinding): a page of another
origin sends a request that a browser lets through without asking, and a page makes its own host name point here,
which makes it the same origin for the browser.
"""

import ipaddress
import re
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.doors.statuses import Header
from mesh.errors import PolystreamError, Reason

ANY: Final = "*"  # as an allowed host: the header is not looked at

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # change nothing (RFC 9110, section 9.2.1)
_MAX_KNOWN: Final = 256  # hosts and origins that were found good
_ALLOW_METHODS: Final = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
_ALLOW_HEADERS: Final = (
    "authorization, content-type, grpc-timeout, idempotency-key, last-event-id, traceparent, tracestate, x-grpc-web, "
    "x-request-id, x-user-agent"
)
_EXPOSE_HEADERS: Final = (
    "allow, grpc-message, grpc-status, grpc-status-details-bin, retry-after, x-correlation-id, x-request-id"
)
_MAX_AGE_S: Final = 86_400  # how long a browser may remember a preflight's answer
_VARY: Final[Header] = ("vary", "origin")
# Names that nobody outside can register: a page can't make one of them point here.
_PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".internal", ".cluster.local", ".home.arpa")
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+)(?::\d{0,5})?")


class OriginRules:
    """Which hosts and origins are this gateway's own, or allowed.

    `host` is the address that it listens on. `allowed_hosts` and `allowed_origins` are separated by commas; a host is
    a name or an address, without its port, and `*` allows any; an origin is scheme, host and port.

    Loopback names are always allowed, and the bound host. A gateway that is bound to another address than a loopback
    one, as in a container, is also reached by addresses and by names that only the local network has: an address is
    never rebound, and a page of elsewhere has a name with a public suffix.
    """

    def __init__(self, host: str, *, allowed_hosts: str = "", allowed_origins: str = "") -> None:
        self._hosts = {"localhost", host.lower(), *_listed(allowed_hosts.lower())}
        self._origins = _listed(allowed_origins.lower())
        self._any_host = ANY in self._hosts
        self._is_wide = not _is_loopback(host.lower())
        self._machine = socket.gethostname().lower()
        self._known_hosts: set[str] = set()
        self._known_origins: set[str] = set()

    def fault(self, method: str, headers: Mapping[str, str]) -> PolystreamError | None:
        """Return the error of a request that comes from elsewhere: FOREIGN_HOST, FOREIGN_ORIGIN; None if it may be.

        A request without the headers `host` (HTTP/1.0) or `origin` comes from no page.
        """
        host = headers.get("host")
        if host is not None and host not in self._known_hosts and not self._is_known_host(host):
            return PolystreamError(Reason.FOREIGN_HOST)
        origin = headers.get("origin")
        if origin is None or method in _SAFE or self.is_allowed(origin) or _is_same(origin, host):
            return None
        return PolystreamError(Reason.FOREIGN_ORIGIN)

    def is_allowed(self, origin: str) -> bool:
        """Whether pages of this origin may read answers: those of this machine, and those that the settings name."""
        if origin in self._known_origins:
            return True
        allowed = origin.lower() in self._origins or _is_loopback_origin(origin)
        if allowed and len(self._known_origins) < _MAX_KNOWN:
            self._known_origins.add(origin)
        return allowed

    def answer_headers(self, origin: str) -> tuple[Header, ...]:
        """Return the headers of an answer to a request with this origin, which let its page read it, or not."""
        if not self.is_allowed(origin):
            return (_VARY,)
        return (("access-control-allow-origin", origin), ("access-control-expose-headers", _EXPOSE_HEADERS), _VARY)

    def preflight_headers(self, headers: Mapping[str, str]) -> tuple[Header, ...] | None:
        """Return the headers that answer a browser's question before a request; None if it gets no leave.

        A page outside of the private network asks by `access-control-request-private-network`
        (https://wicg.github.io/private-network-access) too: an origin that is allowed may reach in.
        """
        origin = headers.get("origin", "")
        if not self.is_allowed(origin):
            return None
        private: tuple[Header, ...] = ()
        if headers.get("access-control-request-private-network") == "true":
            private = (("access-control-allow-private-network", "true"),)
        return (
            ("access-control-allow-origin", origin),
            ("access-control-allow-methods", _ALLOW_METHODS),
            ("access-control-allow-headers", _ALLOW_HEADERS),
            ("access-control-max-age", str(_MAX_AGE_S)),
            *private,
            ("vary", "origin, access-control-request-method, access-control-request-headers"),
        )

    def _is_known_host(self, header: str) -> bool:
        known = self._any_host or self._names_us(header)
        if known and len(self._known_hosts) < _MAX_KNOWN:
            self._known_hosts.add(header)
        return known

    def _names_us(self, header: str) -> bool:
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        name = match["name"].lower().strip("[]").removesuffix(".")
        if name in self._hosts or _is_loopback(name):
            return True
        if not self._is_wide:
            return False
        return "." not in name or _is_address(name) or name == self._machine or name.endswith(_PRIVATE_SUFFIXES)


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether this is a browser's question before a request (the Fetch standard's "CORS-preflight request")."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def _listed(names: str) -> frozenset[str]:
    return frozenset(filter(None, (name.strip().rstrip("/") for name in names.split(","))))


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        name = parts.hostname
    except ValueError:
        return False
    is_bare = not (parts.path or parts.query or parts.fragment or parts.username)
    return is_bare and parts.scheme in {"http", "https"} and name is not None and _is_loopback(name)


def _is_same(origin: str, host: str | None) -> bool:
    """Whether a page of the gateway itself asks: `host` has passed already."""
    return host is not None and origin.lower() in {f"http://{host.lower()}", f"https://{host.lower()}"}
