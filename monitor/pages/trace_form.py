"""The form of the search for traces: what its address says, as a query. Raises INVALID_FIELD, which names the field."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.datastructures import QueryParams

from monitor.jaeger import parameters
from monitor.traces import TraceQuery

# How far back a search goes, by its name in the address, in milliseconds.
LOOKBACKS_MS: Final[Mapping[str, int]] = {
    "5m": 300_000,
    "15m": 900_000,
    "1h": 3_600_000,
    "6h": 21_600_000,
    "24h": 86_400_000,
    "7d": 604_800_000,
}
LIMITS: Final = (20, 50, 100, 200)
SORTS: Final = ("recent", "longest", "most_spans")
_DEFAULT_LOOKBACK: Final = "1h"
_TAGS_MAX_CHARACTERS: Final = 2000
_TAGS_MAX: Final = 20
# `name=value` or `name="a value"`, as Jaeger's page has it.
_TAG: Final = re.compile(r"""\s*([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?=\s|$)""")
_ESCAPED: Final = re.compile(r"\\(.)")
_YEARS: Final = range(1970, 2262)


@dataclass(frozen=True, slots=True)
class TraceForm:
    """What was filled in, and what is looked for."""

    query: TraceQuery
    lookback: str  # empty where a beginning or an end is given
    sort: str
    is_past: bool  # nothing that comes can be in the time that is searched


def read_form(query: QueryParams, now_ms: int) -> TraceForm:
    """Return what the address of the page asks for."""
    since_ms, until_ms = _time(query, "from"), _time(query, "to")
    if since_ms is not None and until_ms is not None and until_ms < since_ms:
        raise parameters.fault("to", "is before the beginning")
    lookback = "" if since_ms is not None or until_ms is not None else _choice(query, "lookback", LOOKBACKS_MS)
    if lookback:
        since_ms = now_ms - LOOKBACKS_MS[lookback]
    shortest, longest = (parameters.duration_ms(query, name) for name in ("min_duration", "max_duration"))
    if shortest is not None and longest is not None and longest < shortest:
        raise parameters.fault("max_duration", "is less than the shortest one")
    attributes = {**_tags(query.get("tags", "")), **({"error": "true"} if query.get("errors") else {})}
    return TraceForm(
        TraceQuery(
            service=parameters.text(query, "service"),
            name=parameters.text(query, "operation"),
            attributes=attributes,
            since_ms=since_ms,
            until_ms=until_ms,
            min_duration_ms=shortest,
            max_duration_ms=longest,
            limit=next((limit for limit in LIMITS if str(limit) == query.get("limit")), LIMITS[0]),
        ),
        lookback,
        query["sort"] if query.get("sort") in SORTS else SORTS[0],
        is_past=until_ms is not None and until_ms < now_ms,
    )


def _choice(query: QueryParams, name: str, choices: Mapping[str, int]) -> str:
    said = query.get(name, "")
    return said if said in choices else _DEFAULT_LOOKBACK


def _time(query: QueryParams, name: str) -> int | None:
    """Return a time in milliseconds; one without a zone is in UTC, as the form says. None where there is none."""
    written = query.get(name, "").strip()
    if not written:
        return None
    try:
        when = datetime.fromisoformat(written)
    except ValueError:
        when = None
    if when is None or when.year not in _YEARS:
        raise parameters.fault(name, f"is a time such as 2026-01-31T12:00, of {_YEARS[0]} to {_YEARS[-1]}")
    return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1000)


def _tags(written: str) -> dict[str, str]:
    """Return the tags of a text such as `http.status_code=200 error=true name="a b"`."""
    text = written.strip()
    if len(text) > _TAGS_MAX_CHARACTERS:
        raise parameters.fault("tags", f"has {_TAGS_MAX_CHARACTERS} characters at the most")
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        tag = _TAG.match(text, at)
        if tag is None:
            raise parameters.fault("tags", f'at character {at + 1}: a tag is written name=value or name="a value"')
        name, quoted, plain = tag.groups()
        found[name] = plain if quoted is None else _ESCAPED.sub(r"\1", quoted)
        at = tag.end()
    if len(found) > _TAGS_MAX:
        raise parameters.fault("tags", f"has {_TAGS_MAX} tags at the most")
    return found
