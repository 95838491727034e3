"""What a filter means: conditions on the fields of one kind of entry, each of them true or false of every entry.

A field that an entry does not have fulfils no condition but a negation: `store != REDIS` is true of an event without a
store. Texts are compared as they are, but for the search within errors and names, which ignores the case of ASCII
characters. Times are compared by the millisecond, since OpenSearch keeps no more of them.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
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
_ASCII_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


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
            if not isinstance(found, str) or not found:
                return False
            if ignores_case:
                return _has_parts(_ascii_lower(found), [*map(_ascii_lower, parts)])
            return _has_parts(found, parts)
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


def _has_parts(text: str, parts: Sequence[str]) -> bool:
    """Whether a text is these parts in their order, with anything between them.

    The first and the last one are at the ends. Each of the others is taken where it is first found, which leaves the
    most room for those behind it: no other place of it has to be tried.
    """
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    position, end = len(first), len(text) - len(last)
    if position > end or not text.startswith(first) or not text.endswith(last):
        return False
    for part in middle:
        found = text.find(part, position, end)
        if found < 0:
            return False
        position = found + len(part)
    return True


def _ascii_lower(text: str) -> str:
    return text.translate(_ASCII_LOWER)
