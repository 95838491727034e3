"""Dead letters on the terminal and in JSON."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.console import make_console
from mesh import topics
from mesh.dead_letters.reader import Case
from mesh.dead_letters.redrive import Outcome, Redriven
from mesh.dead_letters.redrive_status import REDRIVES_MAX, Standing

_STANDING_COLORS: Final = {Standing.WAITING: "yellow", Standing.REDRIVEN: "green"}  # the others are red
_OUTCOME_COLORS: Final = {Outcome.SUCCEEDED: "green", Outcome.REFUSED: "yellow"}  # likewise


def describe(case: Case) -> dict[str, Any]:
    """Return a letter as JSON has it; none of the command's fields."""
    letter = case.letter
    return {
        "letter": str(letter.place),
        "standing": case.standing.value,
        "correlation_id": letter.correlation_id,
        "command": letter.command,
        "reason": letter.reason,
        "error": letter.error,
        "store": letter.store,
        "lane": letter.lane,
        "time": _time(letter.time_ms),
        "source": {
            "topic": topics.COMMANDS,
            "partition": letter.source.partition,
            "offset": letter.source.offset,
        },
        "redrives": letter.redrives,
        "value_bytes": letter.omitted_bytes or len(letter.value or b""),
        "overtaken_by": list(case.overtaken_by),
    }


def describe_redriven(redriven: Redriven) -> dict[str, Any]:
    """Return what came of a command, as JSON has it."""
    letter = redriven.letter
    return {
        "letter": str(letter.place),
        "correlation_id": letter.correlation_id,
        "command": letter.command,
        "outcome": redriven.outcome.value,
        "error": redriven.error,
    }


def show_cases(cases: Sequence[Case], left_out: int, console: Console | None = None) -> None:
    """Print the letters, one a line."""
    console = console or make_console()
    if not cases:
        console.print("no dead letters")
    else:
        console.print(_table(cases))
    if left_out:
        console.print(f"[yellow]{left_out} older records of {topics.DEAD_LETTERS} were not read[/yellow]")


def show_case(case: Case, payload: object, console: Console | None = None) -> None:
    """Print all there is to know of a letter, with the command's fields where they are given."""
    console = console or make_console()
    table = Table(show_header=False, box=None)
    shown = describe(case) | {
        "source": f"{topics.COMMANDS}/{case.letter.source.partition}@{case.letter.source.offset}",
        "overtaken_by": ", ".join(case.overtaken_by) or "none",
    }
    for name, value in shown.items():
        table.add_row(name, escape(str(value)))
    console.print(table)
    console.print(escape(_remedy(case)))
    if payload is not None:
        console.print(json.dumps(payload, indent=2, ensure_ascii=False, default=str), markup=False)


def show_plan(sent: Sequence[Case], kept: Sequence[Case], console: Console | None = None) -> None:
    """Print what would be sent again, and what is not, with the reason."""
    console = console or make_console()
    if sent:
        console.print(f"would send {len(sent)} again:")
        console.print(_table(sent))
    for case in kept:
        console.print(f"not sent: {case.letter.place} {escape(case.letter.command)}: {escape(_remedy(case))}")


def show_redriven(batch: Sequence[Redriven], console: Console | None = None) -> None:
    """Print what came of a batch, a command a line."""
    console = console or make_console()
    for redriven in batch:
        letter, color = redriven.letter, _OUTCOME_COLORS.get(redriven.outcome, "red")
        line = f"{letter.place} {letter.command} {letter.correlation_id}"
        error = f": {redriven.error}" if redriven.error else ""
        console.print(f"{escape(line)} [{color}]{redriven.outcome.value}[/{color}]{escape(error)}")


def show_end(done: int, unsent: int, console: Console | None = None) -> None:
    """Print how far it came."""
    console = console or make_console()
    if unsent:
        console.print(f"stopped: {unsent} more were not sent; mend the cause, or say --keep-going")
    elif not done:
        console.print("nothing was sent")


def _table(cases: Sequence[Case]) -> Table:
    table = Table("letter", "standing", "time", "command", "reason", "store", "correlation ID", "error")
    for case in cases:
        letter, color = case.letter, _STANDING_COLORS.get(case.standing, "red")
        table.add_row(
            str(letter.place),
            f"[{color}]{case.standing.value}[/{color}]",
            _time(letter.time_ms),
            escape(letter.command),
            escape(letter.reason),
            escape(letter.store),
            escape(letter.correlation_id),
            escape(letter.error),
        )
    return table


def _remedy(case: Case) -> str:
    """Return what a letter's standing means for who wants to send it again."""
    match case.standing:
        case Standing.WAITING:
            return "it waits: once the cause is mended, `dlq redrive` sends it again"
        case Standing.REDRIVEN:
            return "it was sent again already; `explain` tells what came of it"
        case Standing.OVERTAKEN:
            first = case.overtaken_by[0]
            return (
                f"{len(case.overtaken_by)} later commands of the same key were applied, the first of them {first}; "
                "sent now, it may undo them: see that it does not, then say --force"
            )
        case Standing.EXHAUSTED:
            return f"it was sent again {REDRIVES_MAX} times and given up each time; if the cause is mended, say --force"
        case Standing.UNCERTAIN:
            return (
                f"what came after it has left {topics.COMMANDS}, so whether it was sent again or overtaken can't be "
                "told; if `explain` and the store say that it was not applied, say --force"
            )
        case Standing.FOREIGN:
            return "no gateway has accepted it, so that nobody waits for its answer: see who produced it"


def _time(since_epoch_ms: int) -> str:
    return datetime.fromtimestamp(since_epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
