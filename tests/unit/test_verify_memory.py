"""What a run tells of the memory that processes have."""

import os
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cli.verify import memory
from cli.verify.memory import MemoryWatch, describe, growth
from cli.verify.platform import VerifiedPlatform, VerifyError
from tests.support.waiting import eventually


def test_a_curve_is_summed_up_without_its_start() -> None:
    """A process that keeps what it need not keep has more at the end than once it had settled."""
    start, leaking = [10.0, 90.0], [float(mib) for mib in range(100, 106)]
    assert growth([*start, *leaking]) == {"settled": 100.5, "at_the_end": 104.5, "highest": 105.0}
    assert growth([7.0]) == {"settled": 7.0, "at_the_end": 7.0, "highest": 7.0}


def test_processes_are_looked_at_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone has nothing; while nothing runs at all, nothing is noted."""
    monkeypatch.setattr(memory, "_LEAST_INTERVAL_S", 0.01)

    class Platform:
        looks = 0

        @property
        def state(self) -> Any:
            self.looks += 1
            if self.looks == 2:
                raise VerifyError("it starts again")
            processes = {"gateway-0": os.getpid(), "lane-redis-0": None}
            return SimpleNamespace(processes=[SimpleNamespace(name=name, pid=pid) for name, pid in processes.items()])

    platform = Platform()
    watch = MemoryWatch(cast(VerifiedPlatform, platform), 0.1)
    watch.begin()
    eventually(lambda: len(watch.curves().get("gateway-0", ())) >= 3, 10.0)
    watch.end()
    looks = platform.looks
    told = describe(watch)
    assert list(told["processes"]) == ["gateway-0"]
    curve = told["processes"]["gateway-0"]["curve"]
    assert len(curve) == looks - 1
    assert all(mib > 1 for mib in curve)
    assert told["total"]["highest"] == told["processes"]["gateway-0"]["highest"]
    assert platform.looks == looks


def test_there_is_a_bound_of_samples() -> None:
    """An hour has no more of them than a minute has."""
    platform = cast(VerifiedPlatform, SimpleNamespace())
    assert MemoryWatch(platform, 60.0).interval_s == 1.0
    assert MemoryWatch(platform, 3600.0).interval_s == 30.0
