"""A lane's process ends with 1 as soon as one of its threads has died: it would do only half of its work."""

import signal
from pathlib import Path

import pytest

from mesh.health.file import HealthFile
from mesh.health.lag import LagWatch
from mesh.health.pusher import HealthPusher
from mesh.settings import LaneSettings, TelemetrySettings
from tests.support.engine_pool import Lease
from tests.support.lanes import run_module


@pytest.mark.parametrize(
    ("owner", "method"),
    [(LagWatch, "look"), (HealthFile, "_write"), (HealthPusher, "_send")],
    ids=["lag", "health-file", "health-pusher"],
)
def test_a_lane_whose_thread_dies_ends(
    lease: Lease, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, owner: type, method: str
) -> None:
    """Its batch is delivered again to its successor."""
    from processor.__main__ import run_lane  # noqa: PLC0415 - importing it puts off garbage collection until it works

    engines = lease("kafka", "schema_registry", "redis")
    run_module(engines, "stack.provision")
    for name, value in engines.settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the test's own process keeps its handlers

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("told to")

    monkeypatch.setattr(owner, method, fail)
    settings = LaneSettings(name="lane-redis-0", READY_FILE=str(tmp_path / "lane.json"), MONITOR_ADDRESS="127.0.0.1:1")
    assert run_lane("redis", settings, TelemetrySettings(OTEL_SDK_DISABLED=True)) == 1
    assert not (tmp_path / "lane.json").exists()
