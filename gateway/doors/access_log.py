"""The access log: one line of JSON a request on standard output, without bodies and without query strings."""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from json import dumps
from typing import IO, Any

from gateway.doors.statuses import CORRELATION_ID, Header
from gateway.http.exchange import Exchange
from gateway.http.request import HttpRequest


class AccessLog:
    """Writes the log. A path is logged as its template, since its variables may be personal."""

    def __init__(self, service: str, output: IO[str] | None = None) -> None:
        self._service = service
        self._output = output

    def write(
        self,
        request: HttpRequest | None,
        status: int,
        headers: Sequence[Header],
        *,
        route: str,
        sent_bytes: int,
        begin_s: float,
    ) -> None:
        """Write a request's line. `begin_s` is when its head came, on the monotonic clock."""
        told = dict(headers)
        line = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "service": self._service,
            "event": "request",
            "method": request.method if request is not None else "",
            "route": route,
            "status": status,
            "duration_ms": round((time.monotonic() - begin_s) * 1000, 3),
            "bytes": sent_bytes,
            "correlation_id": told.get(CORRELATION_ID, ""),
            "request_id": told.get("x-request-id", ""),
        }
        print(dumps(line), file=self._output or sys.stdout, flush=True)


class LoggedExchange:
    """An exchange that is logged once it is complete. It has an Exchange's members."""

    __slots__ = ("_begin_s", "_exchange", "_headers", "_log", "_sent_bytes", "_status", "_written", "context")

    def __init__(self, exchange: Exchange, log: AccessLog) -> None:
        self._exchange = exchange
        self._log = log
        self._begin_s = time.monotonic()
        self._sent_bytes = 0
        self._status = 499  # what nginx logs of a client that left before its answer
        self._headers: Sequence[Header] = ()
        self._written = False
        self.context: Any = None

    @property
    def request(self) -> HttpRequest:
        """The request."""
        return self._exchange.request

    def respond(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        """Answer in full."""
        self._exchange.respond(status, headers, body)
        self._status, self._headers = status, headers
        self._sent_bytes = 0 if self.request.method == "HEAD" else len(body)
        self._write()

    def start(self, status: int, headers: Sequence[Header]) -> None:
        """Begin a stream."""
        self._status, self._headers = status, headers
        self._exchange.start(status, headers)

    async def write(self, data: bytes) -> None:
        """Send a part of a stream."""
        await self._exchange.write(data)
        self._sent_bytes += len(data)

    def end(self, *, broken: bool = False) -> None:
        """End a stream."""
        self._exchange.end(broken=broken)
        self._write()

    def on_leave(self, callback: Callable[[], object]) -> None:
        """Call `callback` if the client leaves before the answer is complete."""

        def left() -> None:
            self._write()
            callback()

        self._exchange.on_leave(left)

    def _write(self) -> None:
        if not self._written:
            self._written = True
            route = self.context.route if self.context is not None else ""
            self._log.write(
                self.request,
                self._status,
                self._headers,
                route=route,
                sent_bytes=self._sent_bytes,
                begin_s=self._begin_s,
            )
