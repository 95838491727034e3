"""Whatever is sent to the platform's port, it answers as it says, ends each connection, and goes on.

`POLYSTREAM_FUZZ_COUNT` sets how many requests are sent. Both are programs of their own here, too: connections by the
thousand are kept apart from those of the tests' other clients.
"""

import os
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.bounded import run_bounded
from tests.support.platform import Platform

_ROOT = Path(__file__).parents[2]
_COUNT = int(os.environ.get("POLYSTREAM_FUZZ_COUNT", "5000"))
_CASES_A_SECOND_MIN = 100
_FUZZ_TIMEOUT_S = 120 + _COUNT / _CASES_A_SECOND_MIN
_HOLD_TIMEOUT_S = 240.0
# Whether others are answered is what is told here; how soon, `python -m tests.support.fuzz.hold` tells by itself.
_PATIENCE = ("--p99-ms", "10000", "--longest-ms", "15000")
_SEED = 20261128


@pytest.mark.timeout(_FUZZ_TIMEOUT_S + 60)
def test_nothing_that_is_sent_disturbs_the_platform(platform: Platform) -> None:
    """Raw bytes, odd HTTP, odd JSON and odd gRPC-Web frames: no error but those that are promised, and no leak."""
    options = ("--seed", str(_SEED), "--count", str(_COUNT), "--pid", str(platform.pid("gateway-0")))
    told = _run("tests.support.fuzz", _address(platform), *options, timeout_s=_FUZZ_TIMEOUT_S)
    assert f"seed {_SEED}, {_COUNT} cases" in told
    assert "memory grew by" in told


@pytest.mark.timeout(_HOLD_TIMEOUT_S + 60)
def test_nobody_is_kept_out_by_what_others_hold_open(platform: Platform) -> None:
    """4,096 idle streams and as many idle connections, slow heads, slow bodies and uploads that stop: all at once."""
    told = _run("tests.support.fuzz.hold", _address(platform), *_PATIENCE, timeout_s=_HOLD_TIMEOUT_S)
    assert "4096 of 4096 streams, 4096 of 4096 idle connections" in told


def _address(platform: Platform) -> str:
    url = httpx.URL(platform.endpoints["rest"])
    return f"{url.host}:{url.port}"


def _run(module: str, *arguments: str, timeout_s: float) -> str:
    done = run_bounded((sys.executable, "-m", module, *arguments), timeout_s=timeout_s, cwd=_ROOT)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
