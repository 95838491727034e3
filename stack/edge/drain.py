"""Stops an Envoy without cutting what it is doing: Envoy itself ends at once on SIGTERM."""

import time
from typing import Final

import httpx

from stack.edge.render import Address

_POLL_INTERVAL_S: Final = 0.05
_ADMIN_TIMEOUT_S: Final = 2.0
_ACTIVE: Final = "http.edge.downstream_rq_active"


def drain(admin: Address, timeout_s: float) -> bool:
    """Ask clients to leave, and wait until no request is under way; then end the process by SIGTERM.

    Returns False where requests are still under way after `timeout_s`. Raises httpx.HTTPError where Envoy's admin
    address does not answer.
    """
    deadline = time.monotonic() + timeout_s
    with httpx.Client(base_url=f"http://{admin.host}:{admin.port}", timeout=_ADMIN_TIMEOUT_S) as client:
        client.post("/drain_listeners?graceful&skip_exit").raise_for_status()
        while _active_requests(client) > 0:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_INTERVAL_S)
    return True


def _active_requests(client: httpx.Client) -> int:
    answer = client.get("/stats", params={"filter": f"^{_ACTIVE}$"}).raise_for_status()
    return sum(int(line.rpartition(":")[2]) for line in answer.text.splitlines())
