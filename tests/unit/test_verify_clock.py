"""The wrong clock that the self-check gives one process: from its next start on."""

import datetime as dt
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from polystream.v1.contents_pb2 import CacheContentRequest
from polystream.v1.sessions_pb2 import CreateSessionRequest
from redis import Redis

from cli.verify.breakpoints.clock import GRPC_MODULES, clock_of, set_clock, shift_clock, spare_grpc
from processor.handlers import cache_content, create_session
from tests.support.lanes import delivery as deliver

_SERVERS_S = 1_760_000_000


def test_a_clock_is_that_of_the_process_that_was_named(tmp_path: Path) -> None:
    """Of a lane or a gateway, ahead or behind, until it is set right."""
    lane, gateway = {"LANE_NAME": "lane-redis-0"}, {"GATEWAY_NAME": "gateway-0"}
    assert clock_of(tmp_path, lane) == 0
    set_clock(tmp_path, "lane-redis-0", -7200)
    set_clock(tmp_path, "gateway-0", 60)
    assert [clock_of(tmp_path, one) for one in (lane, gateway, {"LANE_NAME": "lane-redis-1"}, {})] == [-7200, 60, 0, 0]
    set_clock(tmp_path, "lane-redis-0", 0)
    assert clock_of(tmp_path, lane) == 0


@pytest.mark.parametrize("offset_s", [-90_000, 90_000], ids=["behind", "ahead"])
def test_every_way_to_ask_for_the_present_is_shifted(offset_s: int) -> None:
    """Timers are not, and what a library makes is a datetime still."""
    times, dates = SimpleNamespace(**vars(time)), SimpleNamespace(**vars(dt))
    shift_clock(times, dates, offset_s)
    found = [
        times.time(),
        times.time_ns() / 10**9,
        dates.datetime.now(dt.UTC).timestamp(),
        dates.datetime.now().timestamp(),
    ]
    assert found == pytest.approx([time.time() + offset_s] * 4, abs=30)
    assert times.monotonic() == pytest.approx(time.monotonic(), abs=30)
    assert isinstance(dt.datetime.now(dt.UTC), dates.datetime)
    assert dates.datetime.__basicsize__ == dt.datetime.__basicsize__
    assert not isinstance(dt.date(2026, 1, 1), dates.datetime)


def test_grpc_keeps_the_right_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deadline that is a day old is over before the call; each of its modules reads the clock by that name."""
    modules: list[Any] = [import_module(name) for name in GRPC_MODULES]
    for module in modules:
        assert module.time is time
        monkeypatch.setattr(module, "time", time)
    monkeypatch.setattr(time, "time", time.time)
    spare_grpc()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert all(module.time.time() > 0 for module in modules)


def test_lifetimes_in_redis_count_by_its_own_clock() -> None:
    """A lane whose clock is wrong gives no session an end that has passed, or that does not come."""
    server: Any = SimpleNamespace(time=lambda: (_SERVERS_S, 123_456))
    db = cast(Redis, server)
    (session,) = create_session.redis([deliver(CreateSessionRequest(user_id=1, device="TV", ttl_seconds=60))], db)
    (content,) = cache_content.redis(
        [deliver(CacheContentRequest(content_id=7, title="x", kind="MOVIE", ttl_seconds=5))], db
    )
    ends = {write[2] for plan in (session, content) for write in plan.writes if write[0] == "PEXPIREAT"}
    assert ends == {_SERVERS_S * 1000 + 123 + 60_000, _SERVERS_S * 1000 + 123 + 5_000}
