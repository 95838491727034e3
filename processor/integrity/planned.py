"""What an integrity repair would do about everything that is wrong."""

from collections.abc import Sequence

from polystream.options.v1.options_pb2 import Store
from polystream.v1.events_pb2 import CommandReceipt

from mesh import topics
from mesh.dead_letters.reader import DeadLetterEntry
from processor.integrity.inspection import Drift
from processor.integrity.kinds import DriftKind, Finding
from processor.integrity.mending import Mended
from processor.integrity.orphans import Orphans


def planned(drift: Drift, mended: Sequence[Mended], *, force: bool, erase: bool) -> list[Mended]:
    """Return what would be done about everything that is wrong."""
    steps = [
        *mended,
        *(Mended(unmarked_finding(one), "its mark is put back", is_done=True) for one in drift.findings.unmarked),
    ]
    for entry in drift.findings.lost:
        sent = entry.redrive_status.may_be_sent(force=force)
        action = "sent again" if sent else f"left: {entry.redrive_status.value}; --force sends it all the same"
        steps.append(Mended(lost_finding(entry), action, is_done=sent))
    for finding in orphan_findings(drift.orphans):
        action = "what is left of the user is erased" if erase else "left; --erase-orphans erases it"
        steps.append(Mended(finding, action, is_done=erase))
    return steps


def lost_finding(entry: DeadLetterEntry) -> Finding:
    """Return a command that a store has lost as a finding."""
    return command_finding(DriftKind.LOST, entry.dead_letter.store, entry.dead_letter.correlation_id)


def unmarked_finding(receipt: CommandReceipt) -> Finding:
    """Return a command whose mark is gone as a finding."""
    return command_finding(DriftKind.MARK_GONE, Store.Name(receipt.store), receipt.correlation_id)


def orphan_findings(orphans: Sequence[Orphans]) -> list[Finding]:
    """Return what is left of users who are gone as findings."""
    return [
        Finding(DriftKind.ORPHAN, found.store, "usuarios", str(user_id), "")
        for found in orphans
        for user_id in found.user_ids
    ]


def command_finding(kind: DriftKind, store: str, correlation_id: str) -> Finding:
    """Return what is wrong with a command as a finding."""
    return Finding(kind, store, topics.COMMANDS, correlation_id, "")
