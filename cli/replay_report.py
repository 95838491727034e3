"""What a replay has done, on the terminal and in JSON."""

from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.console import counted, make_console
from processor.replay.outcome import LeftOut, Missing, Replayed
from processor.replay.target_check import TargetCheck

_SHOWN_MAX: Final = 20  # findings on the terminal; JSON has them all
_LEFT_OUT: Final = {
    LeftOut.REFUSED: "the live store has refused them",
    LeftOut.GIVEN_UP: "the live store has given them up, or they cannot be read",
    LeftOut.USER_GONE: "PostgreSQL has no such user any more",
    LeftOut.REPEATED: "repetitions of others",
    LeftOut.NOT_YET: "the live lane has not applied them yet; a lane of the target will",
}
_MISSING: Final = {
    Missing.WAITS: "they are parked in the live store: redrive or discard what they wait behind, and replay again",
    Missing.UNANSWERED: "the live lane has passed them, and no answer is left that says whether it has applied them",
    Missing.USER_UNTOLD: "PostgreSQL does not tell whether their users exist: see `dlq list`, and replay again",
    Missing.DIFFERS: "they were applied, and come out otherwise than in the live store",
    Missing.FAILED: "the target could not apply them",
}


def describe_replayed(done: Replayed) -> dict[str, Any]:
    """Return what was done, as JSON has it."""
    return {
        "store": done.store,
        "dry_run": done.is_dry,
        "whole": done.is_whole,
        "applied": dict(sorted(done.applied.items())),
        "expired": done.expired,
        "left_out": {reason.value: done.left_out[reason] for reason in LeftOut},
        "missing": {reason.value: done.missing[reason] for reason in Missing},
        "log_begins": {str(partition): offset for partition, offset in sorted(done.begins.items())},
        "positions": {str(partition): offset for partition, offset in sorted(done.positions.items())},
        "differs": list(done.cannot),
        "validator": None if done.check is None else _describe_check(done.check),
    }


def show_replayed(done: Replayed, console: Console | None = None) -> None:
    """Print what was done."""
    console = console or make_console()
    commands = ", ".join(f"{count} {name}" for name, count in sorted(done.applied.items()))
    verb = "would apply" if done.is_dry else "applied"
    console.print(
        f"{verb} {counted(done.applied.total(), 'command')} in {done.store}{': ' if commands else ''}{commands}"
    )
    if done.expired:
        console.print(f"what {done.expired} of them made has expired meanwhile")
    for reason, count in done.left_out.items():
        console.print(f"left out {count}: {_LEFT_OUT[reason]}")
    for sentence in done.cannot:
        console.print(f"not as in the live store: {sentence}")
    for lack, count in done.missing.items():
        console.print(f"[red]missing: {counted(count, 'command')}[/red]; {_MISSING[lack]}")
    for partition, offset in sorted(done.begins.items()):
        console.print(f"[red]Kafka has partition {partition} from offset {offset} on only[/red]: the rest is missing")
    if done.check is not None:
        _show_check(done.check, console)
        places = ", ".join(f"{partition}: {offset}" for partition, offset in sorted(done.positions.items()))
        console.print(f"a lane of the target goes on from these offsets, by partition: {places}")


def _describe_check(check: TargetCheck) -> dict[str, Any]:
    return {
        "sound": check.is_sound,
        "contents_without_hash": check.unknown,
        "findings": [{"kind": one.kind.value, "place": one.place, "key": one.key} for one in check.findings],
    }


def _show_check(check: TargetCheck, console: Console) -> None:
    if check.is_sound:
        console.print("[green]the validator agrees: nothing is wrong in the target[/green]")
        return
    if check.unknown:
        console.print(f"[red]without a hash: {counted(check.unknown, 'content')}[/red]")
    console.print(f"[red]the validator has found {counted(len(check.findings), 'difference')}[/red]")
    table = Table("kind", "place", "key")
    for finding in check.findings[:_SHOWN_MAX]:
        table.add_row(finding.kind.value, escape(finding.place), escape(finding.key))
    if len(check.findings) > _SHOWN_MAX:
        table.add_row("…", f"and {len(check.findings) - _SHOWN_MAX} more", "")
    console.print(table)
