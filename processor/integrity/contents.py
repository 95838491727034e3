"""What the stores hold, a page at a time: whether each row, document and hash is as the platform has written it.

A page is read by key, so that a walk neither holds a store up nor misses what was there all the while.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ContentPage:
    """What a page has shown."""

    seen: int
    unknown: int  # of them, those without a hash: an earlier version wrote them
    changed: Sequence[str]  # of them, those that are not as they were written
    after: Any  # where the next page begins; None where this was the last one


class ContentWalk(Protocol):
    """A walk through one table, collection or kind of key. Raises what the store's client raises."""

    place: str  # its name

    def page(self, after: Any, records_max: int) -> ContentPage:
        """Return the page behind `after`, which is None at the beginning."""
        ...

    def changed(self, key: str) -> bool:
        """Whether one is there, and is not as it was written: a second look."""
        ...
