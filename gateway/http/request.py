"""A request as a door gets it, and what a door is to the server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mesh.errors import PolystreamError

if TYPE_CHECKING:
    from gateway.http.exchange import Exchange


@dataclass(slots=True)
class HttpRequest:
    """One request. `body` is empty until it is whole, and still has its content encoding."""

    method: str
    path: str  # as on the wire, percent-encoded; without an authority, and without the query
    query: str  # likewise, without "?"
    headers: Mapping[str, str]  # by lower-case names; what came in several lines is joined by ", "
    http_version: str  # "1.0" or "1.1"
    peer: str  # the client's IP address
    body: bytes = b""


class Door(Protocol):
    """What answers requests."""

    def head(self, exchange: "Exchange") -> int | None:
        """Take a request's head. Return the bytes that its body may have, or None if the door answered already."""

    def request(self, exchange: "Exchange") -> None:
        """Take a request whose body is whole; answer it now or later."""

    def refusal(
        self, status: int, error: PolystreamError, request: HttpRequest | None = None
    ) -> tuple[list[tuple[str, str]], bytes]:
        """Return headers and body of an error that the server itself answers with. `request` is what could be read."""
