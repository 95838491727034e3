"""What a page with a search is asked for in its address: the fields of a form and a filter, made one filter of.

The filter is AIP-160's, as the API takes it: the page shows it, and what it finds is what the API would find.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message

from mesh.errors import FieldFault, PolystreamError, Reason
from mesh.http_status import http_status
from monitor.listing.checking import conditions_of
from monitor.listing.fields import STATES, STORES, FieldType, ListField, ListKind
from monitor.listing.listing import order_of
from monitor.listing.syntax import MAX_STARS
from monitor.pages.page import Shown

T = TypeVar("T", bound=Message)

PAGE_SIZES: Final = ("25", "100", "250")  # beside the default
_DEFAULT_SIZE: Final = 50
# By the value of the parameter `within`.
WITHIN: Final[Mapping[str, timedelta]] = {
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "6h": timedelta(hours=6),
    "24h": timedelta(days=1),
}
_WITHIN_STEPS: Final = 60  # a page that is kept up to date moves on in steps, so that it stays the same in between
_FIRST_YEAR, _LAST_YEAR = 1970, 2261  # of the times that a filter takes
_VALUE_MAX_CHARACTERS: Final = 512  # of a value in a filter
_USER_ID_DIGITS: Final = 16
_REASONS: Final = tuple(sorted(reason.name for reason in Reason))


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and what is wrong with it."""

    said: Mapping[str, str]  # the address's parameters that are not empty
    filter: str = ""  # what all of it comes to
    order_by: str = ""
    page_size: int = _DEFAULT_SIZE
    page_token: str = ""
    faults: Mapping[str, str] = field(default_factory=dict)  # by parameter: what is wrong, and what would be right
    reason: Reason | None = None  # of the faults
    moments: Mapping[str, str] = field(default_factory=dict)  # the times said, by parameter, as HTML has them, in UTC
    # What another page's address has in place of `within`: its token is of this filter, whose time has not moved on.
    fixed: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The page's status of HTTP."""
        return 200 if self.reason is None else http_status(self.reason.value.code, self.reason.name)


@dataclass(frozen=True, slots=True)
class Found(Generic[T]):
    """A search, and the page of the list that it has found; None where something is wrong with it."""

    search: Search
    page: T | None


class SearchForm:
    """The fields of a page's search, and what they mean for the list."""

    def __init__(self, kind: ListKind, fields: Mapping[str, str], commands: Iterable[str]) -> None:
        """`fields` are the list's fields that the form's are looked for in, by the names of the parameters."""
        self._kind = kind
        self._orders = [
            f"{each.name}{direction}"
            for each in kind.fields.values()
            if each.can_order
            for direction in (" desc", "")
            if (each.name, direction) != (kind.time, " desc")  # the default
        ]
        self._fields = {name: kind.fields[of_list] for name, of_list in fields.items()}
        self._commands = sorted(commands)

    def read(self, query: Mapping[str, str], now: datetime) -> Search:
        """Return what an address asks for. What is wrong with it is in the search's `faults`."""
        said = {name: text.strip() for name, text in query.items() if text.strip()}
        faults: dict[str, str] = {}
        terms = []
        for name, of_list in self._fields.items():
            if text := said.get(name):
                if fault := _fault_of(of_list, text):
                    faults[name] = fault
                terms.append(_term(of_list, text))
        times = {name: when for name in ("from", "to") if (when := _time(said, name, faults))}
        since, until = self._bounds(said, times, now, faults)
        terms += [f'{self._kind.time} >= "{_iso(since)}"'] if since else []
        terms += [f'{self._kind.time} < "{_iso(until)}"'] if until else []
        own = said.get("filter", "")
        order_by = said.get("order_by", "")
        # `AND` binds less than all else, so that a filter needs no parentheses beside other terms.
        whole = " AND ".join([*terms, *([own] if own else [])])
        for check, text in ((conditions_of, own), (order_of, order_by), (conditions_of, whole)):
            if not faults:
                faults |= self._faults(check, text)
        return Search(
            said,
            whole,
            order_by,
            int(said["page_size"]) if said.get("page_size") in PAGE_SIZES else _DEFAULT_SIZE,
            said.get("page_token", ""),
            faults,
            Reason.INVALID_FIELD if faults else None,
            {name: f"{when:%Y-%m-%dT%H:%M:%S}" for name, when in times.items()},
            {"within": None, "from": _iso(since)} if since and "within" in said else {},
        )

    async def look_for(
        self, query: Mapping[str, str], request: Callable[..., Any], read: Callable[[Any], T]
    ) -> Found[T]:
        """Return what an address asks for, and a page of it where nothing is wrong with that.

        `request` makes a request of the API's List method, `read` answers it; it may block. Raises PolystreamError
        where it is not the search that is at fault.
        """
        search = self.read(query, datetime.now(UTC))
        if search.faults:
            return Found(search, None)
        wanted = request(
            filter=search.filter, order_by=search.order_by, page_size=search.page_size, page_token=search.page_token
        )
        try:
            return Found(search, await asyncio.to_thread(read, wanted))
        except PolystreamError as error:
            if error.reason not in (Reason.INVALID_FIELD, Reason.INVALID_PAGE_TOKEN):
                raise
            return Found(replace(search, faults=_faults_by_field(error), reason=error.reason), None)

    def shown(self, found: Found[T], **values: object) -> Shown:
        """Return what the page shows: the form with its choices, and what the page has beside these."""
        shared = {
            "search": found.search,
            "found": found.page,
            "states": STATES,
            "stores": STORES,
            "commands": self._commands,
            "reasons": _REASONS,
            "orders": self._orders,
            "spans": tuple(WITHIN),
            "page_sizes": PAGE_SIZES,
        }
        return Shown(shared | values, found.search.status, has_ended=found.page is None)

    def _faults(self, check: Callable[[str, ListKind], object], text: str) -> Mapping[str, str]:
        try:
            check(text, self._kind)
        except PolystreamError as error:
            return _faults_by_field(error)
        return {}

    def _bounds(
        self, said: Mapping[str, str], times: Mapping[str, datetime], now: datetime, faults: dict[str, str]
    ) -> tuple[datetime | None, datetime | None]:
        """Return from when on entries are looked for, and before when."""
        since, until = times.get("from"), times.get("to")
        length = WITHIN.get(said.get("within", ""))
        if length is not None:
            step_s = length.total_seconds() / _WITHIN_STEPS
            ago = datetime.fromtimestamp((now - length).timestamp() // step_s * step_s, UTC)
            since = max(since, ago) if since else ago
        elif "within" in said:
            faults["within"] = f"is one of {', '.join(WITHIN)}"
        if since and until and since >= until:
            faults["to"] = "is no later than what it begins with; take a later time, or an earlier `from`"
        return since, until


def _term(of_list: ListField, text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    match of_list.type:
        case FieldType.WORDS:  # looked for as they are
            literal = escaped.replace("*", r"\*")
            return f'{of_list.name}:"{literal}"'
        case FieldType.TEXT:  # a star stands for anything, as in a filter
            return f'{of_list.name} = "{escaped}"'
        case _:
            return f"{of_list.name} = {text}"


def _fault_of(of_list: ListField, text: str) -> str:
    """Return what is wrong with a value, and what would be right; nothing where it is."""
    if len(text) > _VALUE_MAX_CHARACTERS or "\0" in text:
        return f"has {_VALUE_MAX_CHARACTERS} characters at the most, none of them NUL"
    match of_list.type:
        case FieldType.CHOICE if text not in of_list.choices:
            return f"is one of {', '.join(of_list.choices)}"
        case FieldType.IDENTIFIER if not _is_user_id(text):
            return "is no user's ID: a whole number of at most 16 digits"
        case FieldType.TEXT if text.count("*") > MAX_STARS:
            return f"has {MAX_STARS} stars at the most"
        case _:
            return ""


def _is_user_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _USER_ID_DIGITS and 0 < int(text) < 2**53


def _time(said: Mapping[str, str], name: str, faults: dict[str, str]) -> datetime | None:
    """Return a time of ISO 8601, which is UTC where it names no zone."""
    text = said.get(name)
    if text is None:
        return None
    try:
        given = datetime.fromisoformat(text)
        given = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
    except (ValueError, OverflowError):
        given = datetime.min.replace(tzinfo=UTC)
    if not _FIRST_YEAR <= given.year <= _LAST_YEAR:
        faults[name] = f"is no time such as 2030-01-31T08:00 or 2030-01-31T08:00:00Z, of {_FIRST_YEAR} to {_LAST_YEAR}"
        return None
    return given


def _iso(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%S}.{when.microsecond // 1000:03d}Z"


def _faults_by_field(error: PolystreamError) -> Mapping[str, str]:
    faults: list[FieldFault] = list(error.faults)
    return {each.field: each.description for each in faults}
