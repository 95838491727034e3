"""What a filter means: conditions on the fields of one kind of entry, each of them true or false of every entry.

A field that an entry does not have fulfils no condition but a negation: `store != REDIS` is true of an event without a
store. Texts are compared as they are, but for the search within errors and names, which ignores the case of ASCII
characters. Times are compared by the millisecond, since OpenSearch keeps no more of them.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from monitor.listing.fields import FieldValue, FieldValues

Comparator = Literal["<", "<=", ">", ">=", "="]


@dataclass(frozen=True, slots=True)
class Equals:
    """A field has this value, or, having several, this one among them."""

    field: str
    value: str | int


@dataclass(frozen=True, slots=True)
class Compares:
    """A field's number is less or more than another one; a time is in milliseconds since the epoch."""

    field: str
    comparator: Comparator
    value: float


@dataclass(frozen=True, slots=True)
class Matches:
    """A field's text has these parts, in their order, and anything between them."""

    field: str
    parts: tuple[str, ...]
    ignores_case: bool = False


@dataclass(frozen=True, slots=True)
class Present:
    """A field has a value, and the value is not the empty text."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """What must not be true."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class All:
    """Conditions that have to be true together; without any, that is true of everything."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Conditions of which one has to be true; without any, that is true of nothing."""

    conditions: tuple["Condition", ...]


Condition = Equals | Compares | Matches | Present | Not | All | Either

EVERYTHING: Final = All(())
_PATTERNS_MAX: Final = 100  # kept compiled


def fulfils(values: FieldValues, condition: Condition) -> bool:  # noqa: PLR0911 # one for each condition
    """Whether an entry with these values fulfils a condition."""
    match condition:
        case Equals(field, value):
            found = values[field]
            return value in found if isinstance(found, tuple) else found == value
        case Compares(field, comparator, value):
            return _compares(values[field], comparator, value)
        case Matches(field, parts, ignores_case):
            found = values[field]
            return isinstance(found, str) and found != "" and _pattern(parts, ignores_case).match(found) is not None
        case Present(field):
            return values[field] not in (None, "", ())
        case Not(inner):
            return not fulfils(values, inner)
        case All(conditions):
            return all(fulfils(values, each) for each in conditions)
        case Either(conditions):
            return any(fulfils(values, each) for each in conditions)


def _compares(found: FieldValue, comparator: Comparator, value: float) -> bool:
    if not isinstance(found, int | float):
        return False
    match comparator:
        case "<":
            return found < value
        case "<=":
            return found <= value
        case ">":
            return found > value
        case ">=":
            return found >= value
        case "=":
            return found == value


@lru_cache(_PATTERNS_MAX)
def _pattern(parts: tuple[str, ...], ignores_case: bool) -> re.Pattern[str]:  # for the cache
    flags = re.DOTALL | (re.ASCII | re.IGNORECASE if ignores_case else re.DOTALL)
    return re.compile(".*?".join(map(re.escape, parts)) + r"\Z", flags)
