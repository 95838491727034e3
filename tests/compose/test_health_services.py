"""The health checks of the platform's own services and of its edge, against real processes of the image."""

import json
import os
import socket
from pathlib import Path
from typing import Final

import pytest

from tests.support.canned import canned_http, canned_tcp
from tests.support.compose_probe import LANES, no_ports
from tests.support.compose_run import ComposedRun
from tests.support.waiting import eventually

_START_TIMEOUT_S: Final = 60
_STALE_S: Final = 60  # more than a lane is given


def test_a_gateway_is_well_while_it_serves(run: ComposedRun) -> None:
    """Sick before its start and after its end, and while it hangs."""
    assert not run.is_healthy("gateway")
    with run.started("gateway") as process:
        eventually(lambda: run.is_healthy("gateway"), _START_TIMEOUT_S)
        with process.hanging():
            assert not run.is_healthy("gateway")
        eventually(lambda: run.is_healthy("gateway"), 30)
    assert not run.is_healthy("gateway")


def test_a_gateway_without_a_registry_is_sick(run: ComposedRun) -> None:
    """It listens, and takes no commands: the schemas' IDs are missing."""
    wiring = run.with_ports("schema-registry", no_ports("schema-registry"))
    with run.started("gateway", wiring):
        eventually(lambda: _listens(run.wiring.ports["gateway", 50051]), _START_TIMEOUT_S)
        assert not run.is_healthy("gateway")


@pytest.mark.parametrize("name", LANES)
def test_a_lane_is_well_while_it_goes_its_rounds(run: ComposedRun, name: str) -> None:
    """Sick before its start, sick while it stands still, sick when it was killed and left its file behind."""
    file = Path(run.wiring.text(run.service(name), run.service(name).environment["READY_FILE"]))
    assert not run.is_healthy(name)
    with run.started(name) as process:
        eventually(lambda: run.is_healthy(name), _START_TIMEOUT_S)
        with process.hanging():
            # As if it had hung for so long already.
            long_ago_s = file.stat().st_mtime - _STALE_S
            os.utime(file, (long_ago_s, long_ago_s))
            assert not run.is_healthy(name)
        eventually(lambda: run.is_healthy(name), 30)
        process.kill()
        assert json.loads(file.read_text())["pid"] == process.popen.pid
        assert not run.is_healthy(name)
    file.write_text("")
    assert not run.is_healthy(name)
    file.unlink()


def test_a_monitor_is_well_while_its_pages_answer(run: ComposedRun) -> None:
    """Sick before its start, while it hangs, and where its store fails, which it answers with 503."""
    assert not run.is_healthy("monitor")
    with run.started("monitor") as process:
        eventually(lambda: run.is_healthy("monitor"), _START_TIMEOUT_S)
        with process.hanging():
            assert not run.is_healthy("monitor")
        eventually(lambda: run.is_healthy("monitor"), 30)
    with canned_http({"/healthz": (503, "{}")}) as here:
        assert not run.is_healthy("monitor", run.with_ports("monitor", {8089: here}))
    with canned_tcp(b"no HTTP\r\n") as here:
        assert not run.is_healthy("monitor", run.with_ports("monitor", {8089: here}))


def test_an_edge_is_well_once_it_has_found_a_gateway(run: ComposedRun) -> None:
    """Alone it is live and sick, since it would answer 503; with a gateway it is well, until it hangs."""
    with run.started("envoy") as envoy:
        eventually(lambda: _listens(run.wiring.ports["envoy", 8443]), _START_TIMEOUT_S)
        assert not run.is_healthy("envoy")
        with run.started("gateway"):
            eventually(lambda: run.is_healthy("envoy"), _START_TIMEOUT_S)
            with envoy.hanging():
                assert not run.is_healthy("envoy")
            eventually(lambda: run.is_healthy("envoy"), 30)
        eventually(lambda: not run.is_healthy("envoy"), 30)
    assert not run.is_healthy("envoy")


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
