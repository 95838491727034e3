"""`top` on a platform that works: what it shows is what happens."""

import json
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.support.people import person
from tests.support.platform import Platform

_COLUMNS = 80


@pytest.fixture
def load(rest: httpx.Client) -> Iterator[None]:
    """Send commands without a pause, every other one of them refused, while the test runs."""
    done = threading.Event()

    def send() -> None:
        while not done.is_set():
            rest.post("/v1/users", json=person()).raise_for_status()
            rest.post("/v1/users", json={"name": "Ana"})

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()


@pytest.mark.usefixtures("load")
def test_it_shows_what_happens(platform: Platform) -> None:
    """Of each part, its work, latencies, lag, processor and memory; of each command, its rates and latencies."""
    done = platform.command("top", "--once", "--json", "--interval", "3")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["interval_s"] >= 3
    parts = {part["part"]: part for part in figures["parts"]}
    for name in ("gateway-0", "lane-postgresql-0", "monitor"):
        part = parts[name]
        assert part["rate_per_s"] > 0, name
        assert 0 < part["p50_ms"] <= part["p99_ms"], name
        assert part["lag_records"] >= 0
        assert part["cpu_percent"] > 0
        assert part["memory_bytes"] > 10 * 2**20
    assert parts["redis"]["rate_per_s"] is None
    (command,) = (each for each in figures["commands"] if each["command"] == "CreateUser")
    assert command["accepted_per_s"] > 0
    assert command["errors_per_s"] > 0
    assert 0 < command["p50_ms"] <= command["p99_ms"]


@pytest.mark.usefixtures("load")
def test_it_is_readable_in_80_columns(platform: Platform) -> None:
    """In a pipe, and no order to a terminal is in it."""
    done = platform.command("top", "--once", "--interval", "1")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= _COLUMNS
    assert "\x1b" not in done.stdout
    (row,) = (line.split() for line in lines if line.startswith("gateway-0"))
    assert len(row) == 8
    assert any(line.startswith("CreateUser ") for line in lines)
