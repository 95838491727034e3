"""Stops an Envoy without cutting what it is doing: Envoy itself ends at once on SIGTERM."""

import time
from pathlib import Path
from typing import Final

import httpx

_POLL_INTERVAL_S: Final = 0.05
_ADMIN_TIMEOUT_S: Final = 2.0
_ACTIVE: Final = "http.edge.downstream_rq_active"


def admin_client(socket: Path) -> httpx.Client:
    """Return an HTTP client of Envoy's admin pages, which listen on a socket in the file system."""
    return httpx.Client(
        transport=httpx.HTTPTransport(uds=str(socket), trust_env=False),
        base_url="http://envoy",
        timeout=_ADMIN_TIMEOUT_S,
        trust_env=False,
    )


def drain(admin_socket: Path, timeout_s: float) -> bool:
    """Ask clients to leave, and wait until no request is under way; then end the process by SIGTERM.

    Returns False where requests are still under way after `timeout_s`. Raises httpx.HTTPError where Envoy's admin
    socket does not answer.
    """
    deadline = time.monotonic() + timeout_s
    with admin_client(admin_socket) as client:
        client.post("/drain_listeners?graceful&skip_exit").raise_for_status()
        while _active_requests(client) > 0:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_INTERVAL_S)
    return True


def _active_requests(client: httpx.Client) -> int:
    answer = client.get("/stats", params={"filter": f"^{_ACTIVE}$"}).raise_for_status()
    return sum(int(line.rpartition(":")[2]) for line in answer.text.splitlines())
