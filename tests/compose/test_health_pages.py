"""The health checks of the pages for a look inside.

None of these products can be had here, so that each check is run against a stand-in that answers as the product does:
its health page's path, status and form are the product's own. What is held is that the command of compose.yaml, run by
the program that its image has, tells the answers of a healthy one from those of a sick one.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.support.canned import canned_http, canned_tcp
from tests.support.compose_probe import PAGES, is_healthy, no_ports

_STATUS: Final = '{"name": "ui", "status": {"overall":{"since":"2026-01-01","state":"%s","title":"x"},"statuses":[]}}'
# Each service's port, the health page's path, and what a healthy and an unwell one answers.
_PAGES: Final[Mapping[str, tuple[int, str, str, str]]] = {
    "opensearch-dashboards": (5601, "/api/status", _STATUS % "green", _STATUS % "red"),
    "kibana": (5601, "/api/status", _STATUS % "yellow", _STATUS % "red"),
    "kafka-ui": (8080, "/actuator/health", '{"status":"UP"}', '{"status":"DOWN"}'),
    "adminer": (8080, "/", "<title>Login - Adminer</title>", "<title>It works</title>"),
    "mongo-express": (8081, "/status", '{"status":"ok"}', '{"status":"starting"}'),
    "redis-commander": (8081, "/healthcheck", "ok", "not yet"),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_healthy_page_is_told_from_sick_ones(name: str) -> None:
    """Healthy is the answer of a healthy product alone: not an unwell one's, not an error, and not nothing at all."""
    port, path, healthy, unwell = _PAGES[name]
    with canned_http({path: (200, healthy)}) as here:
        assert is_healthy(name, {port: here})
    with canned_http({path: (200, unwell)}) as here:
        assert not is_healthy(name, {port: here})
    with canned_http({path: (503, healthy)}) as here:
        assert not is_healthy(name, {port: here})
    assert not is_healthy(name, no_ports(name))


def test_a_page_that_hangs_is_sick() -> None:
    """One that takes the connection and never answers is found sick within the time that its check has."""
    with canned_tcp() as here, ThreadPoolExecutor(len(_PAGES)) as side_by_side:
        found = {name: side_by_side.submit(is_healthy, name, {page[0]: here}) for name, page in _PAGES.items()}
        assert {name: future.result() for name, future in found.items()} == dict.fromkeys(_PAGES, False)
