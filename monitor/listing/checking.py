"""From a filter's tree to the conditions that it means for the fields of one kind of list."""

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from monitor.listing.conditions import (
    EVERYTHING,
    All,
    Comparator,
    Compares,
    Condition,
    Either,
    Equals,
    Matches,
    Not,
    Present,
)
from monitor.listing.fields import (
    ATTRIBUTE_PAIRS,
    STATES,
    STORES,
    FieldType,
    ListField,
    ListKind,
    attribute_pair,
)
from monitor.listing.syntax import FilterTree, Junction, Negation, Restriction, filter_fault, parse_filter

_EQUALITY: Final = ("=", "!=", ":")
_DURATION: Final = re.compile(r"(-?\d+(?:\.\d+)?)s")
_FIRST_YEAR, _LAST_YEAR = 1970, 2261  # OpenSearch keeps a span's time in nanoseconds, in 64 bits
_MAX_VALUE_CHARACTERS: Final = 512  # OpenSearch finds no longer ones
_INT64_MAX: Final = 2**63 - 1


def conditions_of(text: str, kind: ListKind) -> Condition:
    """Return what a filter means. Raises PolystreamError INVALID_FIELD, which names `filter` and the character."""
    tree = parse_filter(text)
    return EVERYTHING if tree is None else _condition(tree, kind)


def _condition(tree: FilterTree, kind: ListKind) -> Condition:
    match tree:
        case Negation(term):
            return Not(_condition(term, kind))
        case Junction(terms, needs_all):
            inner = tuple(_condition(term, kind) for term in terms)
            return All(inner) if needs_all else Either(inner)
        case Restriction():
            return _restriction(tree, kind)


def _restriction(term: Restriction, kind: ListKind) -> Condition:
    if len(term.value.text) > _MAX_VALUE_CHARACTERS:
        raise filter_fault(
            term.value.at, f"a value has {_MAX_VALUE_CHARACTERS} characters at the most", "value_too_long"
        )
    if not term.comparator:
        return _words(kind.words, term)
    field = _field(term, kind)
    is_negated = term.comparator == "!="
    if field.type in (FieldType.NUMBER, FieldType.TIME):
        plain = _number(field, term) if field.type is FieldType.NUMBER else _time(field, term)
    elif field.type is FieldType.WORDS:
        if term.comparator != ":":
            raise _operator(term, f"{field.name} takes `:` alone, before what is looked for in it")
        plain = _words(field.name, term)
    else:
        if term.comparator not in _EQUALITY:
            raise _operator(term, f"{field.name} is {field.type.value}, which takes = != and :")
        plain = _equality(field, term)
    return Not(plain) if is_negated else plain


def _field(term: Restriction, kind: ListKind) -> ListField:
    field = kind.fields.get(term.path[0])
    if field is None or not _is_whole(term.path, field):
        names = ", ".join(f"{each.name}.{each.example}" if each.example else each.name for each in kind.fields.values())
        raise filter_fault(term.at, f"there is no such field; the fields are {names}", "unknown_field")
    if field.in_store and term.path[1].upper() not in STORES:
        stores = ", ".join(f"{field.name}.{store.lower()}" for store in STORES)
        raise filter_fault(term.at, f"there is no such store; the fields are {stores}", "unknown_field")
    return field


def _is_whole(path: Sequence[str], field: ListField) -> bool:
    """Whether a path has as many names as the field has: an attribute's own name may have points in it."""
    if field.type is FieldType.ATTRIBUTE:
        return len(path) > 1 and all(path)
    return len(path) == (2 if field.in_store else 1)


def _equality(field: ListField, term: Restriction) -> Condition:  # noqa: PLR0911 # one for each type
    value = term.value
    match field.type:
        case FieldType.CHOICE:
            return _choice(field, term)
        case FieldType.ATTRIBUTE:
            return _attribute(term)
        case FieldType.FLAG:
            if value.text not in ("true", "false"):
                raise _wrong_type(term, f"{field.name} is true or false")
            return Equals(field.name, value.text == "true")
        case FieldType.IDENTIFIER:
            if value.is_star:
                return Present(field.name)
            if re.fullmatch(r"\d{1,19}", value.text, re.ASCII) is None or int(value.text) > _INT64_MAX:
                raise _wrong_type(term, f"{field.name} is a whole number")
            return Equals(field.name, int(value.text))
        case _:
            if value.is_star:
                return Present(field.name)
            if value.parts == ("",):
                return Not(Present(field.name))
            return Equals(field.name, value.text) if len(value.parts) == 1 else Matches(field.name, value.parts)


def _choice(field: ListField, term: Restriction) -> Condition:
    """Return the condition on a state or a store. What the stores answered is kept as `POSTGRESQL=FAILED`."""
    value = term.value
    if not value.is_star and value.text not in field.choices:
        raise _wrong_type(term, f"{field.name} is one of {', '.join(field.choices)}")
    if field.in_store:
        store, states = term.path[1].upper(), STATES if value.is_star else (value.text,)
        return Either(tuple(Equals("store_states", f"{store}={state}") for state in states))
    if field.name == "store":
        if value.is_star:
            return Present("store_states")
        return Either(tuple(Equals("store_states", f"{value.text}={state}") for state in STATES))
    return Present(field.name) if value.is_star else Equals(field.name, value.text)


def _attribute(term: Restriction) -> Condition:
    """Return the condition on an attribute. One that is empty is as one that is not there."""
    name, value = ".".join(term.path[1:]), term.value
    if value.is_star:
        return Equals(ATTRIBUTE_PAIRS, attribute_pair(name))
    if value.parts == ("",):
        return Not(Equals(ATTRIBUTE_PAIRS, attribute_pair(name)))
    if len(value.parts) > 1:
        raise _wrong_type(term, "an attribute is compared as a whole: a star stands for any value there is, alone")
    return Equals(ATTRIBUTE_PAIRS, attribute_pair(name, value.text))


def _words(field: str, term: Restriction) -> Condition:
    if term.value.is_star or term.value.parts == ("",):
        return Present(field)
    return Matches(field, ("", *term.value.parts, ""), ignores_case=True)


def _number(field: ListField, term: Restriction) -> Condition:
    if term.value.is_star and term.comparator in _EQUALITY:
        return Present(field.name)
    text = term.value.text
    duration = _DURATION.fullmatch(text)
    try:
        value = float(duration.group(1)) * 1000 if duration else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _wrong_type(term, f"{field.name} is a number of milliseconds, such as 250, or of seconds, such as 1.5s")
    return Compares(field.name, _plain(term.comparator), value)


def _time(field: ListField, term: Restriction) -> Condition:
    """Return the condition on a time: from its millisecond on, or before it."""
    if term.value.is_star and term.comparator in _EQUALITY:
        return Present(field.name)
    try:
        when = datetime.fromisoformat(term.value.text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None or not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        form = 'is a time in RFC 3339 with its zone, such as "2026-01-31T12:00:00Z"'
        raise _wrong_type(term, f"{field.name} {form}, of {_FIRST_YEAR} to {_LAST_YEAR}")
    since_epoch = when - datetime(1970, 1, 1, tzinfo=UTC)
    at_ms = (since_epoch.days * 86_400_000) + since_epoch.seconds * 1000 + since_epoch.microseconds // 1000
    match _plain(term.comparator):
        case "<":
            return Compares(field.name, "<", at_ms)
        case "<=":
            return Compares(field.name, "<", at_ms + 1)
        case ">":
            return Compares(field.name, ">=", at_ms + 1)
        case ">=":
            return Compares(field.name, ">=", at_ms)
        case "=":
            return All((Compares(field.name, ">=", at_ms), Compares(field.name, "<", at_ms + 1)))


def _plain(comparator: str) -> Comparator:
    known: dict[str, Comparator] = {"<": "<", "<=": "<=", ">": ">", ">=": ">="}
    return known.get(comparator, "=")


def _wrong_type(term: Restriction, description: str) -> Exception:
    return filter_fault(term.value.at, description, "wrong_type")


def _operator(term: Restriction, description: str) -> Exception:
    return filter_fault(term.at, description, "unknown_operator")
