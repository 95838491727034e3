"""The services of compose.yaml, together, as processes."""

from contextlib import ExitStack
from typing import Final

import httpx

from tests.support.compose_probe import SERVICES
from tests.support.compose_run import ComposedRun
from tests.support.dashboards_server import opensearch_dashboards, serving
from tests.support.waiting import eventually

_START_TIMEOUT_S: Final = 60


def test_the_services_come_up_work_and_stop_as_compose_would_have_it(run: ComposedRun) -> None:
    """Each is well by its own health check, a command succeeds, and each stops in its time with exit code 0."""
    with ExitStack() as stopping:
        processes = {name: stopping.enter_context(run.started(name)) for name in SERVICES}
        eventually(lambda: all(run.is_healthy(name) for name in SERVICES), _START_TIMEOUT_S)
        for door in (("gateway", 8000), ("envoy", 8443)):
            _command_succeeds(f"http://127.0.0.1:{run.wiring.ports[door]}")
        codes = {name: processes[name].stop() for name in reversed(SERVICES)}
        assert codes == dict.fromkeys(SERVICES, 0)


def test_the_pages_for_events_are_filled(run: ComposedRun) -> None:
    """The task finds them by the name that both profiles give them, and ends when the index pattern is there."""
    pages = opensearch_dashboards()
    with serving(pages) as url:
        port = int(url.rpartition(":")[2])
        run.run_task("dashboards-import", run.with_ports("opensearch-dashboards", {5601: port}))
    assert "api_*" in {saved["attributes"]["title"] for saved in pages.objects.values()}


def _command_succeeds(rest: str) -> None:
    operation = httpx.post(f"{rest}/usuarios").raise_for_status().json()
    path = f"{rest}/v1/operations/{operation['correlation_id']}"
    done = eventually(lambda: (answer := httpx.get(path).json())["state"] != "ACCEPTED" and answer, 20)
    assert done["state"] == "SUCCEEDED", done
