"""Keeps pages of elsewhere away from the registry: a browser of this machine would carry their requests here.

A page of another origin sends a request that its browser lets through without asking (https://fetch.spec.whatwg.org,
"CORS-safelisted"): it carries its `origin`. And a page has its own host name point here, which makes it the same
origin for its browser: it carries that name as `host`. Clients of the registry are no pages: they name the host that
they were given, and no origin.
"""

import ipaddress
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from registry import errors
from registry.errors import RegistryError

ANY: Final = "*"  # as an allowed host: every one is

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # change nothing (RFC 9110, section 9.2.1)
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{0,5})?")


class HostGuard:
    """Tells which requests come from elsewhere."""

    def __init__(self, host: str, allowed_hosts: str = "") -> None:
        """Guard a server that listens on the address `host`.

        `allowed_hosts` are further names or addresses that requests may have come to, without ports, separated by
        commas; `*` is any. Loopback names always are. Where `host` is not a loopback address, addresses are, too: no
        page can make an address point elsewhere.
        """
        named = (name.strip().lower().strip("[]") for name in allowed_hosts.split(","))
        self._hosts = {host.lower(), *filter(None, named)}
        self._takes_addresses = not _is_loopback(host.lower())

    def fault(self, scope: Scope) -> RegistryError | None:
        """Return the error of a request that is not to be served; None for one that is."""
        headers = Headers(scope=scope)
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):  # RFC 9112, section 3.2
            return errors.bad_request("HTTP 400 the request must have one header host")
        if hosts and not self._names_us(hosts[0]):
            return errors.foreign_host()
        if scope["method"] in _SAFE or all(_is_same(origin, hosts) for origin in origins):
            return None
        return errors.foreign_origin()

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
