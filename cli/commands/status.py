"""`polystream status`: how every part is."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from cli import compose
from cli.choosing import (
    NothingRunsError,
    RunningPlatform,
    add_platform_choice,
    choose_data_dir,
    option_for,
    running_platforms,
)
from cli.compose_engine import ComposeError
from cli.printable import write_error
from cli.process_usage import memory_bytes
from cli.running import find_platform
from stack.supervisor.state import PlatformState, for_display

_REACHED_MAX: Final = 3  # platforms elsewhere that the first sentence names
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
    add_platform_choice(parser)
    parser.add_argument("--json", action="store_true", help="write JSON")


def run(arguments: argparse.Namespace) -> int:
    """Show the status, and what runs elsewhere: 0 when everything is ready, 1 when it is not, 3 when nothing runs."""
    is_named = arguments.data_dir is not None or arguments.port_offset is not None
    try:
        data_dir = choose_data_dir(arguments)
        engine = compose.started_with(data_dir)
        report = compose.describe(engine, data_dir) if engine else describe(find_platform(data_dir))
    except (ComposeError, NothingRunsError) as error:
        write_error(error)
        return 1
    elsewhere = [] if is_named else [each for each in running_platforms() if each.data_dir != data_dir.resolve()]
    if arguments.json:
        sys.stdout.write(json.dumps(report | {"elsewhere": _elsewhere(elsewhere)}, indent=2) + "\n")
    else:
        _show(report, data_dir, elsewhere)
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
                "memory_bytes": memory_bytes(process.pid) if process.pid else None,
            }
            for process in (state.processes if state else ())
        ],
    }


def _elsewhere(platforms: Sequence[RunningPlatform]) -> list[dict[str, Any]]:
    return [asdict(each) | {"data_dir": str(each.data_dir)} for each in platforms]


def _supervisor(state: PlatformState) -> dict[str, Any]:
    return {"pid": state.pid or None, "memory_bytes": memory_bytes(state.pid, family=False) if state.pid else None}


def _show(report: dict[str, Any], data_dir: Path, elsewhere: Sequence[RunningPlatform]) -> None:
    from rich.markup import escape  # noqa: PLC0415 - as below
    from rich.table import Table  # noqa: PLC0415 - for people only; JSON comes faster without

    from cli.console import make_console  # noqa: PLC0415

    console = make_console()
    if report["status"] == "stopped":
        others = f", but {_reached_by(elsewhere)}; `up` starts one here" if elsewhere else "; `up` starts it"
        console.print(f"[bold]stopped[/bold]: nothing runs on {escape(str(data_dir))}{escape(others)}")
        _show_elsewhere(elsewhere)
        return
    console.print(f"[bold]{escape(str(report['status']))}[/bold]")
    if report.get("detail"):
        console.print(escape(str(report["detail"])))
    table = Table("part", "status", "pid", "restarts", "memory", box=None)
    for process in report["processes"]:
        memory = f"{process['memory_bytes'] / 2**20:.0f} MiB" if process["memory_bytes"] else ""
        table.add_row(
            escape(process["name"]),
            escape(process["status"]),
            str(process["pid"] or ""),
            str(process["restarts"] or ""),
            memory,
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
            addresses.add_row(escape(name), escape(str(for_display(address))))
    console.print(addresses)
    _show_elsewhere(elsewhere)


def _reached_by(platforms: Sequence[RunningPlatform]) -> str:
    """Return that platforms run elsewhere, and the options that reach the first few."""
    options = ", ".join(option_for(each, platforms) for each in platforms[:_REACHED_MAX])
    more = " and so on" if len(platforms) > _REACHED_MAX else ""
    count = "one runs" if len(platforms) == 1 else f"{len(platforms)} run"
    return f"{count} elsewhere, reached with {options}{more}"


def _show_elsewhere(platforms: Sequence[RunningPlatform]) -> None:
    from rich.markup import escape  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415

    from cli.console import make_console  # noqa: PLC0415

    if not platforms:
        return
    table = Table("elsewhere", "engines", "status", "data folder", box=None)
    for each in platforms:
        cells = (option_for(each, platforms), each.engines, each.status, str(each.data_dir))
        table.add_row(*map(escape, cells))
    make_console().print(table)
