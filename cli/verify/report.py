"""The result of a run, as JSON and for people."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from cli.verify.history import Answer, CommandHistory, Purpose
from cli.verify.image import Image
from cli.verify.injector import InjectedFault
from cli.verify.memory import MemoryWatch, describe
from cli.verify.options import RunOptions
from cli.verify.violations import Violation
from mesh.catalog import load_catalog

_SHOWN_MAX: Final = 20  # violations on the terminal; the JSON has all


def build_report(
    *,
    options: RunOptions,
    commit: str,
    version: str,
    planned: int,
    history: CommandHistory,
    found: Image,
    injected: Sequence[InjectedFault],
    violations: Sequence[Violation],
    load_s: float,
    start_s: float,
    quiet_s: float,
    memory: MemoryWatch,
) -> dict[str, Any]:
    """Return everything that was done and found. Times are in seconds."""
    attempts = [attempt for entry in history.entries for attempt in entry.attempts]
    purposes = Counter(attempt.purpose for attempt in attempts)
    acknowledged = history.acknowledged
    operations = [found.operation(entry.correlation_id) for entry in acknowledged]
    states = Counter(told.state for told in operations if told is not None)
    reasons = Counter(told.reason for told in operations if told is not None and told.reason)
    return {
        "seed": options.seed,
        "commit": commit or None,
        "version": version,
        "engines": options.engine_set,
        "lanes": options.lanes,
        "command_line": options.command_line,
        "counts": {
            "planned": planned,
            "sent": len(history.entries),
            "not_sent": planned - len(history.entries),  # what they rest on was not answered
            "acknowledged": len(acknowledged),
            "refused_by_gateway": sum(entry.is_refused and not entry.is_acknowledged for entry in history.entries),
            "never_answered": sum(not entry.is_refused and not entry.is_acknowledged for entry in history.entries),
            "attempts": len(attempts),
            "retries": purposes[Purpose.RETRY],
            "sent_again": purposes[Purpose.AGAIN],
            "request_ids_reused": purposes[Purpose.OTHER],
            "unknown_answers": sum(attempt.answer is Answer.UNKNOWN for attempt in attempts),
            "commands": dict(sorted(Counter(entry.command for entry in acknowledged).items())),
            "commands_not_planned": sorted(set(load_catalog().commands) - {entry.command for entry in history.entries}),
            "operations": dict(sorted(states.items())),
            "refusals": dict(sorted(reasons.items())),
            "entities": len(history.by_entity),
            "records": sum(map(len, found.records.values())),
            "receipts": sum(map(len, found.receipts.values())),
            "repeated_receipts": sum(one.duplicate for receipts in found.receipts.values() for one in receipts),
            "dead_letters": len(found.dead_letters),
            "foreign_records": len(found.foreign),
            "stored_items": sum(len(items) for table in found.tables.values() for items in table.values()),
        },
        "rates": {
            "acknowledged_per_s": round(len(acknowledged) / load_s, 2) if load_s > 0 else 0.0,
            "load_s": round(load_s, 2),
            "start_s": round(start_s, 2),
            "quiet_s": round(quiet_s, 2),
        },
        "memory_mib": describe(memory),
        "faults": [fault.to_dict() for fault in injected],
        "violations": [violation.to_dict() for violation in violations],
    }


def print_report(report: Mapping[str, Any], console: Console) -> None:
    """Print what was done and what was found."""
    counts, rates = report["counts"], report["rates"]
    table = Table("after s", "took s", "fault", "what it did", title="faults", title_justify="left")
    for fault in report["faults"]:
        took_s = fault["end_s"] - fault["begin_s"]
        table.add_row(f"{fault['begin_s']:.1f}", f"{took_s:.1f}", fault["kind"], fault["note"])
    if report["faults"]:
        console.print(table, markup=False)
    whence = f"seed {report['seed']}, engines {report['engines']}, {report['lanes']} lanes a store"
    sent = f"{counts['acknowledged']} commands acknowledged in {rates['load_s']:.0f} s"
    retried = f"{rates['acknowledged_per_s']:.0f} a second, {counts['retries']} retries"
    others = f"{counts['refused_by_gateway']} refused by the gateway, {counts['never_answered']} never answered"
    compared = f"{counts['records']} records, {counts['receipts']} receipts, {counts['dead_letters']} dead letters"
    lines = [
        f"{whence}, version {report['version']}, commit {report['commit'] or 'unknown'}",
        f"{sent} ({retried}), {others}",
        f"{compared} and {counts['stored_items']} stored items compared",
    ]
    total = report["memory_mib"]["total"]
    lines.append(
        f"memory of all processes: {total['settled']:.0f} MiB after the start, {total['at_the_end']:.0f} MiB at the end"
    )
    if counts["commands_not_planned"]:
        lines.append(f"not among the commands: {', '.join(counts['commands_not_planned'])}")
    for line in lines:
        console.print(line, markup=False)
    violations = report["violations"]
    for violation in violations[:_SHOWN_MAX]:
        about = f" ({violation['entity']})" if violation["entity"] else ""
        console.print(f"\n{violation['kind']}{about}: {violation['sentence']}", markup=False)
        for line in violation["history"]:
            console.print(f"  {line}", markup=False)
    if len(violations) > _SHOWN_MAX:
        console.print(f"\n{len(violations) - _SHOWN_MAX} more are not shown; --json has them", markup=False)
    if violations:
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(v["kind"] for v in violations).items())
        console.print(f"\n{len(violations)} violations: {kinds}. What plans the same again:", markup=False)
        console.print(report["command_line"], markup=False)
    else:
        console.print("no violation: every promise was kept")
