"""What an integrity check has found and a repair has done, on the terminal and in JSON."""

from collections.abc import Sequence
from typing import Any, Final

from polystream.options.v1.options_pb2 import Store
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.console import counted, make_console
from cli.dead_letters import describe_redriven
from mesh import topics
from mesh.dead_letters.reader import DeadLetterEntry
from mesh.dead_letters.redrive_status import RedriveStatus
from processor.integrity.inspection import Drift, Repair
from processor.integrity.kinds import DriftKind
from processor.integrity.mending import Mended
from processor.integrity.orphans import Orphans

_SHOWN_MAX: Final = 20  # lines of each kind on the terminal; JSON has them all
_NOTHING_TO_COMPARE: Final = (
    f"nothing to compare with: {topics.COMMANDS} has no command that a lane has passed and its store still remembers, "
    "so that it cannot be told whether a store has lost any"
)


def describe_drift(drift: Drift) -> dict[str, Any]:
    """Return what was found, as JSON has it."""
    return {
        "sound": drift.is_sound,
        "compared": drift.findings.commands,
        "problem": "" if drift.has_compared else _NOTHING_TO_COMPARE,
        "lost": [_describe_lost(entry) for entry in drift.findings.lost],
        "lost_are_all": drift.findings.is_whole,
        "unmarked": [
            {"store": Store.Name(receipt.store), "correlation_id": receipt.correlation_id, "command": receipt.command}
            for receipt in drift.findings.unmarked
        ],
        "orphans": _describe_orphans(drift.orphans),
        "kinds": {
            kind.value: {"count": count, "examples": _examples(drift, kind)} for kind, count in drift.kinds.items()
        },
        "contents_without_hash": drift.unknown,
    }


def describe_repair(repair: Repair) -> dict[str, Any]:
    """Return what was done and what is left, as JSON has it."""
    return {
        "sent_again": [describe_redriven(one) for one in repair.redriven],
        "left": [_describe_lost(entry) for entry in repair.left],
        "marked": repair.marked,
        "mended": [describe_mended(one) for one in repair.mended],
        "erased": repair.erased,
        "orphans": _describe_orphans(repair.orphans),
    }


def show_drift(drift: Drift, console: Console | None = None) -> None:
    """Print what was found, and what to do about it."""
    console, findings = console or make_console(), drift.findings
    if drift.has_compared:
        console.print(f"compared {counted(findings.commands, 'part')} of commands with the stores")
    else:
        console.print(f"[red]{_NOTHING_TO_COMPARE}[/red]")
    if findings.lost:
        more = "" if findings.is_whole else ", and there are more"
        console.print(
            f"[red]lost: {counted(len(findings.lost), 'command')}[/red]{more}; `integrity repair` sends them again:"
        )
        console.print(_lost_table(findings.lost))
    if findings.unmarked:
        console.print(
            "[red]without the mark of having been applied, though their effect is there: "
            f"{counted(len(findings.unmarked), 'command')}[/red]; `integrity repair` puts it back"
        )
    _show_orphans(drift.orphans, console)
    _show_others(drift, console)
    if drift.is_sound:
        console.print("[green]nothing is lost, and nothing is left over[/green]")


def show_repair(repair: Repair, console: Console | None = None) -> None:
    """Print what was done, and what is left."""
    console = console or make_console()
    outcomes: dict[str, int] = {}
    for one in repair.redriven:
        outcomes[one.outcome.value] = outcomes.get(one.outcome.value, 0) + 1
    said = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())
    console.print(f"sent {counted(len(repair.redriven), 'command')} again{': ' if said else ''}{said}")
    if repair.marked:
        console.print(f"put the mark of having been applied back for {counted(repair.marked, 'command')}")
    if repair.erased:
        console.print(f"erased what was left of {counted(repair.erased, 'user')}")
    _show_mended(repair.mended, console)
    if repair.left:
        console.print(f"[red]still lost: {counted(len(repair.left), 'command')}[/red]; {_why(repair.left)}")
        console.print(_lost_table(repair.left))
    _show_orphans(repair.orphans, console)
    if repair.is_done:
        console.print("[green]nothing is lost, and nothing is left over[/green]")


def describe_mended(mended: Mended) -> dict[str, Any]:
    """Return what was done about a finding, or would be, as JSON has it."""
    finding = mended.finding
    return {
        "kind": finding.kind.value,
        "store": finding.store,
        "place": finding.place,
        "key": finding.key,
        "action": mended.action,
        "done": mended.is_done,
    }


def _examples(drift: Drift, kind: DriftKind) -> list[dict[str, str]]:
    found = [(one.store, one.place, one.key) for one in drift.others if one.kind is kind]
    match kind:
        case DriftKind.LOST:
            lost = [entry.dead_letter for entry in drift.findings.lost]
            found = [(part.store, topics.COMMANDS, part.correlation_id) for part in lost]
        case DriftKind.MARK_GONE:
            found = [(Store.Name(one.store), topics.COMMANDS, one.correlation_id) for one in drift.findings.unmarked]
        case DriftKind.ORPHAN:
            found = [(one.store, "usuarios", str(user_id)) for one in drift.orphans for user_id in one.user_ids]
    return [{"store": store, "place": place, "key": key} for store, place, key in found[:_SHOWN_MAX]]


def _show_others(drift: Drift, console: Console) -> None:
    if drift.unknown:
        console.print(
            f"not compared, since an earlier version wrote them without a hash: {counted(drift.unknown, 'content')}"
        )
    if not drift.others:
        return
    console.print(
        f"[red]not as it should be: {counted(len(drift.others), 'thing')}[/red]; "
        "`integrity repair --dry-run` says what can be done:"
    )
    table = Table("kind", "store", "place", "key")
    for finding in drift.others[:_SHOWN_MAX]:
        table.add_row(finding.kind.value, finding.store, escape(finding.place), escape(finding.key))
    if len(drift.others) > _SHOWN_MAX:
        table.add_row("…", f"and {len(drift.others) - _SHOWN_MAX} more", "", "")
    console.print(table)


def _show_mended(mended: Sequence[Mended], console: Console) -> None:
    done = sum(one.is_done for one in mended)
    if done:
        console.print(f"set right what was not as it should be: {counted(done, 'thing')}")
    for one in [one for one in mended if not one.is_done][:_SHOWN_MAX]:
        finding = one.finding
        place = escape(f"{finding.place}/{finding.key}")
        console.print(f"[red]{finding.kind.value} {finding.store} {place}[/red] {escape(one.action)}")


def _describe_lost(entry: DeadLetterEntry) -> dict[str, Any]:
    part = entry.dead_letter
    return {
        "store": part.store,
        "correlation_id": part.correlation_id,
        "command": part.command,
        "standing": entry.redrive_status.value,
        "source": {"topic": topics.COMMANDS, "partition": part.source.partition, "offset": part.source.offset},
        "overtaken_by": list(entry.overtaken_by),
    }


def _describe_orphans(orphans: Sequence[Orphans]) -> list[dict[str, Any]]:
    # As JSON has 64-bit integers everywhere: in strings.
    return [{"store": found.store, "user_ids": list(map(str, found.user_ids))} for found in orphans]


def _lost_table(entries: Sequence[DeadLetterEntry]) -> Table:
    table = Table("store", "command", "correlation ID", "record", "redrive status")
    for entry in entries[:_SHOWN_MAX]:
        part = entry.dead_letter
        position = f"{topics.COMMANDS}/{part.source.partition}@{part.source.offset}"
        table.add_row(
            escape(part.store), escape(part.command), escape(part.correlation_id), position, entry.redrive_status.value
        )
    if len(entries) > _SHOWN_MAX:
        table.add_row("…", f"and {len(entries) - _SHOWN_MAX} more", "", "", "")
    return table


def _show_orphans(orphans: Sequence[Orphans], console: Console) -> None:
    for found in orphans:
        some = ", ".join(map(str, found.user_ids[:_SHOWN_MAX]))
        more = f" and {len(found.user_ids) - _SHOWN_MAX} more" if len(found.user_ids) > _SHOWN_MAX else ""
        users = counted(len(found.user_ids), "user")
        console.print(
            f"[red]{found.store} has what is left of {users}[/red] not in PostgreSQL: "
            f"{some}{more}; restore them, or `integrity repair --erase-orphans` deletes it"
        )


def _why(left: Sequence[DeadLetterEntry]) -> str:
    """Return what keeps commands from being sent again."""
    if any(entry.redrive_status is RedriveStatus.WAITING for entry in left):
        return "one was given up or not answered, and the rest waits; see `polystream dlq list` and the lanes' logs"
    return "later commands may be undone by them, or it can't be told; see that they are not, then say --force"
