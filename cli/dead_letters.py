"""Dead letters on the terminal and in JSON."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.console import counted, make_console
from cli.printable import json_text
from mesh import topics
from mesh.dead_letters.redrive import RedriveOutcome, RedriveResult
from mesh.envelope import RedriveAction
from processor.dead_letters.listed import ListedDeadLetter, ParkingStatus

# The names of the JSON output are older than the words of the code. Scripts read them, so they stay: `letter` is the
# dead letter's position.
_STATUS_COLORS: Final = {ParkingStatus.PARKED: "yellow", ParkingStatus.SETTLED: "green"}  # the others are red
_SHOWN_MAX: Final = 1000  # lines of a table on the terminal, the newest; JSON has them all
_WAITING_SHOWN_MAX: Final = 20  # of the commands behind a dead letter
_OUTCOME_COLORS: Final = {
    RedriveOutcome.SUCCEEDED: "green",
    RedriveOutcome.DISCARDED: "green",
    RedriveOutcome.REFUSED: "yellow",
}  # likewise


def describe(entry: ListedDeadLetter) -> dict[str, Any]:
    """Return a dead letter as JSON has it; none of the command's fields."""
    dead_letter = entry.dead_letter
    return {
        "letter": None if entry.position is None else str(entry.position),
        "standing": entry.status.value,
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
        "waiting": list(entry.waiting),
    }


def describe_redriven(redriven: RedriveResult) -> dict[str, Any]:
    """Return what came of a command, as JSON has it."""
    dead_letter = redriven.dead_letter
    return {
        "letter": str(dead_letter.position),
        "correlation_id": dead_letter.correlation_id,
        "command": dead_letter.command,
        "store": dead_letter.store,
        "outcome": redriven.outcome.value,
        "error": redriven.error,
    }


def show_dead_letters(
    entries: Sequence[ListedDeadLetter], left_out: int, silent: Mapping[str, str], console: Console | None = None
) -> None:
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
    _show_silent(silent, console)


def show_dead_letter(entry: ListedDeadLetter, payload: object, console: Console | None = None) -> None:
    """Print all there is to know of a dead letter, with the command's fields where they are given."""
    console = console or make_console()
    table = Table(show_header=False, box=None)
    source = entry.dead_letter.source
    shown = describe(entry) | {
        "source": f"{topics.COMMANDS}/{source.partition}@{source.offset}",
        "waiting": _waiting(entry) or "none",
    }
    for name, value in shown.items():
        table.add_row(name, escape(str(value)))
    console.print(table)
    console.print(escape(_remedy(entry)))
    if payload is not None:
        console.print(json_text(payload), markup=False)


def show_plan(
    chosen: Sequence[ListedDeadLetter],
    kept: Sequence[ListedDeadLetter],
    silent: Mapping[str, str],
    action: RedriveAction,
    console: Console | None = None,
) -> None:
    """Print what would be done, in which stores and with which commands, and what is left as it is, with the reason."""
    console = console or make_console()
    if chosen:
        console.print(f"would {action.value} {len(chosen)}:")
        console.print(_table(chosen))
    for entry in chosen[-_SHOWN_MAX:]:
        if entry.waiting:
            dead_letter = entry.dead_letter
            told = f"behind {dead_letter.correlation_id} in {dead_letter.store}, and goes on: {_waiting(entry)}"
            console.print(escape(told))
    for entry in kept[-_SHOWN_MAX:]:
        named = f"{entry.position or entry.dead_letter.correlation_id} {entry.dead_letter.command}"
        console.print(f"left as it is: {escape(named)}: {escape(_remedy(entry))}")
    _show_silent(silent, console)


def show_empty_plan(action: RedriveAction, console: Console | None = None) -> None:
    """Print that nothing would be done: a filter may be mistyped."""
    (console or make_console()).print(f"there is nothing to {action.value}: no dead letter asked for is parked")


def show_redriven(batch: Sequence[RedriveResult], console: Console | None = None) -> None:
    """Print what came of a batch, a command a line."""
    console = console or make_console()
    for redriven in batch:
        dead_letter, color = redriven.dead_letter, _OUTCOME_COLORS.get(redriven.outcome, "red")
        line = f"{dead_letter.command} {dead_letter.correlation_id} in {dead_letter.store}"
        error = f": {redriven.error}" if redriven.error else ""
        console.print(f"{escape(line)} [{color}]{redriven.outcome.value}[/{color}]{escape(error)}")


def show_end(done: int, unsent: int, waited: int, console: Console | None = None) -> None:
    """Print how far it came."""
    console = console or make_console()
    if unsent:
        console.print(f"stopped: {unsent} more were not sent; mend the cause, or say --keep-going")
    elif not done:
        console.print("nothing was sent")
    elif waited:
        told = "its operation tells how it" if waited == 1 else "their operations tell how they"
        console.print(f"{counted(waited, 'command')} had waited behind them: {told} ended")


def _table(entries: Sequence[ListedDeadLetter]) -> Table:
    table = Table("dead letter", "standing", "waiting", "time", "command", "reason", "store", "correlation ID", "error")
    for entry in entries[-_SHOWN_MAX:]:
        dead_letter, color = entry.dead_letter, _STATUS_COLORS.get(entry.status, "red")
        table.add_row(
            str(entry.position or ""),
            f"[{color}]{entry.status.value}[/{color}]",
            str(len(entry.waiting)) if entry.status is ParkingStatus.PARKED else "",
            _time(dead_letter.time_ms),
            escape(dead_letter.command),
            escape(dead_letter.reason),
            escape(dead_letter.store),
            escape(dead_letter.correlation_id),
            escape(dead_letter.error),
        )
    return table


def _waiting(entry: ListedDeadLetter) -> str:
    more = len(entry.waiting) - _WAITING_SHOWN_MAX
    return ", ".join(entry.waiting[:_WAITING_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


def _show_silent(silent: Mapping[str, str], console: Console) -> None:
    for store, why in sorted(silent.items()):
        console.print(f"[yellow]{escape(store)} does not say what it has parked ({escape(why)})[/yellow]")


def _remedy(entry: ListedDeadLetter) -> str:
    """Return what a dead letter's status means for who wants to do something about it."""
    match entry.status:
        case ParkingStatus.PARKED:
            return (
                "its key waits for it: once the cause is mended, `dlq redrive` tries it again, and then what waits "
                "behind it; `dlq discard` gives it up and lets the others go on"
            )
        case ParkingStatus.SETTLED:
            return "no store waits for it: it was redriven or discarded; `explain` tells what came of it"
        case ParkingStatus.FOREIGN:
            return "no gateway sends such a record, so that nothing waits for it: see who produced it"
        case ParkingStatus.UNKNOWN:
            return f"{entry.dead_letter.store} does not answer: start it, and ask again"


def _time(since_epoch_ms: int) -> str:
    return datetime.fromtimestamp(since_epoch_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
