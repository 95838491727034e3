"""Whatever is sent to the platform's port, it answers as it says, ends each connection, and goes on.

`POLYSTREAM_FUZZ_COUNT` sets how many requests are sent. For 200,000 of them and more, by hand:
`python -m tests.support.fuzz HOST:PORT --pid PID`.
"""

import os

import httpx
import pytest

from tests.support.fuzz.__main__ import reproductions, summary
from tests.support.fuzz.hold import Holding, hold, raise_open_files, report
from tests.support.fuzz.run import Options, fuzz
from tests.support.platform import Platform

_COUNT = int(os.environ.get("POLYSTREAM_FUZZ_COUNT", "5000"))
_CASES_A_SECOND_MIN = 100
_SEED = 20261128


@pytest.mark.timeout(120 + _COUNT / _CASES_A_SECOND_MIN)
async def test_nothing_that_is_sent_disturbs_the_platform(platform: Platform) -> None:
    """Raw bytes, odd HTTP, odd JSON and odd gRPC-Web frames: no error but those that are promised, and no leak."""
    url = httpx.URL(platform.endpoints["rest"])
    assert url.port is not None
    outcome = await fuzz(
        Options(host=url.host, port=url.port, seed=_SEED, count=_COUNT, pids=(platform.pid("gateway-0"),))
    )
    assert outcome.is_good, "\n".join([*summary(outcome), *await reproductions(outcome)])
    assert outcome.sent.total() == _COUNT


@pytest.mark.timeout(300)
async def test_nobody_is_kept_out_by_what_others_hold_open(platform: Platform) -> None:
    """4,096 idle streams and as many idle connections, slow heads, slow bodies and uploads that stop: all at once."""
    url = httpx.URL(platform.endpoints["rest"])
    assert url.port is not None
    raise_open_files()
    held = await hold(Holding(url.host, url.port))
    assert held.is_good, "\n".join(report(held))
