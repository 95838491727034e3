"""What the dashboard costs: its lists with many operations in the event log, and its overview while it is open.

    python -m tests.bench.dashboard [--commands 100000] [--opensearch URL]

prints JSON. Figures of the lists are milliseconds of one page, by filter, order and place; without OpenSearch, those of
CPU are what counts on a machine that does other things meanwhile. The overview's are shares of a core.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from polystream.v1.operations_pb2 import ListOperationsRequest, ListOperationsResponse

from mesh.catalog import STORES, load_catalog
from mesh.telemetry import metric_list
from mesh.telemetry.metric_list import MetricSpec
from mesh.telemetry.names import COMMAND, DOOR, OUTCOME, STORE
from monitor.metrics.points import Bucket, SeriesKey, SeriesReading
from monitor.metrics.store import TIERS, MetricStore
from monitor.pages.language import NAMES
from monitor.pages.overview import INTERVAL_S
from monitor.pages.overview_charts import SPANS, OverviewCharts
from monitor.service import EventLog
from monitor.store.port import EventStore
from tests.support.event_stores import open_store
from tests.support.monitor_pages import METRIC_INTERVAL_S, opened_pages
from tests.support.operation_load import RARE_USER, load_operations

END_MS: Final = 1_796_000_000_000  # of the last operation
ORDERS: Final = ("", "accept_time", "duration_ms desc", "duration_ms", "complete_time desc", "complete_time")
_HOUR_BEFORE: Final = "2026-11-29T23:53:20Z"
FILTERS: Final = (
    "",
    "state = FAILED",
    f"user_id = {RARE_USER}",
    "user_id = 7 AND state = FAILED",
    "store = MONGODB",
    "store_states.mongodb = FAILED",
    "reason = USER_NOT_FOUND",
    "reason = NO_SUCH_REASON",
    'error:"address"',
    'error:"no such words"',
    'command = "*Payment"',
    "trace_id = 0123",
    "correlation_id = 0123",
    f'accept_time >= "{_HOUR_BEFORE}"',
    f'accept_time >= "{_HOUR_BEFORE}" AND state = FAILED',
    'state = FAILED AND -user_id = 3 AND reason = "*_FOUND" AND store = POSTGRESQL AND error:"user" duration_ms > 10',
)
_ROUNDS: Final = 5
_DEEP_ENTRIES: Final = 10_000  # before the page that is called deep
_PAGE_MAX: Final = 1000
_PAGES: Final = 10  # open at once
_STEPS: Final = 13  # of a chart: all of it is read once meanwhile
_ENDS: Final = (("rest", "accepted"), ("grpc", "accepted"), ("rest", "refused"))  # of a command, at the doors


@dataclass(frozen=True, slots=True)
class PageCost:
    """What one page of a list costs."""

    filter: str
    order_by: str
    is_deep: bool
    entries: int
    cpu_ms: float  # the median, of this process
    median_ms: float
    worst_ms: float


def search_costs(store: EventStore, rounds: int = _ROUNDS) -> Iterator[PageCost]:
    """Yield what the first page and a deep one of every filter in every order costs."""
    log = EventLog(store, load_catalog())
    for text in FILTERS:
        for order_by in ORDERS:
            wanted = ListOperationsRequest(filter=text, order_by=order_by)
            yield _cost(log, wanted, rounds)
            token, before = "", 0
            while before < _DEEP_ENTRIES:
                request = ListOperationsRequest(filter=text, order_by=order_by, page_size=_PAGE_MAX, page_token=token)
                page = log.operations_page(request)
                if not page.next_page_token:
                    break
                token, before = page.next_page_token, before + len(page.operations)
            if token:
                wanted.page_token = token
                yield _cost(log, wanted, rounds)


def _cost(log: EventLog, wanted: ListOperationsRequest, rounds: int) -> PageCost:
    spent_ms, took_ms = [], []
    page = ListOperationsResponse()
    for _ in range(rounds):
        began_s, used_s = time.perf_counter(), time.process_time()
        page = log.operations_page(wanted)
        took_ms.append((time.perf_counter() - began_s) * 1000)
        spent_ms.append((time.process_time() - used_s) * 1000)
    medians = statistics.median(spent_ms), statistics.median(took_ms)
    is_deep = bool(wanted.page_token)
    return PageCost(wanted.filter, wanted.order_by, is_deep, len(page.operations), *medians, max(took_ms))


async def overview_shares(folder: Path, rounds: int = _ROUNDS) -> Mapping[str, float]:
    """Return the share of a core that the overview takes while ten pages are open, after a day of metrics.

    `same` is where all ten show the same, `different` where no two do: every span in every language.
    """
    async with opened_pages(folder) as opened:
        _fill_metrics(opened.metrics)
        render_s: list[float] = []
        for span in SPANS:
            for tag in NAMES:
                await opened.client.get("/", params={"span": span, "lang": tag})  # reads and draws its charts
                began_s = time.process_time()
                for _ in range(rounds):
                    await opened.client.get("/", params={"span": span, "lang": tag})
                render_s.append((time.process_time() - began_s) / rounds)
        read_share = {span: await _read_share(opened.metrics, span) for span in SPANS}
    assert len(render_s) == _PAGES
    return {
        "same": max(render_s) / INTERVAL_S + max(read_share.values()),
        "different": sum(render_s) / INTERVAL_S + sum(read_share.values()),
    }


async def _read_share(metrics: MetricStore, span: str) -> float:
    """Return the share of a core that reading the charts of a span takes, which happens once a step."""
    now_s = [time.time()]
    charts = OverviewCharts(metrics, METRIC_INTERVAL_S, lambda: now_s[0])
    step_s = SPANS[span][1]
    await charts.measured(span)
    began_s = time.process_time()
    for _ in range(_STEPS):
        now_s[0] += step_s
        await charts.measured(span)
    return (time.process_time() - began_s) / _STEPS / step_s


def _fill_metrics(metrics: MetricStore) -> None:
    """Keep what two gateways and three lanes with all commands have told in a day, as finely as it is kept."""
    now_s = int(time.time())
    times_s = sorted({at_s for tier in TIERS for at_s in range(now_s - tier.keep_s, now_s, tier.step_s)})
    keys = list(_series_keys())
    for at_s in times_s:
        metrics.add([_reading(spec, key, at_s, at_s - times_s[0]) for spec, key in keys])


def _series_keys() -> Iterator[tuple[MetricSpec, SeriesKey]]:
    def key(spec: MetricSpec, instance: str, **attributes: str) -> tuple[MetricSpec, SeriesKey]:
        service = "gateway" if instance.startswith("gateway") else "processor"
        names = {"command": COMMAND, "door": DOOR, "outcome": OUTCOME, "store": STORE}
        told = tuple(sorted((names[name], value) for name, value in attributes.items()))
        return spec, SeriesKey(spec.name, service, instance, told)

    commands = load_catalog().commands.values()
    for gateway in ("gateway-0", "gateway-1"):
        yield key(metric_list.UPTIME, gateway)
        yield key(metric_list.COMMANDS_IN_FLIGHT, gateway)
        for command in commands:
            for door, outcome in _ENDS:
                yield key(metric_list.COMMANDS, gateway, command=command.name, door=door, outcome=outcome)
    for store in STORES:
        lane = f"lane-{store.lower()}-0"
        yield key(metric_list.UPTIME, lane)
        yield key(metric_list.DEAD_LETTERS, lane, store=store)
        for command in commands:
            if store in command.stores:
                yield key(metric_list.APPLY_DURATION, lane, command=command.name, store=store)
                for outcome in ("succeeded", "refused"):
                    yield key(metric_list.LANE_COMMANDS, lane, command=command.name, store=store, outcome=outcome)


def _reading(spec: MetricSpec, key: SeriesKey, at_s: int, seconds: int) -> SeriesReading:
    buckets: Sequence[Bucket] = ()
    if spec.bounds:
        edges = [0.0, *spec.bounds]
        buckets = [Bucket(low, high, 3 * seconds) for low, high in pairwise(edges)]
    return SeriesReading(key, spec.kind, spec.unit, at_s * 1_000_000, 0, 10 * seconds, buckets)


def report(commands: int, opensearch: str) -> dict[str, Any]:
    """Return all figures. What is at the URL `opensearch`, where that is not empty, is added to."""
    result: dict[str, Any] = {"commands": commands, "lists": {}}
    with tempfile.TemporaryDirectory() as folder:
        for engine, target in (("local", folder), *((("opensearch", opensearch),) if opensearch else ())):
            store = open_store(engine, target)
            began_s = time.process_time()
            load_operations(store, commands, END_MS)
            filled_us = (time.process_time() - began_s) * 1e6 / commands
            costs = list(search_costs(store))
            store.close()
            result["lists"][engine] = {
                "append_cpu_us_a_command": filled_us,
                "cpu_ms_median": statistics.median(cost.cpu_ms for cost in costs),
                "median_ms": statistics.median(cost.median_ms for cost in costs),
                "worst": asdict(max(costs, key=lambda cost: cost.median_ms)),
                "worst_of_all_ms": max(cost.worst_ms for cost in costs),
                "pages": [asdict(cost) for cost in costs],
            }
        file = Path(folder) / "events.sqlite"
        result["lists"]["local"]["bytes_a_command"] = file.stat().st_size / commands
    with tempfile.TemporaryDirectory() as folder:
        result["overview_share_of_a_core"] = asyncio.run(overview_shares(Path(folder)))
    return result


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--opensearch", default="", help="a URL; its indices of events and operations are added to")
    arguments = parser.parse_args()
    print(json.dumps(report(arguments.commands, arguments.opensearch), indent=2))  # noqa: T201 # its result


if __name__ == "__main__":
    main()
