"""What a check can find, and the least history that shows it."""

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cli.verify import image
from cli.verify.history import Answer, CommandEntry, CommandHistory
from cli.verify.image import Image

_LINES_MAX: Final = 200  # of one history
_OF_TABLE: Final = {
    image.USERS: {"UpdateUser"},
    image.SUBSCRIPTIONS: {"CreateSubscription", "CancelSubscription"},
    image.PAYMENTS: {"CreatePayment", "CancelPayment"},
    image.PREFERENCES: {"UpdatePreferences"},
    image.VIEWS: {"RecordView", "DeleteView"},
    image.RECOMMENDATIONS: {"GenerateRecommendations"},
    image.SESSIONS: {"CreateSession", "UpdateSession", "DeleteSession"},
    image.CONTENTS: {"CacheContent", "DeleteContent"},
}
_OF_ALL_TABLES: Final = {"CreateUser", "DeleteUser"}


class ViolationKind(enum.Enum):
    """The promise that was broken."""

    LOST = "an acknowledged command has no effect"
    TWICE = "a command was applied twice"
    HALF = "an erased user is left in a store"
    ORDER = "a key's commands were not applied in the order of their acknowledgement"
    TRACE = "a refused command has an effect"
    WRONG = "a store holds something else than its commands say"
    STRANGE = "there is something that no command has made"
    OUTCOME = "a store answered what it must not, after the commands before"
    UNFINISHED = "an operation is not final"
    ANSWERS = "a store gave two different answers"
    DOORS = "two doors tell an operation differently"
    STORY = "a story is not complete"
    REFUSED = "the gateway refused what it must take, or took what it must refuse"
    REQUEST_ID = "a request ID does not stand for one operation"
    SET_APART = "a good command is a dead letter, or a foreign record is none"
    EXPOSED = "personal data is where it must not be"
    UNWELL = "the platform was not well again in the end"


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise."""

    kind: ViolationKind
    entity: str  # whose history shows it; empty where it is nobody's
    sentence: str
    correlation_ids: tuple[str, ...] = ()  # of the commands at fault, where they are known
    table: str = ""  # where it was seen
    history: Sequence[str] = field(default=())  # the least that shows it, a line an event

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "kind": self.kind.name,
            "promise": self.kind.value,
            "entity": self.entity,
            "table": self.table,
            "sentence": self.sentence,
            "correlation_ids": list(self.correlation_ids),
            "history": list(self.history),
        }


def least_history(violation: Violation, history: CommandHistory, found: Image) -> list[str]:
    """Return what happened to the violation's entity, as far as it may have to do with it, a line an event.

    That is every command that concerns the same table, with its attempts, its records and its answers; of a violation
    of single commands, these alone.
    """
    entries = history.by_entity.get(violation.entity, ())
    if violation.table:
        concerned = _OF_TABLE[violation.table] | _OF_ALL_TABLES
        entries = [entry for entry in entries if entry.command in concerned]
    elif violation.correlation_ids:
        entries = [entry for entry in entries if entry.correlation_id in violation.correlation_ids]
    lines = [line for entry in entries for line in _lines_of(entry, found)]
    if violation.table:
        items = found.tables.get(violation.table, {}).get(violation.entity, ())
        lines += [f"in {violation.table}: {item}" for item in items] or [f"in {violation.table}: nothing"]
    if len(lines) > _LINES_MAX:
        lines = [f"… {len(lines) - _LINES_MAX} earlier lines are left out", *lines[-_LINES_MAX:]]
    return lines


def _lines_of(entry: CommandEntry, found: Image) -> Iterable[str]:
    fields = ", ".join(f"{name}={value}" for name, value in entry.fields.items())
    yield f"#{entry.serial} {entry.command}({fields}) by client {entry.client} as {entry.correlation_id}"
    for attempt in entry.attempts:
        said = "" if attempt.answer is Answer.ACKNOWLEDGED else f" {attempt.code} {attempt.reason}".rstrip()
        yield (
            f"  {attempt.begin_s:.3f} to {attempt.end_s:.3f} s: {attempt.purpose.value} by {attempt.door}: "
            f"{attempt.answer.value}{said}"
        )
    for record in found.records.get(entry.correlation_id, ()):
        yield f"  record user_events/{record.partition}@{record.offset}, key {record.key}"
    for receipt in found.receipts.get(entry.correlation_id, ()):
        repeated = ", repeats an earlier one" if receipt.duplicate else ""
        yield (
            f"  receipt response_events/{receipt.partition}@{receipt.offset}: {receipt.store} "
            f"{receipt.reason or receipt.state}{repeated}"
        )
    for door, told in sorted(found.told.get(entry.correlation_id, {}).items()):
        yield f"  {door} tells: {told}"
