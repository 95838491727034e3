"""How a part's reports end."""

import socket

import pytest

from mesh.health import pusher
from mesh.health.part import PartHealth
from mesh.health.pusher import HealthPusher
from mesh.threads import CriticalThreads
from tests.support.waiting import eventually


def test_a_report_that_waits_for_a_monitor_holds_no_stop_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it was under way already or is about to be."""
    monkeypatch.setattr(pusher, "_TIMEOUT_S", 600.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes connections and says nothing
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        waits, fresh = (HealthPusher(address, PartHealth("lane-0", "lane-redis"), CriticalThreads()) for _ in range(2))
        waits.start()
        eventually(lambda: waits._call is not None, 10)
        fresh.start()
        for each in (waits, fresh):
            each.stop()
            assert not each._thread.is_alive()
