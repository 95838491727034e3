"""The four classes of errors, and a table's rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class ErrorClass(Enum):
    """What is done about an error."""

    WAIT = "wait"  # it says something of the server, or of the way to it: wait, and try the same again
    REFUSE = "refuse"  # a result: who asked is told, and everything else goes on
    SET_APART = "set apart"  # what was asked can never be done: it is kept with its cause, counted, and passed by
    STOP = "stop"  # the client can do no more: it ends, and another takes its place


@dataclass(frozen=True, slots=True)
class Rule:
    """A row: the codes that it is about, as their server writes them, and what an error with one of them says."""

    codes: tuple[str, ...]
    error_class: ErrorClass
    cause: str  # a clause, without personal data: health shows it
    at_once: bool = False  # the same succeeds when it is tried again at once: a conflict with somebody else


@dataclass(frozen=True, slots=True)
class ErrorVerdict:
    """What is to be done about one error, and why, in words that may be shown to anybody."""

    error_class: ErrorClass
    cause: str
    at_once: bool = False

    @property
    def waits(self) -> bool:
        """Whether the same is to be tried again."""
        return self.error_class is ErrorClass.WAIT


def by_code(rules: Sequence[Rule]) -> Mapping[str, Rule]:
    """Return the rules by their codes. Raises ValueError for a code that two rules claim."""
    found: dict[str, Rule] = {}
    for rule in rules:
        for code in rule.codes:
            if code in found:
                raise ValueError(f"two rules claim {code}")
            found[code] = rule
    return found


def verdict(rule: Rule, code: str | int | None) -> ErrorVerdict:
    """Return what a rule says of an error with a code; None and the empty text are no code."""
    cause = f"{rule.cause} ({code})" if code else rule.cause
    return ErrorVerdict(rule.error_class, cause, rule.at_once)
