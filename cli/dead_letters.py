"""Dead letters on the terminal and in JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.console import make_console
from cli.printable import json_text
from mesh import topics
from mesh.dead_letters.reader import DeadLetterEntry
from mesh.dead_letters.redrive import RedriveOutcome, RedriveResult
from mesh.dead_letters.redrive_status import OVERTAKEN_MAX, REDRIVES_MAX, RedriveStatus

# The names of the JSON output are older than the words of the code. Scripts read them, so they stay: `letter` is the
# dead letter's position, `standing` its redrive status.
_STATUS_COLORS: Final = {RedriveStatus.WAITING: "yellow", RedriveStatus.REDRIVEN: "green"}  # the others are red
_SHOWN_MAX: Final = 1000  # lines of a table on the terminal, the newest; JSON has them all
_OUTCOME_COLORS: Final = {RedriveOutcome.SUCCEEDED: "green", RedriveOutcome.REFUSED: "yellow"}  # likewise


def describe(entry: DeadLetterEntry) -> dict[str, Any]:
    """Return a dead letter as JSON has it; none of the command's fields."""
    dead_letter = entry.dead_letter
    return {
        "letter": str(dead_letter.position),
        "standing": entry.redrive_status.value,
        "correlation_id": dead_letter.correlation_id,
        "command": dead_letter.command,
        "reason": dead_letter.reason,
        "error": dead_letter.error,
        "store": dead_letter.store,
        "lane": dead_letter.lane,
        "time": _time(dead_letter.time_ms),
        "source": {
            "topic": topics.COMMANDS,
            "partition": dead_letter.source.partition,
            "offset": dead_letter.source.offset,
        },
        "redrives": dead_letter.redrives,
        "value_bytes": dead_letter.omitted_bytes or len(dead_letter.value or b""),
        "overtaken_by": list(entry.overtaken_by),
    }


def describe_redriven(redriven: RedriveResult) -> dict[str, Any]:
    """Return what came of a command, as JSON has it."""
    dead_letter = redriven.dead_letter
    return {
        "letter": str(dead_letter.position),
        "correlation_id": dead_letter.correlation_id,
        "command": dead_letter.command,
        "outcome": redriven.outcome.value,
        "error": redriven.error,
    }


def show_entries(entries: Sequence[DeadLetterEntry], left_out: int, console: Console | None = None) -> None:
    """Print the dead letters, one a line."""
    console = console or make_console()
    if not entries:
        console.print("no dead letters")
    else:
        console.print(_table(entries))
    if len(entries) > _SHOWN_MAX:
        console.print(f"[yellow]{len(entries) - _SHOWN_MAX} older ones are not shown; --json has them[/yellow]")
    if left_out:
        console.print(f"[yellow]{left_out} older records of {topics.DEAD_LETTERS} were not read[/yellow]")


def show_entry(entry: DeadLetterEntry, payload: object, console: Console | None = None) -> None:
    """Print all there is to know of a dead letter, with the command's fields where they are given."""
    console = console or make_console()
    table = Table(show_header=False, box=None)
    shown = describe(entry) | {
        "source": f"{topics.COMMANDS}/{entry.dead_letter.source.partition}@{entry.dead_letter.source.offset}",
        "overtaken_by": ", ".join(entry.overtaken_by) or "none",
    }
    for name, value in shown.items():
        table.add_row(name, escape(str(value)))
    console.print(table)
    console.print(escape(_remedy(entry)))
    if payload is not None:
        console.print(json_text(payload), markup=False)


def show_plan(sent: Sequence[DeadLetterEntry], kept: Sequence[DeadLetterEntry], console: Console | None = None) -> None:
    """Print what would be sent again, and what is not, with the reason."""
    console = console or make_console()
    if sent:
        console.print(f"would send {len(sent)} again:")
        console.print(_table(sent))
    for entry in kept[-_SHOWN_MAX:]:
        named = f"{entry.dead_letter.position} {entry.dead_letter.command}"
        console.print(f"not sent: {escape(named)}: {escape(_remedy(entry))}")


def show_redriven(batch: Sequence[RedriveResult], console: Console | None = None) -> None:
    """Print what came of a batch, a command a line."""
    console = console or make_console()
    for redriven in batch:
        dead_letter, color = redriven.dead_letter, _OUTCOME_COLORS.get(redriven.outcome, "red")
        line = f"{dead_letter.position} {dead_letter.command} {dead_letter.correlation_id}"
        error = f": {redriven.error}" if redriven.error else ""
        console.print(f"{escape(line)} [{color}]{redriven.outcome.value}[/{color}]{escape(error)}")


def show_end(done: int, unsent: int, console: Console | None = None) -> None:
    """Print how far it came."""
    console = console or make_console()
    if unsent:
        console.print(f"stopped: {unsent} more were not sent; mend the cause, or say --keep-going")
    elif not done:
        console.print("nothing was sent")


def _table(entries: Sequence[DeadLetterEntry]) -> Table:
    table = Table("dead letter", "redrive status", "time", "command", "reason", "store", "correlation ID", "error")
    for entry in entries[-_SHOWN_MAX:]:
        dead_letter, color = entry.dead_letter, _STATUS_COLORS.get(entry.redrive_status, "red")
        table.add_row(
            str(dead_letter.position),
            f"[{color}]{entry.redrive_status.value}[/{color}]",
            _time(dead_letter.time_ms),
            escape(dead_letter.command),
            escape(dead_letter.reason),
            escape(dead_letter.store),
            escape(dead_letter.correlation_id),
            escape(dead_letter.error),
        )
    return table


def _remedy(entry: DeadLetterEntry) -> str:
    """Return what a dead letter's redrive status means for who wants to send it again."""
    match entry.redrive_status:
        case RedriveStatus.WAITING:
            return "it waits: once the cause is mended, `dlq redrive` sends it again"
        case RedriveStatus.REDRIVEN:
            return "it was sent again already; `explain` tells what came of it"
        case RedriveStatus.OVERTAKEN:
            first = entry.overtaken_by[0]
            count = f"{len(entry.overtaken_by)}{' or more' if len(entry.overtaken_by) >= OVERTAKEN_MAX else ''}"
            return (
                f"{count} later commands of the same key were applied, the first of them {first}; "
                "sent now, it may undo them: see that it does not, then say --force"
            )
        case RedriveStatus.EXHAUSTED:
            return f"it was sent again {REDRIVES_MAX} times and given up each time; if the cause is mended, say --force"
        case RedriveStatus.UNCERTAIN:
            return (
                f"what came after it has left {topics.COMMANDS}, so whether it was sent again or overtaken can't be "
                "told; if `explain` and the store say that it was not applied, say --force"
            )
        case RedriveStatus.FOREIGN:
            return "no gateway has accepted it, so that nobody waits for its answer: see who produced it"


def _time(since_epoch_ms: int) -> str:
    return datetime.fromtimestamp(since_epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
