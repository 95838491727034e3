"""Which hosts and origins a request may name (`mesh.hosts` says why), and what a browser is told of it."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.doors.statuses import Header
from mesh.errors import PolystreamError, Reason
from mesh.hosts import SAFE_METHODS, HostRules, is_loopback, is_same_origin, listed

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


class OriginRules:
    """Which hosts and origins are this gateway's own, or allowed.

    `host` is the address that it listens on, and `allowed_hosts` are as `HostRules` has them. `allowed_origins` are
    separated by commas, each with scheme, host and port. Origins of loopback names are always allowed.
    """

    def __init__(self, host: str, *, allowed_hosts: str = "", allowed_origins: str = "") -> None:
        self._hosts = HostRules(host, allowed_hosts)
        self._origins = listed(allowed_origins)
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
        if origin is None or method in SAFE_METHODS or self.is_allowed(origin):
            return None
        if host is not None and is_same_origin(origin, host):
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
        known = self._hosts.knows(header)
        if known and len(self._known_hosts) < _MAX_KNOWN:
            self._known_hosts.add(header)
        return known


def is_preflight(method: str, headers: Mapping[str, str]) -> bool:
    """Whether this is a browser's question before a request (the Fetch standard's "CORS-preflight request")."""
    return method == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


def _is_loopback_origin(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
        name = parts.hostname
    except ValueError:
        return False
    is_bare = not (parts.path or parts.query or parts.fragment or parts.username)
    return is_bare and parts.scheme in {"http", "https"} and name is not None and is_loopback(name)
