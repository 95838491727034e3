"""What an integrity repair would do: on the terminal, and in JSON."""

from collections.abc import Sequence
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.console import make_console
from cli.integrity_report import describe_mended
from processor.integrity.mending import Mended

_SHOWN_MAX: Final = 100  # lines on the terminal; JSON has them all


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
