"""What may not be as it must, since a fault takes it by design: see docs/running/verify.md. Nothing else is excused."""

from collections.abc import Mapping, Sequence
from typing import Final

from cli.verify.checks import FINAL, still_missing
from cli.verify.fault_world import FaultKind
from cli.verify.history import CommandEntry, CommandHistory, Purpose
from cli.verify.injector import InjectedFault
from cli.verify.told_operations import ReadOperations

_SPANS_KEPT_S: Final = 10.0  # a service tries for 7 s to send spans, which it gathers first


class Excuses:
    """The excuses of one run."""

    def __init__(
        self, history: CommandHistory, injected: Sequence[InjectedFault], table: Mapping[str, FaultKind]
    ) -> None:
        self._history = history
        self._injected = injected
        self._table = table

    def spans(self, operations: ReadOperations) -> frozenset[int]:
        """Return the serials of commands whose spans may have been lost."""
        return frozenset(
            self._history.by_id[correlation_id].serial
            for correlation_id in operations.told
            if self._lacks_spans(correlation_id, operations)
        )

    def is_whole(self, correlation_id: str, operations: ReadOperations) -> bool:
        """Tell whether an operation is final at every door, and its story lacks nothing that it must have."""
        lacks_spans = self._lacks_spans(correlation_id, operations)
        missing = still_missing(operations.missing.get(correlation_id, ()), lacks_spans=lacks_spans)
        is_final = all(told.state in FINAL for told in operations.told[correlation_id].values())
        return (is_final and not missing) or not self._history.by_id[correlation_id].is_acknowledged

    def _lacks_spans(self, correlation_id: str, operations: ReadOperations) -> bool:
        took_s = max(told.took_s for told in operations.told[correlation_id].values())
        return may_lack_spans(self._history.by_id[correlation_id], took_s, self._injected, self._table)


def excused_reuses(
    entries: Sequence[CommandEntry], injected: Sequence[InjectedFault], table: Mapping[str, FaultKind]
) -> frozenset[int]:
    """Return the serials of commands whose request ID nobody could know, or tell of, while Redis did not answer."""
    times = [(fault.begin_s, fault.end_s) for fault in injected if "redis" in table[fault.kind].touches]
    return frozenset(
        entry.serial
        for entry in entries
        if any(attempt.purpose is Purpose.OTHER for attempt in entry.attempts)
        and any(
            attempt.begin_s <= end_s and attempt.end_s >= begin_s
            for attempt in entry.attempts
            for begin_s, end_s in times
        )
    )


def may_lack_spans(
    entry: CommandEntry, took_s: float, injected: Sequence[InjectedFault], table: Mapping[str, FaultKind]
) -> bool:
    """Tell whether a command was under way when a process died, or stood still, that may have had spans of it.

    It is once more where a fault has it delivered again. `took_s` is the time from its acceptance to its last answer.
    """
    if not entry.attempts:
        return False
    # By the clocks of two processes, of which one may be wrong: an answer does not come before its question.
    begin_s, end_s = entry.attempts[0].begin_s, entry.attempts[-1].end_s + max(0.0, took_s)
    again = [(one.begin_s, one.end_s) for one in injected if table[one.kind].delivers_again and one.end_s > begin_s]
    return any(
        busy_begin_s <= fault.end_s + _SPANS_KEPT_S and busy_end_s >= fault.begin_s - _SPANS_KEPT_S
        for fault in injected
        if table[fault.kind].loses_spans
        for busy_begin_s, busy_end_s in [(begin_s, end_s), *again]
    )
