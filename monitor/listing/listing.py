"""What a list request asks a store for, and the orders after AIP-132."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from mesh.errors import FieldFault, PolystreamError, Reason
from monitor.listing.conditions import EVERYTHING, Condition, fulfils
from monitor.listing.fields import FieldValue, FieldValues, ListKind

T = TypeVar("T")
SortKey = tuple[int | float | str, ...]  # of an entry: its values of the fields of an order

MISSING_NUMBER: Final = -1  # stands in an order for a time or a duration that there is none of: before all others
_DURATION: Final = "duration_ms"
_FIELDS_ARE: Final = "name fields with commas between them, each with ` desc` or ` asc` behind it or nothing"


@dataclass(frozen=True, slots=True)
class OrderField:
    """A field to order by."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """Which entries a list has, at most `limit` of them, in an order; those behind a sort key, where one is given."""

    limit: int
    where: Condition = EVERYTHING
    order: tuple[OrderField, ...] = ()  # newest first, if there is none; else with the fields that make it definite
    after: SortKey | None = None

    def order_of(self, kind: ListKind) -> tuple[OrderField, ...]:
        """Return the order, its default included."""
        return self.order or order_of("", kind)


def order_of(text: str, kind: ListKind) -> tuple[OrderField, ...]:
    """Return the order that `order_by` names, with the ties of the kind behind it. Raises INVALID_FIELD."""
    allowed = [field.name for field in kind.fields.values() if field.can_order]
    order: list[OrderField] = []
    for part in text.split(",") if text.strip() else ():
        name, *direction = part.split()[:3] or [""]
        if name not in allowed:
            raise _fault(f"can be by {', '.join(allowed)}", "unknown_field")
        if direction not in ([], ["desc"], ["asc"]):
            raise _fault(_FIELDS_ARE, "syntax")
        if any(each.name == name for each in order):
            raise _fault("names a field twice", "syntax")
        order.append(OrderField(name, direction == ["desc"]))
    if not order:
        order = [OrderField(kind.time, descending=True)]
    return (*order, *(OrderField(name, order[-1].descending) for name in kind.ties))


def reversed_order(order: Sequence[OrderField]) -> tuple[OrderField, ...]:
    """Return the order in which the last comes first."""
    return tuple(OrderField(field.name, not field.descending) for field in order)


def sort_key(values: FieldValues, order: Sequence[OrderField]) -> SortKey:
    """Return an entry's values of an order's fields."""
    return tuple(_key_value(field.name, values[field.name]) for field in order)


def key_types(kind: ListKind, order: Sequence[OrderField]) -> tuple[type[int] | type[float] | type[str], ...]:
    """Return the types of an order's sort keys."""
    return tuple(_key_type(kind, field.name) for field in order)


def pick(entries: Iterable[T], read: Callable[[T], FieldValues], listing: Listing, kind: ListKind) -> list[T]:
    """Return those entries that a listing asks for, in its order."""
    order = listing.order_of(kind)
    found = [(values, entry) for entry in entries if fulfils(values := read(entry), listing.where)]
    if listing.after is not None:
        found = [
            (values, entry) for values, entry in found if _is_behind(sort_key(values, order), listing.after, order)
        ]
    for field in reversed(order):
        found.sort(key=lambda pair: _sortable(pair[0][field.name]), reverse=field.descending)  # used at once
    return [entry for _, entry in found[: listing.limit]]


def _is_behind(key: SortKey, after: SortKey, order: Sequence[OrderField]) -> bool:
    for mine, other, field in zip(key, after, order, strict=True):
        if mine != other:
            return bool(mine < other) is field.descending  # type: ignore[operator] # of one field, so of one type
    return False


def _key_type(kind: ListKind, name: str) -> type[int] | type[float] | type[str]:
    if name in kind.ties:
        return str
    return float if name == _DURATION else int


def _key_value(name: str, value: FieldValue) -> int | float | str:
    """Return a value in its key's type: a duration is a fraction, also one that is missing."""
    sortable = _sortable(value)
    return float(sortable) if name == _DURATION else sortable


def _sortable(value: FieldValue) -> int | float | str:
    if value is None:
        return MISSING_NUMBER
    return value if isinstance(value, int | float | str) else ""


def _fault(description: str, rule: str) -> PolystreamError:
    return PolystreamError(Reason.INVALID_FIELD, faults=[FieldFault("order_by", description, f"order_by.{rule}")])
