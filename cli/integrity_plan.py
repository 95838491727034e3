"""What an integrity repair would do: on the terminal, and in JSON."""

from collections.abc import Sequence
from typing import Any, Final

from polystream.options.v1.options_pb2 import Store
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.console import make_console
from cli.integrity_report import describe_mended
from mesh import topics
from processor.integrity.inspection import Drift
from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.mending import Mended

_SHOWN_MAX: Final = 100  # lines on the terminal; JSON has them all


def planned(drift: Drift, mended: Sequence[Mended], *, force: bool, erase: bool) -> list[Mended]:
    """Return what would be done about everything that is wrong."""
    steps = list(mended)
    for receipt in drift.findings.unmarked:
        finding = _finding(DriftKind.MARK_GONE, Store.Name(receipt.store), receipt.correlation_id)
        steps.append(Mended(finding, "its mark is put back", is_done=True))
    for entry in drift.findings.lost:
        finding = _finding(DriftKind.LOST, entry.dead_letter.store, entry.dead_letter.correlation_id)
        sent = entry.redrive_status.may_be_sent(force=force)
        action = "sent again" if sent else f"left: {entry.redrive_status.value}; --force sends it all the same"
        steps.append(Mended(finding, action, is_done=sent))
    for found in drift.orphans:
        for user_id in found.user_ids:
            finding = _finding(DriftKind.ORPHAN, found.store, str(user_id), "usuarios")
            action = "what is left of the user is erased" if erase else "left; --erase-orphans erases it"
            steps.append(Mended(finding, action, is_done=erase))
    return steps


def describe_plan(steps: Sequence[Mended]) -> dict[str, Any]:
    """Return the steps as JSON has them."""
    return {"would": [describe_mended(step) for step in steps]}


def show_plan(steps: Sequence[Mended], console: Console | None = None) -> None:
    """Print the steps."""
    console = console or make_console()
    if not steps:
        console.print("there is nothing to repair")
        return
    table = Table("kind", "store", "place", "key", "what would be done")
    for step in steps[:_SHOWN_MAX]:
        one = step.finding
        table.add_row(one.kind.value, one.store, escape(one.place), escape(one.key), escape(step.action))
    if len(steps) > _SHOWN_MAX:
        table.add_row("…", f"and {len(steps) - _SHOWN_MAX} more", "", "", "")
    console.print(table)


def _finding(kind: DriftKind, store: str, key: str, place: str = topics.COMMANDS) -> Finding:
    return Finding(kind, store, place, key, "")
