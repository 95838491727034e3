"""A listing as SQL: SQLite's, with every value as a bound parameter."""

from collections.abc import Mapping, Sequence

from monitor.listing import bloom
from monitor.listing.conditions import All, Compares, Condition, Either, Equals, Matches, Not, Present
from monitor.listing.fields import ATTRIBUTE_PAIRS, FieldValue, ListKind, read_attribute_pair
from monitor.listing.listing import MISSING_NUMBER, Listing, OrderField, SortKey

SqlValue = str | int | float | None
Clause = tuple[str, list[SqlValue]]


def column_values(values: Mapping[str, FieldValue], columns: Sequence[str]) -> tuple[SqlValue, ...]:
    """Return what stands in the columns of an entry: several values in one text, each between bars."""
    return tuple(_column_value(values[name]) for name in columns)


def listing_clauses(listing: Listing, kind: ListKind) -> Clause:
    """Return what follows FROM and the table: WHERE, ORDER BY and LIMIT, and their parameters."""
    order = listing.order_of(kind)
    where, values = _condition(listing.where)
    if listing.after is not None:
        behind, more = _behind(order, listing.after)
        where, values = f"{where} AND {behind}", values + more
    columns = ", ".join(f"{_key_column(field.name)}{' DESC' if field.descending else ''}" for field in order)
    return f"WHERE {where} ORDER BY {columns} LIMIT ?", [*values, listing.limit]


def _condition(condition: Condition) -> Clause:  # noqa: PLR0911 # one for each condition
    match condition:
        case Equals(name, value) if name == ATTRIBUTE_PAIRS:
            return _attribute(str(value))
        case Equals("store_states", value):
            return "instr(store_states, ?) > 0", [f"|{value}|"]
        case Equals(field, value):
            return f"{field} = ?", [value]
        case Compares(field, comparator, value):
            return f"{field} {comparator} ?", [value]
        case Matches(field, parts, ignores_case):
            return (_like if ignores_case else _glob)(field, parts)
        case Present(field):
            return f"({field} IS NOT NULL AND {field} <> '')", []
        case Not(inner):
            clause, values = _condition(inner)
            return f"NOT ifnull({clause}, 0)", values
        case All(conditions):
            return _joined(conditions, "AND", "1")
        case Either(conditions):
            return _joined(conditions, "OR", "0")


def _attribute(pair: str) -> Clause:
    """Return the condition of having an attribute: the document is read where the Bloom filter does not rule it out."""
    name, value = read_attribute_pair(pair)
    low, high = bloom.bits_of({name: value}) if value else bloom.name_bits(name)
    can_have = "attribute_bits_low & ? = ? AND attribute_bits_high & ? = ?"
    return f"CASE WHEN {can_have} THEN has_attribute(document, ?, ?) ELSE 0 END", [*(low, low, high, high), name, value]


def _reads_documents(condition: Condition) -> bool:
    match condition:
        case Equals(field, _):
            return field == ATTRIBUTE_PAIRS
        case Not(inner):
            return _reads_documents(inner)
        case All(conditions) | Either(conditions):
            return any(map(_reads_documents, conditions))
        case _:
            return False


def _joined(conditions: Sequence[Condition], word: str, alone: str) -> Clause:
    # A condition on an attribute may have to read the document, so that the others come before.
    clauses = [_condition(each) for each in sorted(conditions, key=_reads_documents)]
    if not clauses:
        return alone, []
    return f"({f' {word} '.join(clause for clause, _ in clauses)})", [value for _, some in clauses for value in some]


def _glob(field: str, parts: Sequence[str]) -> Clause:
    escaped = ("".join(f"[{c}]" if c in "*?[" else c for c in part) for part in parts)
    return f"({field} <> '' AND {field} GLOB ?)", ["*".join(escaped)]


def _like(field: str, parts: Sequence[str]) -> Clause:
    escaped = (part.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_") for part in parts)
    return rf"({field} <> '' AND {field} LIKE ? ESCAPE '\')", ["%".join(escaped)]


def _behind(order: Sequence[OrderField], after: SortKey) -> Clause:
    """Return the condition of being behind a sort key, as one comparison where every field has one direction."""
    names = [_key_column(field.name) for field in order]
    if len({field.descending for field in order}) == 1:
        sign = "<" if order[0].descending else ">"
        return f"({', '.join(names)}) {sign} ({', '.join('?' * len(names))})", list(after)
    choices: list[str] = []
    values: list[SqlValue] = []
    for number, field in enumerate(order):
        equal = [f"{name} = ?" for name in names[:number]]
        choices.append(" AND ".join([*equal, f"{names[number]} {'<' if field.descending else '>'} ?"]))
        values += after[: number + 1]
    return f"({' OR '.join(f'({choice})' for choice in choices)})", values


def _key_column(name: str) -> str:
    return f"ifnull({name}, {MISSING_NUMBER})" if name in ("complete_time", "duration_ms") else name


def _column_value(value: FieldValue) -> SqlValue:
    if isinstance(value, tuple):
        return f"|{'|'.join(value)}|" if value else ""
    return value
