"""`polystream status`: how every part is."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from cli import compose
from cli.folders import add_data_dir
from cli.running import NothingRunsError, find_platform
from stack.supervisor.state import PlatformState, for_display

ENDPOINT_NAMES: Final = (
    "rest",
    "grpc",
    "edge",
    "dashboard",
    "docs",
    "kafka",
    "schema_registry",
    "postgresql",
    "mongodb",
    "redis",
    "opensearch",
    "otlp",
    "jaeger",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add_data_dir(parser)
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show the status: 0 when everything is ready, 1 when it is not, 3 when nothing runs."""
    try:
        engine = compose.started_with(arguments.data_dir)
        report = compose.describe(engine, arguments.data_dir) if engine else describe(find_platform(arguments.data_dir))
    except (compose.ComposeError, NothingRunsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if arguments.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        _show(report, arguments.data_dir)
    return {"ready": 0, "stopped": 3}.get(str(report["status"]), 1)


def describe(state: PlatformState | None) -> dict[str, Any]:
    """Return the status as JSON has it. `memory_bytes` has a process's share of what it shares with others."""
    endpoints = state.endpoints if state else {}
    return {
        "status": state.status if state else "stopped",
        "detail": state.detail if state else "",
        "engines": (state.engines or None) if state else None,
        "supervisor": _supervisor(state) if state else None,
        "endpoints": {name: endpoints.get(name) for name in ENDPOINT_NAMES},
        "processes": [
            {
                "name": process.name,
                "pid": process.pid,
                "status": process.status,
                "restarts": process.restarts,
                "last_cause": process.last_cause,
                "detail": process.detail,
                "metrics_url": process.metrics_url,
                "memory_bytes": _memory_bytes(process.pid) if process.pid else None,
            }
            for process in (state.processes if state else ())
        ],
    }


def _supervisor(state: PlatformState) -> dict[str, Any]:
    return {"pid": state.pid or None, "memory_bytes": _memory_bytes(state.pid, family=False) if state.pid else None}


def _memory_bytes(pid: int, *, family: bool = True) -> int | None:
    """Return the memory of a process and its children: its share of shared pages where the system tells it."""
    try:
        process = psutil.Process(pid)
        members = [process, *(process.children(recursive=True) if family else ())]
    except psutil.Error:
        return None
    return sum(filter(None, (_own_memory_bytes(member) for member in members)))


def _own_memory_bytes(process: psutil.Process) -> int | None:
    try:
        return int(getattr(process.memory_full_info(), "pss", 0)) or int(process.memory_info().rss)
    except psutil.Error:
        pass
    try:
        return int(process.memory_info().rss)
    except psutil.Error:  # it has ended meanwhile
        return None


def _show(report: dict[str, Any], data_dir: Path) -> None:
    from rich.markup import escape  # noqa: PLC0415 - as below
    from rich.table import Table  # noqa: PLC0415 - for people only; JSON comes faster without

    from cli.console import make_console  # noqa: PLC0415

    console = make_console()
    if report["status"] == "stopped":
        console.print(f"[bold]stopped[/bold]: nothing runs on {escape(str(data_dir))}; `up` starts it")
        return
    console.print(f"[bold]{report['status']}[/bold]")
    if report.get("detail"):
        console.print(escape(str(report["detail"])))
    table = Table("part", "status", "pid", "restarts", "memory", box=None)
    for process in report["processes"]:
        memory = f"{process['memory_bytes'] / 2**20:.0f} MiB" if process["memory_bytes"] else ""
        table.add_row(
            process["name"], process["status"], str(process["pid"] or ""), str(process["restarts"] or ""), memory
        )
    console.print(table)
    for process in report["processes"]:
        if process.get("last_cause") and process["restarts"]:
            console.print(escape(f"{process['name']} was started again, at last since it {process['last_cause']}"))
    if report["supervisor"]:
        total = sum(process["memory_bytes"] or 0 for process in (*report["processes"], report["supervisor"]))
        console.print(f"memory, supervisor included: {total / 2**20:.0f} MiB")
    addresses = Table("address", "", box=None, show_header=False)
    for name, address in report["endpoints"].items():
        if address:
            addresses.add_row(name, escape(str(for_display(address))))
    console.print(addresses)
