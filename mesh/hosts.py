"""Which hosts a service is known by over HTTP, so that no page of elsewhere acts through a person's browser.

Two attacks are meant (https://fetch.spec.whatwg.org, https://en.wikipedia.org/wiki/DNS_rebinding): a page of another
origin sends a request that a browser lets through without asking, and carries its `origin`; and a page makes its own
host name point here, which makes it the same origin for the browser, and carries that name as `host`.
"""

import ipaddress
import re
import socket
from typing import Final
from urllib.parse import quote

ANY_HOST: Final = "*"  # as an allowed host: every one is
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})  # change nothing (RFC 9110, section 9.2.1)

# Names that nobody outside can register: a page can't make one of them point here.
_PRIVATE_SUFFIXES: Final = (".localhost", ".local", ".internal", ".cluster.local", ".home.arpa")
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{0,5})?")


class HostRules:
    """The names and addresses of one service, whatever the port.

    `host` is the address that it listens on. `allowed_hosts` are further names or addresses, without ports, separated
    by commas; `*` is any. Loopback names always are its own.

    A service that is bound to another address than a loopback one, as in a container, is also reached by addresses and
    by names that only the local network has: no page can make an address point elsewhere, and a page of elsewhere has
    a name with a public suffix.
    """

    def __init__(self, host: str, allowed_hosts: str = "") -> None:
        named = (name.strip("[]").removesuffix(".") for name in listed(allowed_hosts))
        self._hosts = {host.lower(), *named}
        self._takes_any = ANY_HOST in self._hosts
        self._is_wide = not is_loopback(host.lower())
        self._machine = socket.gethostname().lower()

    def knows(self, header: str) -> bool:
        """Whether the header `host` names this service."""
        found = _HOST.fullmatch(header)
        if found is None:
            return False
        name = found["name"].lower().strip("[]").removesuffix(".")
        if self._takes_any or name in self._hosts or is_loopback(name):
            return True
        if not self._is_wide or not name:
            return False
        is_local = "." not in name or name == self._machine or name.endswith(_PRIVATE_SUFFIXES)
        return is_local or _address(name) is not None


def listed(names: str) -> frozenset[str]:
    """Return the names in a setting, which are separated by commas, in lower case."""
    return frozenset(filter(None, (name.strip().lower().rstrip("/") for name in names.split(","))))


def is_loopback(name: str) -> bool:
    """Whether a name, in lower case, or an address without brackets is this machine's for itself alone."""
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    address = _address(name)
    return address is not None and address.is_loopback


def in_url(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets, the folder of a socket with `%2F`."""
    name = host.strip("[]")
    return f"[{quote(name, safe=':')}]" if ":" in name else quote(name, safe=",")


def host_and_port(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 address in brackets."""
    name = host.strip("[]")
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


def is_same_origin(origin: str, host: str) -> bool:
    """Whether the header `origin` is a page of the very host and port of the header `host`, which is a known one.

    In either scheme: TLS may end before the service.
    """
    return origin.lower() in {f"http://{host.lower()}", f"https://{host.lower()}"}


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
