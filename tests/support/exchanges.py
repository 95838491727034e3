"""An HTTP request for a door, and what the door answered, without a connection."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.http.exchange import Exchange
from gateway.http.request import HttpRequest

HOST = "localhost:8000"


@dataclass
class RecordedExchange:
    """Has the members of an Exchange, and keeps what is answered."""

    request: HttpRequest
    context: Any = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: list[bytes] = field(default_factory=list)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False
    leave: Callable[[], None] | None = None
    is_gone: bool = False

    def respond(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> None:
        """Keep a whole answer."""
        self.start(status, headers)
        self.parts.append(body)
        self.done.set()

    def start(self, status: int, headers: Sequence[tuple[str, str]]) -> None:
        """Keep the head of an answer."""
        assert self.status is None, "answered twice"
        names = [name for name, _ in headers]
        assert len(names) == len(set(names)), f"a header twice: {names}"
        self.status, self.headers = status, dict(headers)

    async def write(self, data: bytes) -> None:
        """Keep a part of an answer."""
        if self.is_gone:
            raise ConnectionResetError("the client has left")
        assert self.status is not None
        self.parts.append(data)

    def end(self, *, broken: bool = False) -> None:
        """Keep that the answer has ended."""
        self.broken = broken
        self.done.set()

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Keep whom to tell."""
        self.leave = callback

    @property
    def body(self) -> bytes:
        """What was sent after the head."""
        return b"".join(self.parts)

    @property
    def reason(self) -> str:
        """ErrorInfo's reason, of an error in JSON."""
        return str(json.loads(self.body)["details"][0]["reason"])

    @property
    def as_exchange(self) -> Exchange:
        """The same, for what asks for the type."""
        return cast(Exchange, self)


def exchange(
    method: str = "GET",
    target: str = "/",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    http_version: str = "1.1",
) -> RecordedExchange:
    """Return a request, with its length and a host where `headers` do not tell them."""
    path, _, query = target.partition("?")
    told = {"host": HOST, **({"content-length": str(len(body))} if body else {}), **(headers or {})}
    return RecordedExchange(HttpRequest(method, path, query, told, http_version, "127.0.0.1", body))
