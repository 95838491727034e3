"""Pages of a list, onwards and back.

A token holds the sort key of the entry at a page's end, so that arrivals shift nothing, and whether the page is behind
that entry or before it. It is bound to the request's filter and order. The first page has none before it; whoever comes
back to the beginning may get a shorter one.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message

from mesh.pages import foreign_token, page_of
from monitor.listing.conditions import Condition
from monitor.listing.fields import FieldValues, ListKind
from monitor.listing.listing import Listing, key_types, order_of, reversed_order, sort_key

T = TypeVar("T", bound=Message)

_ONWARDS, _BACK = "next", "previous"
_MAX_BYTES: Final = 2_000_000  # of a page; gRPC's clients take messages of 4 MiB, if they are not told otherwise


@dataclass(frozen=True, slots=True)
class ListPage(Generic[T]):
    """A page, and the tokens of its neighbours; empty where there is none."""

    entries: Sequence[T]
    next_token: str
    previous_token: str


def page_for(
    request: Any,
    where: Condition,
    kind: ListKind,
    read: Callable[[Listing], Sequence[T]],
    values: Callable[[T], FieldValues],
) -> ListPage[T]:
    """Return the page that a List request asks for.

    Raises PolystreamError: INVALID_FIELD for an order that there is none of, INVALID_PAGE_TOKEN.
    """
    order = order_of(request.order_by, kind)
    page = page_of(request, str, *key_types(kind, order))
    direction, after = (str(page.after[0]), page.after[1:]) if page.after is not None else (_ONWARDS, None)
    if direction not in (_ONWARDS, _BACK):
        raise foreign_token()
    goes_back = direction == _BACK
    found = read(Listing(page.size + 1, where, reversed_order(order) if goes_back else order, after))
    fitting = _first_within(_MAX_BYTES, found[: page.size])
    has_more = len(fitting) < len(found)
    entries = list(reversed(fitting)) if goes_back else list(fitting)
    if not entries:
        return ListPage([], "", "")
    has_next, has_previous = (True, has_more) if goes_back else (has_more, after is not None)
    return ListPage(
        entries,
        page.token(_ONWARDS, *sort_key(values(entries[-1]), order)) if has_next else "",
        page.token(_BACK, *sort_key(values(entries[0]), order)) if has_previous else "",
    )


def _first_within(max_bytes: int, entries: Sequence[T]) -> Sequence[T]:
    """Return what fits of the entries, and one at the least."""
    sizes = itertools.accumulate(entry.ByteSize() for entry in entries)
    return entries[: max(1, sum(size <= max_bytes for size in sizes))]
