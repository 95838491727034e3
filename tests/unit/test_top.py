"""What `top` makes of two looks at a platform: rates, latencies, lag, and a screen of 80 columns."""

import io
import json
import socket
from dataclasses import replace
from typing import Final

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from rich.console import Console

from cli.top.figures import NO_METRICS, TopFigures, compare
from cli.top.readings import PartReading, PlatformReading
from cli.top.scrape import Scrape, ScrapeError, scrape
from cli.top.screen import screen
from mesh.telemetry.metric_list import APPLY_DURATION, OPERATION_DURATION, RPC_DURATION
from mesh.telemetry.prometheus import HistogramCollector
from mesh.telemetry.tallies import HistogramTable

_COLUMNS: Final = 80


def _histograms(**seconds: list[float]) -> str:
    """Return histograms as a service tells them, by its own code, of these values."""
    rpc, operation, apply = (
        HistogramTable(RPC_DURATION),
        HistogramTable(OPERATION_DURATION),
        HistogramTable(APPLY_DURATION),
    )
    tallies = {
        "rpc": rpc.of("polystream.v1.UserService/CreateUser", "rest", "OK"),
        "query": rpc.of("polystream.v1.OperationService/WaitOperation", "rest", "OK"),
        "operation": operation.of("CreateUser", "SUCCEEDED"),
        "apply": apply.of("CreateUser", "POSTGRESQL"),
    }
    for name, values in seconds.items():
        for value in values:
            tallies[name].record(value, None)
    registry = CollectorRegistry()
    registry.register(HistogramCollector((rpc, operation, apply)))
    return generate_latest(registry).decode()


def _gateway(accepted: int, refused: int, text: str) -> Scrape:
    counter = 'polystream_commands_total{{polystream_command="CreateUser",polystream_outcome="{}"}} {}\n'
    return Scrape(
        counter.format("accepted", accepted) + counter.format("refused", refused) + "polystream_lag_records 3\n" + text
    )


def _lane(commands: int, text: str) -> Scrape:
    return Scrape(f'polystream_lane_commands_total{{polystream_command="CreateUser"}} {commands}\n{text}')


def _part(name: str, pid: int, cpu_s: float, told: Scrape | None, kind: str = "service") -> PartReading:
    return PartReading(name, kind, "ready", pid, cpu_s, 50 * 2**20, told)


def _reading(time_s: float, *parts: PartReading) -> PlatformReading:
    return PlatformReading(time_s, "ready", "", "embedded", parts)


def _shown(figures: TopFigures, width: int = _COLUMNS) -> str:
    output = io.StringIO()
    Console(file=output, width=width).print(screen(figures))
    return output.getvalue()


def test_rates_are_of_the_time_between_two_looks() -> None:
    """Of a gateway, calls, and the latency of commands alone: who waits for an operation is no slow command."""
    before = _reading(
        10.0,
        _part("redis", 1, 1.0, None, "engine"),
        _part("gateway-0", 2, 5.0, _gateway(100, 4, _histograms(rpc=[9.0] * 100, operation=[9.0] * 100))),
        _part("lane-postgresql-0", 3, 2.0, _lane(100, _histograms(apply=[9.0] * 100))),
    )
    rpc, query = [9.0] * 100 + [0.002] * 20, [20.0] * 4
    now = _reading(
        14.0,
        _part("redis", 1, 1.4, None, "engine"),
        _part(
            "gateway-0",
            2,
            7.0,
            _gateway(120, 12, _histograms(rpc=rpc, query=query, operation=[9.0] * 100 + [0.2] * 20)),
        ),
        _part("lane-postgresql-0", 3, 2.0, _lane(140, _histograms(apply=[9.0] * 100 + [0.02] * 40))),
    )
    figures = compare(before, now)
    redis, gateway, lane = figures.parts
    assert (redis.rate_per_s, redis.lag_records) == (None, None)
    assert redis.cpu_percent == pytest.approx(10)
    assert gateway.rate_per_s == pytest.approx(6)  # 20 commands and 4 who waited, in 4 s
    assert gateway.p50_ms is not None
    assert gateway.p99_ms is not None
    assert 1 <= gateway.p50_ms <= gateway.p99_ms <= 2.5  # the bucket that 2 ms are in
    assert gateway.lag_records == 3
    assert gateway.cpu_percent == pytest.approx(50)
    assert lane.rate_per_s == pytest.approx(10)
    assert lane.p99_ms is not None
    assert 10 <= lane.p99_ms <= 25
    (command,) = figures.commands
    assert command.accepted_per_s == pytest.approx(5)
    assert command.errors_per_s == pytest.approx(2)
    assert command.p50_ms is not None
    assert 100 <= command.p50_ms <= 250


def test_what_is_not_known_is_no_zero() -> None:
    """A part that was started again in between counts from 0; one that does not answer has a cause."""
    told = _gateway(100, 4, _histograms(rpc=[0.1] * 100))
    before = _reading(0.0, _part("gateway-0", 2, 5.0, told), _part("gateway-1", 3, 1.0, told))
    silent = replace(_part("gateway-1", 3, 1.0, None), trouble="it does not answer", memory_bytes=None)
    figures = compare(before, _reading(1.0, _part("gateway-0", 9, 0.1, told), silent))
    for part in figures.parts:
        assert (part.rate_per_s, part.p50_ms, part.p99_ms) == (None, None, None)
    assert [part.trouble for part in figures.parts] == ["", "it does not answer"]
    assert figures.commands == ()
    assert figures.note == ""
    assert "no command yet" in _shown(figures)


def test_without_any_metrics_it_says_which_setting() -> None:
    """Processor and memory are there all the same."""
    part = _part("gateway-0", 2, 5.0, None)
    figures = compare(_reading(0.0, part), _reading(1.0, part))
    assert figures.note == NO_METRICS
    assert "OTEL_METRICS_EXPORTER" in _shown(figures)
    assert figures.parts[0].memory_bytes == 50 * 2**20


def test_it_fits_into_80_columns() -> None:
    """Whatever the numbers and names, and no line is wrapped for it; in less, it is cut."""
    before = _reading(0.0, _part("lane-postgresql-0", 3, 0.0, _lane(0, _histograms())))
    now = _reading(
        1.0,
        _part("lane-postgresql-0" * 3, 3, 0.0, _lane(0, "")),
        _part("lane-postgresql-0", 3, 64.0, _lane(1_234_567, "")),
    )
    shown = _shown(compare(before, now))
    assert " 1.2M " in shown
    assert "…" in shown
    for width in (_COLUMNS, 40):
        assert max(map(len, _shown(compare(before, now), width).splitlines())) <= width


def test_what_would_order_the_terminal_about_is_written_out() -> None:
    """A name comes from other processes."""
    part = _part("gate\x1b[2J", 2, 5.0, None)
    assert "\x1b" not in _shown(compare(_reading(0.0, part), _reading(1.0, part)))


def test_it_is_json_as_it_is() -> None:
    """Whoever reads it gets every field."""
    part = _part("redis", 1, 1.0, None, "engine")
    document = json.loads(json.dumps(compare(_reading(0.0, part), _reading(2.0, part)).to_document()))
    assert document["interval_s"] == 2.0
    assert document["parts"] == [
        {
            "part": "redis",
            "status": "ready",
            "rate_per_s": None,
            "p50_ms": None,
            "p99_ms": None,
            "lag_records": None,
            "cpu_percent": 0.0,
            "memory_bytes": 50 * 2**20,
            "trouble": "",
        }
    ]


def test_what_is_no_metrics_is_told() -> None:
    """By another program that has the port, say."""
    with pytest.raises(ScrapeError):
        Scrape("<!doctype html>\n<p>{{{")


def test_a_process_that_is_not_there_is_told() -> None:
    """Nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ScrapeError, match="does not answer"):
        scrape(f"http://127.0.0.1:{port}/metrics")
